/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A turn of whoever judges: ask the policy, read what it wants to know more exactly, ask again; and what has to be kept
 * from turn to turn. The watch does it with a real host, tools/simulate with a simulated one. Pure, but for the reader
 * that it is given.
 */
#ifndef CORE_TURN_H
#define CORE_TURN_H

#include <stdint.h>

#include "policy.h"

#define TURN_TICK_NS (1000ULL * 1000000ULL)        /* when nothing happens */
#define TURN_TICK_PRESSED_NS (250ULL * 1000000ULL) /* while the host is under pressure */
#define TURN_STRIKE_NS (1000ULL * 1000000ULL)      /* confirmations count when they are that far apart */

/* Bring the private bytes of that worker up to date, in the facts that the input points to. */
typedef void turn_read(void *arg, uint32_t worker);

/* The plan, with all that it depends on read; short of that only if it still asks after so many rounds that its readers
 * fail to record what they read. */
void turn__decide(const struct policy_input *in, turn_read *read, void *arg, struct plan *ret_plan);

/* Count the strikes of a plan in the facts; struck_ns: when each worker was struck last, 0: never. Confirmations count in a
 * row: one look at which a worker is not over its limit takes them back. */
void turn__strike(const struct policy_input *in, const struct plan *plan, struct ebb_worker_facts *workers,
                  uint64_t *struck_ns);

/* An act was carried out: from here the cooldown counts, if it was one for pressure. */
void turn__acted(struct ebb_host_facts *host, enum reason reason, uint64_t now_ns);

/* How long until the next turn, when nothing happens before. */
uint64_t turn__wait_ns(const struct ebb_host_facts *host);

#endif

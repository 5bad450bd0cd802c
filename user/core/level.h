/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * How closely the kernel side should look: the cheapest probe is the one that is not there. Pure. Up at once, down only
 * after a while, since attaching costs milliseconds.
 *
 *   0  who belongs to whom, begin and end of jobs, sweeps       always
 *   1  growth as it happens                                     a worker is over half of its limit, or somebody looks on live
 *   2  stall of each worker                                     the host is under pressure
 */
#ifndef CORE_LEVEL_H
#define CORE_LEVEL_H

#include <stdbool.h>
#include <stdint.h>

#include "ebb/facts.h"
#include "ebb/rules.h"

/* A level is left only after it has not been needed for this long. */
#define LEVEL_CALM_NS (10ULL * 1000000000ULL)

struct level {
  uint32_t now;
  uint64_t unneeded_since_ns; /* 0: it is needed */
};

struct level_input {
  const struct ebb_host_facts *host;
  const struct ebb_pool_rules *pool_rules; /* by pool index */
  const struct ebb_worker_facts *workers;
  uint32_t n_workers;
  bool live; /* somebody looks on live */
  uint64_t now_ns;
};

/* The level to be at from now on. Zeroed, a level is at 0. */
uint32_t level__decide(struct level *level, const struct level_input *in);

#endif

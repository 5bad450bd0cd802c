/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A simulated ebb-watch: facts gathered from the simulated host, judged by the real policy.
 *
 * As the real one, it looks once a second, or four times under pressure, and at once when a job has left its worker near
 * its limit. It is faster than the queue: a worker is judged before it takes the next job. It hears of pressure by its
 * ticks alone. Sweeps are exact, and private bytes are what is not shared.
 */
#ifndef SIMULATE_WATCH_H
#define SIMULATE_WATCH_H

#include <stdint.h>
#include <stdio.h>

#include "contribution.h"
#include "level.h"
#include "moved.h"
#include "pressure.h"
#include "tape.h"
#include "turn.h"

struct watch {
  struct ebb_host_facts host;
  struct ebb_pool_rules rules[EBB_POOLS_MAX];
  struct ebb_pool_facts pools[EBB_POOLS_MAX];
  struct ebb_worker_facts workers[EBB_SLOTS_MAX];
  uint64_t struck_ns[EBB_SLOTS_MAX];
  struct pressure pressure;
  struct level level;
  struct moved moved;
  struct contribution contribution;
  uint64_t tick_ns; /* the next one */
  FILE *record;     /* all judgements go there, as from ebb-watch --record; NULL: nowhere */
  struct tape *tape;
};

struct world;

void watch__init(struct world *world, FILE *record);
void watch__done(struct world *world);
void watch__tick(struct world *world);
/* A worker has come to the end of a job. */
void watch__released(struct world *world, uint32_t worker);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* One run of a scenario: who is in it, and what time it is. */
#ifndef SIMULATE_WORLD_H
#define SIMULATE_WORLD_H

#include "keeper.h"
#include "measure.h"
#include "watch.h"

/* In facts, a time of 0 is "never", so the world begins later; at a full hour. */
#define WORLD_START_NS (3600ULL * 1000000000ULL)

struct world {
  const struct scenario *scenario;
  uint64_t now_ns;
  double progress; /* ns in which tasks got on */
  struct host host;
  struct host_load load;
  struct arrivals arrivals;
  struct queue queues[EBB_POOLS_MAX];
  struct keeper keeper;
  struct watch watch;
  struct measure measure;
};

/* All of it, from the begin to the end. The scenario is settled, and stays. record: see struct watch. */
void world__run(struct world *world, const struct scenario *scenario, FILE *record);

#endif

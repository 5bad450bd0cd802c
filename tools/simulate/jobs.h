/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Jobs that come, and wait for a worker. What each is like is drawn when it comes, so it is the same whoever judges. */
#ifndef SIMULATE_JOBS_H
#define SIMULATE_JOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "random.h"
#include "scenario.h"

struct job {
  uint32_t kind; /* index into the scenario's jobs */
  uint64_t came_ns;
  double takes_ns; /* of work, when nothing makes it wait */
  double memory_bytes, leak_bytes;
};

struct queue {
  struct job *jobs; /* a ring */
  uint32_t first, n, room;
};

struct arrivals {
  struct random random[SCENARIO_JOBS_MAX];
  uint64_t next_ns[SCENARIO_JOBS_MAX];
  uint64_t given[SCENARIO_JOBS_MAX]; /* a burst comes one by one */
};

void arrivals__init(struct arrivals *arrivals, const struct scenario *scenario, uint64_t now_ns);
/* When the next job of any kind comes. */
uint64_t arrivals__next_ns(const struct arrivals *arrivals, const struct scenario *scenario);
/* One that has come by now; false: none. */
bool arrivals__take(struct arrivals *arrivals, const struct scenario *scenario, uint64_t now_ns, struct job *ret);

void queue__push(struct queue *queue, const struct job *job);
bool queue__pop(struct queue *queue, struct job *ret);
void queue__done(struct queue *queue);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "jobs.h"

#include <stdlib.h>
#include <string.h>

/* Streams of random numbers: pools have the ones below. */
#define FIRST_STREAM 1000

/* Never in the same nanosecond for ever. */
static void wait_for_next(struct arrivals *arrivals, const struct scenario *scenario, uint32_t kind) {
  uint64_t wait_ns = draw__take(&scenario->jobs[kind].every, &arrivals->random[kind]);
  arrivals->next_ns[kind] += wait_ns ? wait_ns : 1;
}

void arrivals__init(struct arrivals *arrivals, const struct scenario *scenario, uint64_t now_ns) {
  for (uint32_t i = 0; i < scenario->n_jobs; i++) {
    random__seed(&arrivals->random[i], scenario->run.seed, FIRST_STREAM + i);
    arrivals->next_ns[i] = now_ns;
    wait_for_next(arrivals, scenario, i);
  }
}

uint64_t arrivals__next_ns(const struct arrivals *arrivals, const struct scenario *scenario) {
  uint64_t next_ns = UINT64_MAX;
  for (uint32_t i = 0; i < scenario->n_jobs; i++)
    if (arrivals->next_ns[i] < next_ns)
      next_ns = arrivals->next_ns[i];
  return next_ns;
}

static struct job draw(struct arrivals *arrivals, const struct scenario *scenario, uint32_t kind) {
  const struct scenario_jobs *jobs = &scenario->jobs[kind];
  struct random *random = &arrivals->random[kind];
  struct job job = {.kind = kind, .came_ns = arrivals->next_ns[kind]};
  job.takes_ns = (double)draw__take(&jobs->takes, random) + 1;
  job.memory_bytes = (double)draw__take(&jobs->memory, random);
  job.leak_bytes = (double)draw__take(&jobs->leaks, random);
  return job;
}

static uint32_t came_together(const struct scenario *scenario, uint32_t kind) {
  return scenario->jobs[kind].burst ? scenario->jobs[kind].burst : 1;
}

bool arrivals__take(struct arrivals *arrivals, const struct scenario *scenario, uint64_t now_ns, struct job *ret) {
  for (uint32_t i = 0; i < scenario->n_jobs; i++) {
    if (arrivals->next_ns[i] > now_ns)
      continue;
    *ret = draw(arrivals, scenario, i);
    arrivals->given[i]++;
    if (arrivals->given[i] % came_together(scenario, i) == 0)
      wait_for_next(arrivals, scenario, i);
    return true;
  }
  return false;
}

static void grow(struct queue *queue) {
  uint32_t room = queue->room ? queue->room * 2 : 64;
  struct job *jobs = malloc(room * sizeof(*jobs));
  if (!jobs)
    abort();
  for (uint32_t i = 0; i < queue->n; i++)
    jobs[i] = queue->jobs[(queue->first + i) % queue->room];
  free(queue->jobs);
  *queue = (struct queue){.jobs = jobs, .n = queue->n, .room = room};
}

void queue__push(struct queue *queue, const struct job *job) {
  if (queue->n == queue->room)
    grow(queue);
  queue->jobs[(queue->first + queue->n++) % queue->room] = *job;
}

bool queue__pop(struct queue *queue, struct job *ret) {
  if (!queue->n)
    return false;
  *ret = queue->jobs[queue->first];
  queue->first = (queue->first + 1) % queue->room;
  queue->n--;
  return true;
}

void queue__done(struct queue *queue) {
  free(queue->jobs);
  *queue = (struct queue){0};
}

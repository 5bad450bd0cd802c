/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Facts first, judgement later: what the workers hold, and do. */
#include "limit.h"
#include "watch.h"

static void arm(struct watch *watch, uint32_t index) {
  struct follow *follow = &watch->follows[index];
  const struct ebb_worker_facts *worker = &watch->workers[index];
  uint64_t threshold = limit__next_bytes(&watch->rules[worker->pool], worker);
  if (follow->armed_bytes == threshold)
    return;
  follow->armed_bytes = threshold;
  watch->sensor->ops->arm(watch->sensor, index, threshold);
}

/* Turns may come and go between two looks: the last one's begin or end counts, not that we saw a change. */
static void note_turn(struct watch *watch, uint32_t index, const struct sensor_reading *reading, uint64_t now_ns) {
  struct ebb_worker_facts *worker = &watch->workers[index];
  uint64_t turned_ns = reading->busy ? reading->taken_ns : watch->follows[index].released_ns;
  if (turned_ns > worker->since_ns)
    worker->since_ns = turned_ns;
  else if (worker->busy && !reading->busy)
    worker->since_ns = now_ns; /* its end has not been reported */
  worker->busy = reading->busy;
  worker->taken_ns = reading->busy ? reading->taken_ns : 0;
}

void gather__worker(struct watch *watch, uint32_t index, bool exact, uint64_t now_ns) {
  struct ebb_worker_facts *worker = &watch->workers[index];
  struct sensor_reading reading;
  if (!watch->follows[index].generation || watch->sensor->ops->read(watch->sensor, index, exact, &reading))
    return;
  watch->follows[index].counted &= !exact; /* what is exact is not to be overwritten at the end of a batch */
  /* Whether it locks the file says nothing of its jobs. */
  reading.busy &= watch->rules[worker->pool].idle == EBB_IDLE_LEASE;
  note_turn(watch, index, &reading, now_ns);
  worker->anon_bytes = reading.anon_bytes;
  worker->shmem_bytes = reading.shmem_bytes;
  worker->swap_bytes = reading.swap_bytes;
  worker->footprint_bytes = reading.anon_bytes + reading.shmem_bytes + reading.swap_bytes;
  worker->minor_faults = reading.minor_faults;
  worker->major_faults = reading.major_faults;
  worker->stall_us = reading.stall_us;
  worker->processes = reading.processes;
  if (worker->state == EBB_SLOT_SERVING || worker->state == EBB_SLOT_DUE)
    watch->follows[index].held_bytes = worker->footprint_bytes;
  if (!reading.busy)
    worker->rest_bytes = worker->footprint_bytes;
  if (worker->footprint_bytes > worker->peak_bytes)
    worker->peak_bytes = worker->footprint_bytes;
  jobs__label(watch, index);
  arm(watch, index);
}

void gather__workers(struct watch *watch, uint64_t now_ns) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < watch->n_workers; i++) {
    if (!watch->follows[i].generation)
      continue;
    gather__worker(watch, i, false, now_ns);
    if (watch->workers[i].footprint_bytes != EBB_UNKNOWN)
      sum += watch->workers[i].footprint_bytes;
  }
  watch->host.pools_footprint_bytes = sum;
  contribution__tell(&watch->contribution, watch->workers, watch->n_workers, watch->host.level >= EBB_PRESSURE_ELEVATED,
                     now_ns);
}

void gather__private(struct watch *watch, uint32_t index, uint64_t now_ns) {
  struct ebb_worker_facts *worker = &watch->workers[index];
  uint64_t bytes;
  gather__worker(watch, index, true, now_ns);
  /* Not to be read: then nothing is known to be freed by it. */
  if (watch->sensor->ops->private_bytes(watch->sensor, index, &bytes))
    bytes = 0;
  worker->private_bytes = bytes < worker->footprint_bytes ? bytes : worker->footprint_bytes;
  worker->private_ns = now_ns;
}

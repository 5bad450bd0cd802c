/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What was seen, for `ebb` and for the next ebb-watch. */
#include <string.h>

#include "clock.h"
#include "text.h"
#include "watch.h"

#define SAMPLE_US 1000000ULL
/* A tick comes now and then a little early; a sample is due when most of its second has passed. */
#define SAMPLE_SLACK_US 100000ULL

static void store(struct watch *watch, void *record, const void *now, size_t n) {
  if (memcmp((const char *)record + sizeof(__u32), (const char *)now + sizeof(__u32), n - sizeof(__u32)) != 0)
    seqfile__store(&watch->trace, record, now, n);
}

static uint32_t kib(uint64_t bytes) {
  return bytes == EBB_UNKNOWN ? 0 : bytes / 1024 < UINT32_MAX ? (uint32_t)(bytes / 1024) : UINT32_MAX;
}

static void sample(struct watch *watch, uint32_t index, uint64_t at_us) {
  const struct ebb_worker_facts *worker = &watch->workers[index];
  struct follow *follow = &watch->follows[index];
  if (follow->sampled_us && at_us - follow->sampled_us < SAMPLE_US - SAMPLE_SLACK_US)
    return;
  follow->sampled_us = at_us;
  const struct trace_sample now = {
      .at_us = at_us,
      .generation = worker->generation,
      .state = worker->state | (worker->busy ? TRACE_STATE_BUSY : 0),
      .anon_kib = kib(worker->anon_bytes),
      .shmem_kib = kib(worker->shmem_bytes),
      .swap_kib = kib(worker->swap_bytes),
      .major_faults = worker->major_faults == EBB_UNKNOWN ? 0 : (uint32_t)worker->major_faults,
      .minor_faults = worker->minor_faults == EBB_UNKNOWN ? 0 : worker->minor_faults,
      .stall_us = worker->stall_us,
  };
  trace__push(&watch->trace, index, watch->view.pools[worker->pool].name, worker->slot, &now);
}

static void record_host(struct watch *watch, struct trace *trace) {
  const struct trace_host now = {.facts = watch->host, .wake_ups = watch->wake_ups};
  store(watch, &trace->host, &now, sizeof(now));
}

static void record_pool(struct watch *watch, struct trace *trace, uint32_t index) {
  struct trace_pool now = {.facts = watch->pools[index], .warnings = watch->warnings[index]};
  (void)text__copy(now.name, sizeof(now.name), watch->view.pools[index].name);
  store(watch, &trace->pools[index], &now, sizeof(now));
}

void record__worker(struct watch *watch, uint32_t index) {
  const struct trace_worker now = {
      .facts = watch->workers[index],
      .label_sequence = watch->follows[index].label_sequence,
  };
  store(watch, &trace__of(&watch->trace)->workers[index], &now, sizeof(now));
}

void record__all(struct watch *watch, uint64_t now_ns) {
  struct trace *trace = trace__of(&watch->trace);
  uint64_t at_us = clock__realtime_us();
  (void)now_ns;
  record_host(watch, trace);
  for (uint32_t i = 0; i < watch->view.n_pools; i++)
    record_pool(watch, trace, i);
  for (uint32_t i = 0; i < watch->n_workers; i++) {
    record__worker(watch, i);
    if (watch->follows[i].generation)
      sample(watch, i, at_us);
  }
}

void record__restore(struct watch *watch, uint32_t index) {
  struct ebb_worker_facts *worker = &watch->workers[index];
  struct trace_worker before;
  if (trace__worker(&watch->trace, index, &before) || before.facts.pid != worker->pid ||
      before.facts.generation != worker->generation || before.facts.born_ns != worker->born_ns)
    return;
  worker->jobs = before.facts.jobs;
  worker->peak_bytes = before.facts.peak_bytes;
  worker->rest_bytes = before.facts.rest_bytes;
  worker->turn_ns = before.facts.turn_ns;
  watch->follows[index].label_sequence = before.label_sequence;
}

void record__restore_pool(struct watch *watch, uint32_t pool) {
  struct trace_pool before;
  if (trace__pool(&watch->trace, pool, &before) || strcmp(before.name, watch->view.pools[pool].name))
    return;
  watch->warnings[pool] = before.warnings;
  piece__ended(&watch->pieces[pool], before.facts.piece_bytes);
}

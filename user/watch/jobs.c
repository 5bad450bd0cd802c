/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Which job did what: from turns of leases and the labels that workers leave there. */
#include <string.h>
#include <unistd.h>

#include "ebb/lease.h"
#include "jobstats.h"
#include "text.h"
#include "watch.h"

/* Judged at once when the footprint is within this of the limit; kernel counters may be off by a batch per CPU. */
#define NEAR_BYTES (4ULL * 1024 * 1024)

static int read_label(const struct follow *follow, char *label, uint64_t *ret_sequence) {
  char lease[EBB_LEASE_BYTES] = {0};
  if (follow->lease_fd < 0 || pread(follow->lease_fd, lease, sizeof(lease), 0) <= 0)
    return -1;
  return jobstats__label(lease, label, EBB_LABEL_BYTES, ret_sequence);
}

/*
 * Was this turn a job? A worker that writes labels tells by a new one that is not "-"; for one that never does, every turn
 * but the first (which says "ready") is a job.
 */
static bool was_job(const struct follow *follow, bool labelled, const char *label, uint64_t sequence, uint64_t turn) {
  if (labelled)
    return sequence != follow->label_sequence && strcmp(label, "-") != 0;
  return turn > 1 || follow->seasoned;
}

static void count(struct watch *watch, const struct sensor_event *event, const char *label) {
  const struct ebb_worker_facts *worker = &watch->workers[event->worker];
  const char *pool = watch->view.pools[worker->pool].name;
  uint32_t index = jobstats__find(watch->jobs, EBB_JOB_KINDS_MAX, pool, label);
  struct trace_job record = {0};
  jobstats__count(&watch->jobs[index], &(struct jobstats_run){
                                           .pool = pool,
                                           .label = label,
                                           .lasted_ns = event->held_ns,
                                           .before_bytes = event->before_bytes,
                                           .after_bytes = event->after_bytes,
                                           .peak_bytes = event->peak_bytes,
                                       });
  record.kind = watch->jobs[index];
  seqfile__store(&watch->trace, &trace__of(&watch->trace)->jobs[index], &record, sizeof(record));
}

bool jobs__released(struct watch *watch, const struct sensor_event *event, uint64_t now_ns) {
  struct follow *follow = &watch->follows[event->worker];
  struct ebb_worker_facts *worker = &watch->workers[event->worker];
  char label[EBB_LABEL_BYTES] = "";
  uint64_t sequence = 0;
  follow->released_ns = event->at_ns;
  bool labelled = read_label(follow, label, &sequence) == 0;
  if (was_job(follow, labelled, label, sequence, event->turn)) {
    worker->jobs++;
    count(watch, event, labelled ? label : "-");
  }
  if (labelled)
    follow->label_sequence = sequence;
  if (event->peak_bytes != EBB_UNKNOWN && event->peak_bytes > worker->peak_bytes)
    worker->peak_bytes = event->peak_bytes;
  if (event->after_bytes != EBB_UNKNOWN)
    worker->rest_bytes = event->after_bytes;
  if (worker->state == EBB_SLOT_DUE)
    (void)act__again(watch, event->worker);
  uint64_t limit = watch->rules[worker->pool].footprint_limit_bytes;
  bool near = limit != EBB_UNKNOWN && (event->after_bytes == EBB_UNKNOWN || event->after_bytes + NEAR_BYTES >= limit);
  if (near)
    gather__worker(watch, event->worker, true, now_ns);
  return near;
}

void jobs__label(struct watch *watch, uint32_t index) {
  struct ebb_worker_facts *worker = &watch->workers[index];
  uint64_t sequence;
  if (!worker->busy || read_label(&watch->follows[index], worker->job, &sequence) || !strcmp(worker->job, "-"))
    worker->job[0] = 0;
}

void jobs__restore(struct watch *watch) {
  struct trace_job record;
  for (uint32_t i = 0; i < EBB_JOB_KINDS_MAX; i++)
    if (trace__job(&watch->trace, i, &record) == 0)
      watch->jobs[i] = record.kind;
}

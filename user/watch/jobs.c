/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Which job did what: from turns of leases and the labels that workers leave there. */
#include <string.h>
#include <unistd.h>

#include "ebb/lease.h"
#include "jobstats.h"
#include "limit.h"
#include "text.h"
#include "watch.h"

/* Judged at once when the footprint is within this of the limit; kernel counters may be off by a batch per CPU. */
#define NEAR_BYTES (4ULL * 1024 * 1024)

static bool read_lease(const struct follow *follow, char lease[EBB_LEASE_BYTES]) {
  memset(lease, 0, EBB_LEASE_BYTES);
  return follow->lease_fd >= 0 && pread(follow->lease_fd, lease, EBB_LEASE_BYTES, 0) > 0;
}

/* Turns up to this one have begun. */
static uint64_t turns_begun(struct watch *watch, const struct sensor_event *event) {
  struct sensor_reading reading;
  bool read = !watch->sensor->ops->read(watch->sensor, event->worker, false, &reading);
  return read && reading.turns > event->turn ? reading.turns : event->turn;
}

/* A label was taken from the file: what was lost before it belongs to turns that have begun and have none there. A number
 * that the worker left out, or gave to a "-", must not make a job of a turn that is yet to come. */
static void note_lost(struct watch *watch, const struct sensor_event *event, const char *lease, uint64_t before) {
  struct follow *follow = &watch->follows[event->worker];
  char newest_label[EBB_LABEL_BYTES];
  uint64_t newest = follow->label_sequence;
  (void)jobstats__label(lease, newest_label, sizeof(newest_label), &newest);
  follow->lost_until = turns_begun(watch, event);
  uint64_t later = follow->lost_until - event->turn, labelled = newest - follow->label_sequence;
  uint64_t lost = follow->labels_lost + (follow->label_sequence - before - 1);
  uint64_t most = later > labelled ? later - labelled : 0;
  follow->labels_lost = lost < most ? lost : most;
}

/*
 * By the file, labels come in the order of the turns, but only the last two are there. One that was overwritten before it
 * was read leaves a gap in the numbers: its turn is counted without it.
 */
static bool take_from_lease(struct watch *watch, const struct sensor_event *event, char label[EBB_LABEL_BYTES]) {
  struct follow *follow = &watch->follows[event->worker];
  char lease[EBB_LEASE_BYTES];
  uint64_t before = follow->label_sequence;
  if (event->turn > follow->lost_until)
    follow->labels_lost = 0;
  if (read_lease(follow, lease) &&
      !jobstats__next_label(lease, before, label, EBB_LABEL_BYTES, &follow->label_sequence)) {
    note_lost(watch, event, lease, before);
    return strcmp(label, "-") != 0;
  }
  if (!follow->labels_lost)
    return false;
  follow->labels_lost--;
  return true;
}

/* From its own copy. What it has in the file is not for a later turn, which may leave none: its worker dies in it. */
static bool take_from_copy(struct follow *follow, const struct sensor_event *event, char label[EBB_LABEL_BYTES]) {
  uint64_t sequence;
  if (jobstats__label_line(event->label, sizeof(event->label), label, EBB_LABEL_BYTES, &sequence))
    return false;
  if (sequence > follow->label_sequence)
    follow->label_sequence = sequence;
  return true;
}

/*
 * Was this turn a job, and which? One that says "ready" is none, and its worker may tell so (see ebb/lease.h). A worker that
 * writes labels tells by a new one that is not "-"; for one that never does,
 * every turn but the first (which says "ready") is a job. Labels are not trusted: they only name a row.
 */
static bool was_job(struct watch *watch, const struct sensor_event *event, char label[EBB_LABEL_BYTES]) {
  struct follow *follow = &watch->follows[event->worker];
  bool named;
  if (event->labelled && !strncmp(event->label, EBB_LEASE_READY, sizeof(EBB_LEASE_READY) - 1))
    return false;
  if (event->labelled)
    named = take_from_copy(follow, event, label);
  else
    named = take_from_lease(watch, event, label);
  follow->labels |= named || follow->label_sequence;
  return follow->labels ? named && (!event->labelled || strcmp(label, "-") != 0) : event->turn > 1 || follow->seasoned;
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
                                           .minor_faults = event->minor_faults,
                                           .major_faults = event->major_faults,
                                           .stall_us = event->stall_us,
                                       });
  record.kind = watch->jobs[index];
  seqfile__store(&watch->trace, &trace__of(&watch->trace)->jobs[index], &record, sizeof(record));
}

/* This turn is the first one that it began after it was ordered to give memory back. */
static bool begins_to_obey(const struct ebb_worker_facts *worker, uint64_t turn_ns) {
  return worker->trimmed_ns && worker->turn_ns <= worker->trimmed_ns && turn_ns > worker->trimmed_ns;
}

static bool is_near_limit(const struct watch *watch, const struct sensor_event *event) {
  const struct ebb_worker_facts *worker = &watch->workers[event->worker];
  const struct ebb_pool_rules *rules = &watch->rules[worker->pool];
  uint64_t limit = limit__lowest_bytes(rules, worker);
  bool near = limit != EBB_UNKNOWN && (event->after_bytes == EBB_UNKNOWN || event->after_bytes + NEAR_BYTES >= limit);
  return near || worker->jobs >= limit__jobs(rules, worker);
}

/* Between two jobs: what is held now is what its jobs left behind. true: it should be judged now. */
static bool came_to_rest(struct watch *watch, const struct sensor_event *event, bool obeyed, uint64_t now_ns) {
  struct follow *follow = &watch->follows[event->worker];
  struct ebb_worker_facts *worker = &watch->workers[event->worker];
  if (event->after_bytes != EBB_UNKNOWN)
    worker->rest_bytes = event->after_bytes;
  if (follow->due)
    (void)act__again(watch, event->worker);
  if (follow->crossed) {
    follow->crossed = false;
    events__listen(watch, event->worker);
  }
  if (!obeyed && !is_near_limit(watch, event))
    return false;
  gather__worker(watch, event->worker, true, now_ns);
  record__worker(watch, event->worker);
  return true;
}

bool jobs__released(struct watch *watch, const struct sensor_event *event, uint64_t now_ns) {
  struct follow *follow = &watch->follows[event->worker];
  struct ebb_worker_facts *worker = &watch->workers[event->worker];
  char label[EBB_LABEL_BYTES] = "-";
  follow->released_ns = event->at_ns;
  uint64_t turn_ns = event->held_ns < event->at_ns ? event->at_ns - event->held_ns : 0; /* not if it is unknown */
  bool obeyed = begins_to_obey(worker, turn_ns);
  if (turn_ns)
    worker->turn_ns = turn_ns;
  if (was_job(watch, event, label)) {
    worker->jobs++;
    count(watch, event, label);
    record__worker(watch, event->worker); /* the next watch has it counted, should we end here */
    follow->counted = true;
  }
  if (event->peak_bytes != EBB_UNKNOWN && event->peak_bytes > worker->peak_bytes)
    worker->peak_bytes = event->peak_bytes;
  return event->resting && came_to_rest(watch, event, obeyed, now_ns);
}

/* Who looks now sees its jobs with its figures: once, however many there were. */
void jobs__counted(struct watch *watch, uint32_t index, uint64_t now_ns) {
  if (!watch->follows[index].counted)
    return;
  watch->follows[index].counted = false;
  gather__worker(watch, index, false, now_ns);
  record__worker(watch, index);
}

void jobs__label(struct watch *watch, uint32_t index) {
  struct ebb_worker_facts *worker = &watch->workers[index];
  char lease[EBB_LEASE_BYTES];
  uint64_t sequence;
  if (!worker->busy || !read_lease(&watch->follows[index], lease) ||
      jobstats__label(lease, worker->job, sizeof(worker->job), &sequence) || !strcmp(worker->job, "-"))
    worker->job[0] = 0;
}

void jobs__begin(struct watch *watch, uint32_t index) {
  struct follow *follow = &watch->follows[index];
  struct sensor_reading reading;
  char lease[EBB_LEASE_BYTES], label[EBB_LABEL_BYTES];
  uint64_t newest;
  follow->begun = true;
  if (!read_lease(follow, lease) || jobstats__label(lease, label, sizeof(label), &newest))
    return;
  follow->labels = true;
  if (follow->label_sequence)
    return; /* an earlier watch got that far */
  bool busy = !watch->sensor->ops->read(watch->sensor, index, false, &reading) && reading.busy;
  follow->label_sequence = busy && newest ? newest - 1 : newest;
}

void jobs__restore(struct watch *watch) {
  struct trace_job record;
  for (uint32_t i = 0; i < EBB_JOB_KINDS_MAX; i++)
    if (trace__job(&watch->trace, i, &record) == 0)
      watch->jobs[i] = record.kind;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "procfeed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "family.h"
#include "kcmp.h"
#include "lease.h"
#include "lease_paths.h"
#include "members.h"
#include "outbox.h"
#include "roster.h"
#include "sort.h"

struct procfeed_worker {
  bool followed;
  bool over; /* a sweep found nobody left: its numbers may be anybody's from then on */
  uint32_t generation;
  pid_t pid;
  uint64_t start_time;
  const char *lease_path;
  struct lease_key lease;
  uint64_t armed_bytes; /* EBB_UNKNOWN: disarmed */
  struct sensor_reading reading;
  struct members_faults faults, faults_gone; /* totals do not fall when a process goes */
  uint64_t before_bytes, peak_bytes;         /* of the turn that is on */
  struct members_faults rest, taken;         /* when it was last between jobs; and before the turn that is on */
};

struct procfeed {
  struct sensor sensor; /* first */
  uint32_t n_workers;   /* indexes under this are in use */
  uint64_t drops;
  struct outbox outbox;
  struct roster roster;
  struct roster sharers; /* those that live in their parent's memory: they have faults of their own, no more */
  struct procfeed_worker workers[EBB_SLOTS_MAX];
  struct lease_paths paths;
  /* Scratch of a sweep: the workers that are followed, in the order of their leases. */
  uint32_t n_order, order[EBB_SLOTS_MAX];
  struct lease_key leases[EBB_SLOTS_MAX];
  struct lease_use uses[EBB_SLOTS_MAX];
  struct family_root roots[EBB_SLOTS_MAX];
  struct family_member found[EBB_PROCS_MAX];
};

static struct procfeed *of(struct sensor *sensor) {
  return (struct procfeed *)(void *)sensor;
}

static struct procfeed_worker *worker_of(struct procfeed *feed, uint32_t index) {
  return index < feed->n_workers && feed->workers[index].followed ? &feed->workers[index] : NULL;
}

static uint64_t footprint(const struct procfeed_worker *worker) {
  const struct sensor_reading *r = &worker->reading;
  return r->processes ? r->anon_bytes + r->shmem_bytes + r->swap_bytes : EBB_UNKNOWN;
}

static uint64_t faults_since(uint64_t now, uint64_t then) {
  return now > then ? now - then : 0;
}

static void tell(struct procfeed *feed, uint32_t index, enum sensor_event_kind kind, uint64_t now_ns) {
  struct procfeed_worker *worker = &feed->workers[index];
  bool released = kind == SENSOR_RELEASED;
  struct sensor_event event = {
      .kind = kind,
      .worker = index,
      .generation = worker->generation,
      .at_ns = now_ns,
      .held_ns = released ? now_ns - worker->reading.taken_ns : 0,
      .turn = worker->reading.turns,
      .before_bytes = released ? worker->before_bytes : EBB_UNKNOWN,
      .after_bytes = footprint(worker),
      .peak_bytes = released ? worker->peak_bytes : EBB_UNKNOWN,
      .minor_faults = released ? faults_since(worker->reading.minor_faults, worker->taken.minor) : EBB_UNKNOWN,
      .major_faults = released ? faults_since(worker->reading.major_faults, worker->taken.major) : EBB_UNKNOWN,
      .stall_us = EBB_UNKNOWN,
      .resting = true,
  };
  if (!outbox__put(&feed->outbox, &event))
    feed->drops++;
}

/* A worker that waits for its lease is between jobs, whoever holds it: it has to be ebbd. */
static void see_lease(struct procfeed *feed, uint32_t index, const struct lease_use *use, uint64_t now_ns) {
  struct procfeed_worker *worker = &feed->workers[index];
  struct sensor_reading *reading = &worker->reading;
  bool busy = use->held && !use->awaited, was_busy = reading->busy;
  uint64_t bytes = footprint(worker);
  if (!busy && reading->fresh_bytes == EBB_UNKNOWN && (use->awaited || !reading->turns))
    reading->fresh_bytes = bytes;
  if (busy && !was_busy) {
    reading->turns++;
    reading->taken_ns = now_ns;
    worker->peak_bytes = worker->before_bytes;
    worker->taken = worker->rest;
  }
  if ((busy || was_busy) && bytes != EBB_UNKNOWN && (bytes > worker->peak_bytes || worker->peak_bytes == EBB_UNKNOWN))
    worker->peak_bytes = bytes;
  if (!busy && was_busy)
    tell(feed, index, SENSOR_RELEASED, now_ns);
  reading->busy = busy;
  if (!busy) {
    reading->taken_ns = 0;
    worker->before_bytes = bytes;
    worker->rest = (struct members_faults){reading->minor_faults, reading->major_faults};
  }
}

static void keep(uint64_t *total, uint64_t *gone, uint64_t now) {
  if (now < *total)
    *gone += *total - now;
  *total = now;
}

/* 0, or -ESRCH: none of the worker's processes is left. */
static int see_memory(struct procfeed_worker *worker, struct roster_crew crew, struct roster_crew sharers) {
  struct sensor_reading *reading = &worker->reading;
  struct members_faults faults, more = {0};
  struct procmem memory;
  int r = members__memory(crew.pids, crew.n, &memory);
  if (!r)
    r = members__faults(crew.pids, crew.n, &faults);
  reading->processes = r ? 0 : crew.n;
  if (r)
    return r;
  (void)members__faults(sharers.pids, sharers.n, &more);
  keep(&worker->faults.minor, &worker->faults_gone.minor, faults.minor + more.minor);
  keep(&worker->faults.major, &worker->faults_gone.major, faults.major + more.major);
  reading->anon_bytes = memory.anon_bytes;
  reading->shmem_bytes = memory.shmem_bytes;
  reading->swap_bytes = memory.swap_bytes;
  reading->minor_faults = worker->faults.minor + worker->faults_gone.minor;
  reading->major_faults = worker->faults.major + worker->faults_gone.major;
  return 0;
}

/* Memory that a child shares with its parent, for good or until it execs, is there once. */
static void note(struct procfeed *feed, uint32_t index, const struct family_member *member) {
  bool shares = member->pid != feed->workers[index].pid && kcmp__same_memory(member->pid, member->ppid);
  (void)roster__note(shares ? &feed->sharers : &feed->roster, index, member->pid);
}

/* Find the processes of n workers; their roots are named by indexes[]. */
static int see_families(struct procfeed *feed, const uint32_t *indexes, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    const struct procfeed_worker *worker = &feed->workers[indexes[i]];
    feed->roots[i] = (struct family_root){
        .pid = worker->over ? 0 : worker->pid,
        .start_time = worker->start_time,
        .lease = worker->over ? NULL : worker->lease_path,
    };
  }
  int found = n ? family__scan(feed->roots, n, feed->found, EBB_PROCS_MAX) : 0;
  if (found < 0)
    return found;
  roster__clear(&feed->roster, feed->n_workers);
  roster__clear(&feed->sharers, feed->n_workers);
  for (int i = 0; i < found; i++)
    if (!feed->found[i].zombie && feed->found[i].root < n)
      note(feed, indexes[feed->found[i].root], &feed->found[i]);
  roster__sort(&feed->roster, feed->n_workers);
  roster__sort(&feed->sharers, feed->n_workers);
  return 0;
}

static int by_lease(const void *a, const void *b, void *arg) {
  const struct procfeed *feed = arg;
  return lease_key__order(&feed->workers[*(const uint32_t *)a].lease, &feed->workers[*(const uint32_t *)b].lease);
}

static void set_order(struct procfeed *feed) {
  feed->n_order = 0;
  for (uint32_t i = 0; i < feed->n_workers; i++)
    if (feed->workers[i].followed)
      feed->order[feed->n_order++] = i;
  sort__in_place(feed->order, feed->n_order, sizeof(feed->order[0]), by_lease, feed);
}

/* Look at the workers order[0..n_order). */
static int look(struct procfeed *feed) {
  int r = see_families(feed, feed->order, feed->n_order);
  for (uint32_t i = 0; i < feed->n_order; i++)
    feed->leases[i] = feed->workers[feed->order[i]].lease;
  if (!r)
    r = locks__read(feed->leases, feed->n_order, feed->uses);
  if (r)
    return r;
  uint64_t now_ns = clock__monotonic_ns();
  for (uint32_t i = 0; i < feed->n_order; i++) {
    uint32_t index = feed->order[i];
    struct roster_crew crew = roster__crew(&feed->roster, index);
    feed->workers[index].over |= !crew.n;
    (void)see_memory(&feed->workers[index], crew, roster__crew(&feed->sharers, index));
    see_lease(feed, index, &feed->uses[i], now_ns);
    if (footprint(&feed->workers[index]) == EBB_UNKNOWN ||
        footprint(&feed->workers[index]) < feed->workers[index].armed_bytes)
      continue;
    feed->workers[index].armed_bytes = EBB_UNKNOWN;
    tell(feed, index, SENSOR_CROSSED, now_ns);
  }
  return 0;
}

static int procfeed__sweep(struct sensor *sensor) {
  set_order(of(sensor));
  return look(of(sensor));
}

static int look_at(struct procfeed *feed, uint32_t index) {
  feed->n_order = 1;
  feed->order[0] = index;
  return look(feed);
}

static void procfeed__remove(struct sensor *sensor, uint32_t index) {
  struct procfeed_worker *worker = worker_of(of(sensor), index);
  if (!worker)
    return;
  memset(worker, 0, sizeof(*worker));
}

static int procfeed__add(struct sensor *sensor, const struct sensor_target *target) {
  struct procfeed *feed = of(sensor);
  struct lease_key key;
  if (target->worker >= EBB_SLOTS_MAX)
    return -ERANGE;
  int r = lease__key(target->lease_fd, &key);
  if (r)
    return r;
  struct procstat stat;
  r = procstat__read(target->pid, &stat);
  if (r)
    return r;
  const char *path = lease_paths__put(&feed->paths, target->worker, target->lease_path);
  if (!path)
    return -ENAMETOOLONG;
  procfeed__remove(sensor, target->worker);
  feed->workers[target->worker] = (struct procfeed_worker){
      .followed = true,
      .generation = target->generation,
      .pid = target->pid,
      .start_time = stat.start_time,
      .lease_path = path,
      .lease = key,
      .armed_bytes = EBB_UNKNOWN,
      .before_bytes = EBB_UNKNOWN,
      .peak_bytes = EBB_UNKNOWN,
      .reading.fresh_bytes = EBB_UNKNOWN,
      .reading.stall_us = EBB_UNKNOWN,
  };
  if (feed->n_workers <= target->worker)
    feed->n_workers = target->worker + 1;
  return 0;
}

static void procfeed__arm(struct sensor *sensor, uint32_t index, uint64_t bytes) {
  struct procfeed_worker *worker = worker_of(of(sensor), index);
  if (worker)
    worker->armed_bytes = bytes;
}

/* Every end of a turn that a sweep sees is told anyway. */
static void procfeed__eager(struct sensor *sensor, uint32_t index, bool on) {
  (void)sensor, (void)index, (void)on;
}

static int procfeed__read(struct sensor *sensor, uint32_t index, bool exact, struct sensor_reading *ret) {
  struct procfeed *feed = of(sensor);
  const struct procfeed_worker *worker = worker_of(feed, index);
  if (!worker)
    return -ENOENT;
  int r = exact || !worker->reading.processes ? look_at(feed, index) : 0;
  if (r)
    return r;
  if (!worker->reading.processes)
    return -ESRCH;
  *ret = worker->reading;
  return 0;
}

static int procfeed__private(struct sensor *sensor, uint32_t index, uint64_t *ret_bytes) {
  struct procfeed *feed = of(sensor);
  if (!worker_of(feed, index))
    return -ENOENT;
  int r = see_families(feed, &index, 1);
  if (r)
    return r;
  struct roster_crew crew = roster__crew(&feed->roster, index);
  return members__private(crew.pids, crew.n, ret_bytes);
}

static int procfeed__events(struct sensor *sensor, struct sensor_event *to, int max) {
  return outbox__take(&of(sensor)->outbox, to, max);
}

static int procfeed__fd(struct sensor *sensor) {
  (void)sensor;
  return -1;
}

static uint64_t procfeed__drops(struct sensor *sensor) {
  return of(sensor)->drops;
}

static void procfeed__set_level(struct sensor *sensor, uint32_t level) {
  (void)sensor, (void)level;
}

static uint32_t procfeed__level(struct sensor *sensor) {
  (void)sensor;
  return 0;
}

static enum ebb_tier procfeed__tier(struct sensor *sensor) {
  (void)sensor;
  return EBB_TIER_PROC;
}

static void procfeed__close(struct sensor *sensor) {
  struct procfeed *feed = of(sensor);
  if (!feed)
    return;
  free(feed);
}

int procfeed__open(struct sensor **ret) {
  static const struct sensor_ops ops = {
      .name = "proc",
      .add = procfeed__add,
      .remove = procfeed__remove,
      .arm = procfeed__arm,
      .eager = procfeed__eager,
      .sweep = procfeed__sweep,
      .read = procfeed__read,
      .private_bytes = procfeed__private,
      .events = procfeed__events,
      .fd = procfeed__fd,
      .drops = procfeed__drops,
      .tier = procfeed__tier,
      .set_level = procfeed__set_level,
      .level = procfeed__level,
      .close = procfeed__close,
  };
  struct procfeed *feed = calloc(1, sizeof(*feed));
  if (!feed)
    return -ENOMEM;
  feed->sensor.ops = &ops;
  *ret = &feed->sensor;
  return 0;
}

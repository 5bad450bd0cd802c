/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The sensor on the kernel programs. Counters of the kernel side are cheap and a little off (per-CPU parts): they say
 * when something moved; what is answered in bytes was then asked from /proc.
 */
#ifndef KERN_FEED_H
#define KERN_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lease.h"
#include "lease_paths.h"
#include "loader.h"
#include "members.h"
#include "outbox.h"
#include "sensor.h"
#include "tally.h"

/* One worker that is followed. */
struct feed_worker {
  uint32_t life; /* 0: not followed */
  uint32_t generation;
  pid_t pid;
  const char *lease_path;
  struct lease_key lease;
  uint64_t armed_bytes; /* EBB_UNKNOWN: disarmed */
  uint32_t early;       /* nominations in vain since the last sweep */
  uint32_t changes;     /* as of the last sweep */
  bool searched;        /* its present descendants have been looked for; since then its forks have been followed */
  bool grown;           /* descendants were found: its lease must be looked at again */
  bool stall_known;     /* stalls have been measured at some time while it was followed */
  /* What /proc said last, and what the kernel side said then: when that moves, it is asked again. */
  bool asked;
  struct procmem memory;
  struct tally_worker then;
  int64_t pages_then;
  int64_t off_pages; /* by how much the kernel side's sum was off at the last sweep */
  /* Of those that are followed, and of those that have gone: totals do not fall. */
  struct members_faults faults, faults_gone;
};

struct ring_buffer;

struct feed {
  struct sensor sensor; /* first: a feed is a sensor */
  struct loader loader;
  struct ring_buffer *ring;
  enum ebb_tier tier;
  uint64_t page_bytes;
  uint64_t slop_pages; /* by how much the counters of one process may be off */
  uint32_t life;       /* the last one given */
  bool search_due;     /* there is a worker whose present descendants are not known */
  uint64_t missed;     /* as of the last search */
  bool short_of_room;  /* there was none for all that the last search found; the next sweep searches again */
  uint32_t n_adopted;
  pid_t adopted[EBB_PROCS_MAX]; /* since the last search */
  struct tally tally;
  struct outbox outbox;
  struct sensor_event *to; /* while the ring is being emptied */
  int n_to, max_to;
  struct feed_worker workers[EBB_SLOTS_MAX];
  struct lease_paths paths;
};

/* 0, or negative errno and one line on why. */
int feed__open(const struct loader_options *options, struct sensor **ret, char *why, size_t why_bytes);

/* The parts of the feed, for each other. */

/* feed_search.c: put a process into the kernel's map by hand; its address space is found by the next sweep. */
int feed__adopt(struct feed *feed, uint32_t index, pid_t pid);
/* Find the descendants that workers had before they were followed. 0 or negative errno. */
int feed__search(struct feed *feed);
/* Have the kernel side look who holds the lease of this descriptor. */
void feed__look(struct feed *feed, int lease_fd);

/* feed_read.c */
int feed__sweep_all(struct feed *feed);
int feed__read(struct sensor *sensor, uint32_t index, bool exact, struct sensor_reading *ret);
int feed__private(struct sensor *sensor, uint32_t index, uint64_t *ret_bytes);
/* Ask /proc what the worker's processes hold and remember the answer. 0, -ESRCH: none is left, … */
int feed__ask(struct feed *feed, uint32_t index);

/* feed_event.c */
void feed__arm(struct sensor *sensor, uint32_t index, uint64_t bytes);
int feed__events(struct sensor *sensor, struct sensor_event *to, int max);
/* Callback of the ring. */
int feed__take(void *arg, void *record, size_t n);
/* After a sweep: report what reached its threshold without the kernel side's noticing. */
void feed__overtake(struct feed *feed, uint64_t now_ns);

static inline struct feed *feed__of(struct sensor *sensor) {
  return (struct feed *)(void *)sensor;
}
static inline struct feed_worker *feed__worker(struct feed *feed, uint32_t index) {
  return index < EBB_SLOTS_MAX && feed->workers[index].life ? &feed->workers[index] : NULL;
}

#endif

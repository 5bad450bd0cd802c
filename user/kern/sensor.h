/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What any sensor gives: the memory, job turns and faults of workers, by index. Two sensors stand behind it: the
 * kernel programs (feed) and sweeps of /proc (procfeed). The watch does not know which one it has.
 */
#ifndef KERN_SENSOR_H
#define KERN_SENSOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ebb/facts.h"
#include "ebb/lease.h"

/* A worker to follow. */
struct sensor_target {
  uint32_t worker; /* index, < EBB_SLOTS_MAX */
  uint32_t generation;
  pid_t pid;
  int lease_fd;           /* open for reading, needed for the call only; a lock held through it stays as it is */
  const char *lease_path; /* as in EBB_LEASE; copied */
};

/*
 * How near the footprints are; tests/bpf/test_accuracy.c holds them to it.
 *
 * E, what the kernel itself keeps back of each process's counters, is from 6.2 on under max(32, 2 × CPUs) pages for each
 * CPU and each of the three counters (percpu_counter_batch): 0.75 MiB on 2 CPUs, 6 MiB on 16, 96 MiB on 64. Up to 6.1 it
 * is what each thread's last 65 faults brought (TASK_RSS_EVENTS_THRESH): a page each, or up to 16 where shared memory is
 * only read.
 *
 * - An exact reading is what /proc/<pid>/status says at that moment, RssAnon + RssShmem + VmSwap, of all processes. Status
 *   is true from 6.16 on; before, it is off by E.
 * - Another reading is as exact as of the last sweep, but for movements too small to ask for: 256 KiB for each of the three,
 *   and twice E, whatever the number of sweeps.
 * - In events, and where thresholds are watched, sums of the kernel side count: off by E while growth is followed live
 *   (level 1), as long as the counter that moves is above the filter of the nearest threshold. What is not followed live,
 *   or was counted twice by two CPUs, or not at all by a process that just ended, the next sweep puts right; what races
 *   left behind for good, the one after it.
 *
 * Shared memory that is in swap is in no figure: the kernel counts it for nobody.
 */

/* What is known of one worker. Bytes; unknown values are EBB_UNKNOWN. */
struct sensor_reading {
  uint64_t anon_bytes, shmem_bytes, swap_bytes;
  uint64_t minor_faults, major_faults;
  uint64_t stall_us;    /* its threads waited for memory, while that was measured; unknown if it never was */
  uint64_t turns;       /* times its lease was taken (a sensor of sweeps sees only some of them) */
  uint64_t fresh_bytes; /* footprint when it first took its lease since it was added; or unknown */
  uint64_t taken_ns;    /* when the lease was last taken, while busy */
  uint32_t processes;
  bool busy;
};

enum sensor_event_kind { SENSOR_CROSSED, SENSOR_RELEASED };

/* Something that should be judged at once. SENSOR_RELEASED: one lock was let go; see struct ebb_event for what is charged
 * to jobs that overlap. Everything but who, when and which turn may be unknown. */
struct sensor_event {
  enum sensor_event_kind kind;
  uint32_t worker;
  uint32_t generation;
  uint64_t at_ns;
  uint64_t held_ns;
  uint64_t turn;
  uint64_t before_bytes, after_bytes, peak_bytes;
  uint64_t minor_faults, major_faults, stall_us;
  bool resting;  /* no other lock of this worker is held */
  bool labelled; /* `label` is what the worker itself keeps of this turn; else look into the lease */
  char label[EBB_LEASE_LABEL_FIELD]; /* a label line, not to be trusted, or nothing */
};

struct sensor; /* opaque */

struct sensor_ops {
  const char *name;
  /* Follow a worker; its present descendants are found. 0 or negative errno. */
  int (*add)(struct sensor *sensor, const struct sensor_target *target);
  void (*remove)(struct sensor *sensor, uint32_t worker);
  /* Report SENSOR_CROSSED when the footprint reaches this (EBB_UNKNOWN: never); one report an arming. */
  void (*arm)(struct sensor *sensor, uint32_t worker, uint64_t bytes);
  /* Report each SENSOR_RELEASED at once, also after very short turns: somebody waits for this worker's job to end. */
  void (*eager)(struct sensor *sensor, uint32_t worker, bool on);
  /* Look at all workers afresh: memory, faults. Cheap enough for once a second. */
  int (*sweep)(struct sensor *sensor);
  /* Newest reading; `exact`: ask /proc now for this worker, whatever it costs. 0, -ENOENT (not followed), -ESRCH. */
  int (*read)(struct sensor *sensor, uint32_t worker, bool exact, struct sensor_reading *ret);
  /* What retiring it would free: see procrollup. Dear. 0 or negative errno. */
  int (*private_bytes)(struct sensor *sensor, uint32_t worker, uint64_t *ret_bytes);
  /* Hand over what happened; returns the number of events, at most max (then there may be more). Sweeps find events too,
   * without making the descriptor readable: to be called after each. */
  int (*events)(struct sensor *sensor, struct sensor_event *to, int max);
  /* Polls readable when there are events; -1: events come only after a sweep. */
  int (*fd)(struct sensor *sensor);
  uint64_t (*drops)(struct sensor *sensor);
  enum ebb_tier (*tier)(struct sensor *sensor);
  /* How closely to look, see core/level.h; opened at 1. A sensor that has no such level stays below. */
  void (*set_level)(struct sensor *sensor, uint32_t level);
  uint32_t (*level)(struct sensor *sensor); /* that it is at */
  void (*close)(struct sensor *sensor);
};

struct sensor {
  const struct sensor_ops *ops;
};

/* The best sensor that this machine allows, or `want`: "auto", "bpf", "proc". *ret_why: one line on why it is not bpf (may be
 * empty). 0 or negative errno (only when `want` is "bpf", or out of memory). Closed by ops->close. */
int sensor__open(const char *want, bool verbose, struct sensor **ret, char *ret_why, size_t why_bytes);
/* The same for a sensor whose kernel side outlives it, in that directory of bpffs, and is found there by the next one. What
 * was followed and is not added again before the first sweep is forgotten. */
int sensor__open_kept(const char *want, bool verbose, const char *pins, struct sensor **ret, char *ret_why,
                      size_t why_bytes);
/* Of the kernel side of this build: another's is of no use to it. */
uint64_t sensor__version(void);

#endif

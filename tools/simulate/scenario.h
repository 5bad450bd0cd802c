/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A scenario file: a host, its configuration, its jobs, and what is expected of them. INI, read by libinih as ebb.conf is.
 *
 *   [run]            how long, which seed, with the watchdog or without
 *   [host]           memory, CPUs, swap; what of it others take
 *   [ebb] [pool:P]   exactly as in ebb.conf: they are read by core/config; shares such as 25% are of the host's memory
 *   [workers:P]      what a worker of pool P is like before it has had a job
 *   [jobs:LABEL]     one kind of job: when they come, how long they take, what they hold and leave behind
 *   [expect]         bounds: METRIC <= NUMBER, or >=; metrics as in measure.h
 *   [mutant:NAME]    a run that breaks bounds, so that they are known to say something:
 *                    set = SECTION.KEY VALUE (as often as needed), breaks = METRIC …
 *
 * All that a command line changes is such a `set` too. Keys are in scenario_key.c.
 */
#ifndef SIMULATE_SCENARIO_H
#define SIMULATE_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "draw.h"

#define SCENARIO_ENTRIES_MAX 1024
#define SCENARIO_JOBS_MAX 32
#define SCENARIO_BOUNDS_MAX 64
#define SCENARIO_NAME_BYTES 64

struct scenario_run {
  uint64_t lasts_ns;
  uint32_t seed;
  uint32_t watchdog; /* 0: nobody judges */
};

struct scenario_host {
  uint64_t memory_bytes;
  uint64_t system_bytes; /* others hold that, and need it */
  uint64_t cache_bytes;  /* page cache that the jobs need to be fast */
  uint64_t swap_bytes;
  uint64_t swap_speed_bytes; /* a second, in and out together */
  uint32_t zram_ratio;       /* 0: swap is on a disk; else what is in it takes that part of its size in memory */
  uint32_t cpus;
  uint32_t touch_permille; /* so much of the memory in use do tasks touch anew each second that they run */
  uint32_t stall_permille; /* time that others stall, whatever we do: harmless */
};

struct scenario_workers {
  struct draw baseline, start, stop; /* bytes, ns, ns */
  uint64_t shared_bytes;             /* of the baseline, shared with the other workers */
};

struct scenario_jobs {
  char label[EBB_LABEL_BYTES];
  char pool_name[EBB_NAME_BYTES];
  uint32_t pool;
  uint32_t burst; /* so many come at a time */
  struct draw every, takes, memory, leaks;
  uint32_t
      keeps_permille; /* of what the job held, its worker's heap does not give back; it is used again by the next */
};

struct scenario_bound {
  unsigned line;
  char metric[SCENARIO_NAME_BYTES];
  bool at_least; /* else at most */
  double value;
};

struct scenario_entry {
  unsigned line;
  char section[SCENARIO_NAME_BYTES], name[SCENARIO_NAME_BYTES], value[256]; /* empty name: the section begins */
};

struct scenario_error {
  char text[512];
};

struct scenario {
  const char *path;
  unsigned n_entries;
  struct scenario_entry entries[SCENARIO_ENTRIES_MAX];
  struct scenario_run run;
  struct scenario_host host;
  struct config config;
  struct scenario_workers workers[EBB_POOLS_MAX]; /* by pool */
  uint32_t n_jobs, n_bounds;
  struct scenario_jobs jobs[SCENARIO_JOBS_MAX];
  struct scenario_bound bounds[SCENARIO_BOUNDS_MAX];
  char breaks[256]; /* of the mutant that this is; empty: of none */
};

/* Read the text as it is. 0 or -EINVAL, and what is wrong where. The source has to stay. */
int scenario__read(struct scenario *ret, const struct source *source, struct scenario_error *error);
/* "section.key value" or "section.key=value", before it is made sense of. */
int scenario__set(struct scenario *scenario, const char *what, struct scenario_error *error);
/* What that mutant sets. -ENOENT: there is none of that name. */
int scenario__mutate(struct scenario *scenario, const char *name, struct scenario_error *error);
/* Make sense of all of it. */
int scenario__settle(struct scenario *scenario, struct scenario_error *error);

/* Names of the mutants, in their order: the n-th, or NULL. */
const char *scenario__mutant(const struct scenario *scenario, unsigned n);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A simulated host: what memory is taken, what that costs. A model to compare by, not a kernel.
 *
 * Memory is hot (tasks at work touch `touch` of it a second) or cold (nobody touches it). Hot are what jobs hold at the
 * moment, the baselines of their workers, what others hold, and the page cache that jobs need. Cold is the rest: idle
 * workers, and what jobs left behind.
 *
 * What does not fit goes to swap at once, cold before hot, and comes back as soon as there is room (a real kernel leaves it
 * there until it is touched). With zram, swap takes a part of its size in memory. Where the cold is not enough, hot memory
 * is missing: a task that touches it waits until the swap device, one for all, has brought it and taken other memory out.
 * So does a task that grows while memory is short, for as much as has to go out beyond what the kernel pushes out in the
 * background: half of what the device can. With W bytes to be moved in each second in
 * which all tasks run, at a device of S bytes a second, tasks run for r = 1 / (1 + W / S) of the time; and on fewer CPUs than
 * tasks, for their part of that. PSI for n tasks that wait independently of each other: some = 1 - r^n, full = (1 - r)^n.
 *
 * Page cache is dropped only when there is no swap left; when nine tenths of it are gone, the kernel kills the largest
 * worker. MemAvailable is all that nobody holds, page cache included.
 */
#ifndef SIMULATE_HOST_H
#define SIMULATE_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "scenario.h"

/* What the workers take together. Bytes. */
struct host_load {
  double hot, cold;
  double growth; /* a second in which all tasks run */
  uint32_t busy;
};

struct host {
  /* As of the last load. */
  double rate;         /* of the time, do tasks get on */
  double waits;        /* of the time, do they wait for memory */
  double some, full;   /* of the time */
  double moved;        /* bytes a second, in and out */
  double cold_swapped; /* share of cold memory that is in swap */
  double hot_swapped;  /* share of hot memory that is not there */
  double faulted;      /* share of the hot memory that comes back a second */
  double swap_used, available;
  bool out_of_memory; /* somebody has to be killed */
  /* Running totals. */
  double some_us, full_us, moved_bytes;
};

void host__load(struct host *host, const struct scenario_host *rules, const struct host_load *load);
/* As much time passes under the load that there is. */
void host__pass(struct host *host, uint64_t ns);

#endif

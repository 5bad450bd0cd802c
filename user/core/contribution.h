/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Whose doing is the pressure? From absolute figures of all workers, looked at again and again, each worker's share of
 * what all of them demanded, and suffered, within about the last ten seconds. Pure: time is an argument.
 *
 * Demanded is what the kernel had to find memory for:
 *   - growth: the footprint rose (swapping moves memory within a footprint, and is no growth);
 *   - what came back. Two figures tell of it, both too low, so the larger one counts at each look: by how much swap fell
 *     while anonymous memory rose, which is blind to a worker that thrashes evenly, as much out as in; and a page for
 *     each major fault, which is blind to read-ahead: pages that came along. Pages of files that are read again and
 *     again, because no page cache is left, are in the second one too: they are demanded just the same.
 * Suffered is the stall, where it is measured.
 *
 * One figure out of both: the mean of the two shares. Demand alone would pass over who makes the others wait by what it
 * reads with system calls; stall alone would blame the victim, whose pages another one pushes out. The shares of all
 * workers still add up to one, so that a limit in per cent keeps its meaning. A share of next to nothing is noise, not
 * known: then, and where a worker's stall is not measured, the other share alone is the figure.
 *
 * The window: sums of the present ten seconds and of the ten before, the latter fading out evenly as the former grow. What
 * is forgotten does not depend on how often is looked. Looks go on while all is calm: who took the memory whose lack is
 * felt now did so before it was felt. A worker that has left keeps what it demanded in the window: those whom it pushed out must
 * not look like the culprits as soon as it has gone.
 */
#ifndef CORE_CONTRIBUTION_H
#define CORE_CONTRIBUTION_H

#include <stdbool.h>
#include <stdint.h>

#include "ebb/bounds.h"
#include "ebb/facts.h"

#define CONTRIBUTION_WINDOW_NS (10ULL * 1000000000ULL)
/* All workers together, within the window; under it, what there is of pressure is made by others. An idle host refaults
 * up to 60 pages a second, which is a third of it. */
#define CONTRIBUTION_LEAST_BYTES (8ULL * 1024 * 1024)
#define CONTRIBUTION_LEAST_STALL_US 100000ULL

/* Sums of a window: those of its present part, and of the part before. */
struct contribution_sum {
  uint64_t now, before;
};

struct contribution_worker {
  uint32_t generation; /* of whom; 0: of nobody */
  int32_t pid;
  uint64_t footprint_bytes, anon_bytes, swap_bytes, major_faults, stall_us; /* when last known; or EBB_UNKNOWN */
  struct contribution_sum demand_bytes, suffered_us;
};

struct contribution {
  uint32_t page_bytes, n_workers;
  uint64_t looked_ns, turned_ns;
  struct contribution_sum gone_demand_bytes, gone_suffered_us; /* of workers that have left */
  uint64_t demand_bytes, suffered_us;                          /* of all, within the window, as of the last look */
  struct contribution_worker workers[EBB_SLOTS_MAX];
};

void contribution__init(struct contribution *contribution, uint32_t page_bytes);
/*
 * Look at all workers; indexes are theirs from look to look. Where another generation or process is at an index, or
 * nobody, the one before has left. A worker begins with its first look: what it held by then is not demanded of anybody.
 * A figure that is not known at a look is waited for; one that fell begins anew. A look back in time is ignored.
 */
void contribution__look(struct contribution *contribution, const struct ebb_worker_facts *workers, uint32_t n_workers,
                        uint64_t now_ns);
/* As of the last look. EBB_UNKNOWN: there is nothing to share, or no such worker. */
uint64_t contribution__permille(const struct contribution *contribution, uint32_t worker);
/* Look, and write each worker's share into its facts; while not pressed: unknown. As long as memory is there for all, who
 * takes it does nobody harm. */
void contribution__tell(struct contribution *contribution, struct ebb_worker_facts *workers, uint32_t n_workers,
                        bool pressed, uint64_t now_ns);

#endif

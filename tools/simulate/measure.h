/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a run comes to. Beside the metrics of the list, each with its unit:
 *
 *   retired/REASON         retirements for that reason                           count
 *   runs/LABEL             jobs of that kind that were finished                  count
 *   retained_share/LABEL   of all that jobs left behind, what those did          share
 */
#ifndef SIMULATE_MEASURE_H
#define SIMULATE_MEASURE_H

#include "policy.h"
#include "scenario.h"

/* Of the units, all but COUNT are shown as people write them. */
#define METRICS(X)                                                                                                     \
  X(peak_bytes, BYTES, "most that all workers held")                                                                   \
  X(mean_bytes, BYTES, "what they held over time")                                                                     \
  X(peak_swap_bytes, BYTES, "most that was in swap")                                                                   \
  X(stall_some, SHARE, "time in which some task waited for memory")                                                    \
  X(stall_full, SHARE, "time in which all of them did")                                                                \
  X(arrived, COUNT, "jobs that came")                                                                                  \
  X(finished, COUNT, "jobs that were done")                                                                            \
  X(throughput, SHARE, "jobs done, of those that came")                                                                \
  X(lost, COUNT, "jobs lost as the kernel killed their worker")                                                        \
  X(interrupted, COUNT, "jobs that the keeper broke off")                                                              \
  X(wait_s, SECONDS, "a job waited for a worker, in the mean")                                                         \
  X(job_s, SECONDS, "a job took, in the mean")                                                                         \
  X(retired, COUNT, "retirements")                                                                                     \
  X(starts, COUNT, "workers started")                                                                                  \
  X(killed, COUNT, "workers killed by the kernel")                                                                     \
  X(empty, SHARE, "slot time without a worker that serves")                                                            \
  X(below_baseline, COUNT, "turns at which a pool's limit was refused")                                                \
  X(reads, COUNT, "readings of private bytes, which are dear")                                                         \
  X(judged, COUNT, "turns")

enum measure_unit { MEASURE_BYTES, MEASURE_SHARE, MEASURE_COUNT, MEASURE_SECONDS };

struct measure {
#define X(name, unit, text) double name;
  METRICS(X)
#undef X
  /* Sums that some of them are made of. */
  double passed_s, byte_s, empty_s, slot_s, waited_s, worked_s, taken;
  double retired_for[REASON_N];
  struct ebb_job_kind kinds[EBB_JOB_KINDS_MAX];
};

struct metric {
  const char *name, *text;
  enum measure_unit unit;
};
extern const struct metric metrics[]; /* up to one without a name, in the order of the fields */

struct world;
struct worker;

/* What happens. */
void measure__pass(struct world *world, uint64_t ns); /* under the load that there is */
void measure__look(struct world *world);              /* peaks */
void measure__began(struct measure *measure, uint64_t waited_ns);
void measure__finished(struct world *world, const struct worker *worker, double peak);
void measure__retired(struct measure *measure, enum reason reason);
void measure__killed(struct measure *measure, bool at_a_job);
void measure__judged(struct measure *measure, const struct plan *plan);

/* Work out means and shares: once, at the end. */
void measure__finish(struct measure *measure);
/* -ENOENT: there is no such metric, reason or label. Called after finish. */
int measure__value(const struct measure *measure, const char *name, double *ret);

#endif

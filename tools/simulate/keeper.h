/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A simulated ebbd with its workers: fills slots, hands them jobs, and does what a plan says, by the table of core/slot.
 *
 * It keeps ebbd's promises: a worker at a job is due, and goes when that ends. Of several idle workers, the one that has
 * been so for longest takes the next job. A job's memory grows evenly over the first half of its work and is given back at
 * its end, but for what its kind leaks, and for what its kind keeps: a heap that the next job uses again. A worker that the
 * kernel has killed loses its job for good.
 *
 * Two clocks: time, and progress, which is time in which tasks got on (host.h). Jobs end by the latter.
 */
#ifndef SIMULATE_KEEPER_H
#define SIMULATE_KEEPER_H

#include "host.h"
#include "jobs.h"
#include "policy.h"
#include "slot.h"

struct worker {
  uint32_t pool, slot, generation;
  int32_t pid;
  enum ebb_slot_state state;
  bool busy;
  uint64_t born_ns, since_ns, taken_ns;
  uint64_t until_ns; /* something happens by itself then; UINT64_MAX: nothing */
  uint32_t failures;
  bool served;
  double baseline, leaked, kept; /* bytes */
  struct job job;
  double begun, ends; /* by progress */
  uint64_t jobs;
  double job_before, peak, faulted; /* bytes */
  double stall_us;
};

struct keeper {
  uint32_t n; /* workers; pools lie behind each other */
  /* As of the last look: when a worker does something by itself, when, by progress, a job ends, how many serve. */
  uint64_t next_ns;
  double next_end;
  uint32_t serving;
  int32_t last_pid;
  struct random random[EBB_POOLS_MAX];
  struct worker workers[EBB_SLOTS_MAX];
};

struct world;

void keeper__init(struct world *world);
/* After anything has happened: what comes next, and what all workers take. */
struct host_load keeper__look(struct keeper *keeper, double progress);
/* All that is due now: workers that are up, or gone. */
void keeper__turn(struct world *world);
/* A worker whose job is done by now; -1: none. It is between jobs then, and not judged yet. */
int keeper__finish(struct world *world);
/* As much time passes. */
void keeper__pass(struct world *world, uint64_t ns);
/* Give waiting jobs to idle workers. */
void keeper__hand_out(struct world *world, uint32_t pool);
/* A due worker that has come to the end of its job goes. */
void keeper__fence(struct world *world, uint32_t worker);
/* What the plan says of one worker. The only place that knows what an act means. */
void keeper__obey(struct world *world, const struct plan_act *act);
/* The kernel kills the largest. */
void keeper__kill(struct world *world);

bool worker__is_there(const struct worker *worker);
double worker__job_bytes(const struct worker *worker, double progress);
double worker__footprint(const struct worker *worker, double progress);
/* Of its footprint, what is hot. */
double worker__hot(const struct worker *worker, double progress);

#endif

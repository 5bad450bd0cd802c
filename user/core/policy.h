/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The judgement. Pure: facts and rules in, a plan out; no clock, no files, no globals, no allocation.
 *
 * Facts may lack a worker's private bytes, which are dear to read. Then the plan names the workers whose private bytes
 * would decide; the caller reads them and asks again. It settles after at most a few rounds, provided that a read that
 * failed is recorded too (private_ns: when; private_bytes: EBB_UNKNOWN): no memory rule retires such a worker then, and
 * the next one is taken. As long as a worker waits to be confirmed, none is taken in its place.
 *
 * Strikes: where a pool's `strikes` is 1, the judgement itself is the confirmation. Else a worker goes when its count
 * has reached `strikes`; the caller counts those that the plan names, a second apart, and starts again at 0 when a plan
 * neither names nor retires one.
 *
 * The rule `pressure` speaks only while total= grows (host.stall_growing), since the level lingers. To cut the cooldown
 * short, the caller that sees total= stand still after an act sets host.last_act_ns to 0: new stall is then acted on at
 * once.
 *
 * The rule `contribution` speaks when `pressure` does, before it, for the worker of the largest share; acts of both are
 * acts for pressure, one at a time. A busy worker that it marks due frees nothing yet, so `pressure` may take an idle one
 * in the same judgement. It counts no strikes: its figure is of ten seconds, and while they were counted, `pressure` would
 * take another one.
 *
 * Trims: where a pool has trim = yes, a memory rule first wants its worker to be ordered to give memory back, and waits for
 * a turn at its lease that began after the order and has ended, or for trim_wait. Meanwhile its bytes count as on their way
 * back: nobody else goes for them. The caller sets facts.trimmed_ns when it has sent the order. One that was given 10 times
 * trim_wait ago is forgotten.
 *
 * Besides, a plan says which pools are to be left without successors for a while (critical pressure; pieces that do not
 * fit), and which pieces of work are to be started: core/admission.
 */
#ifndef CORE_POLICY_H
#define CORE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "ebb/facts.h"
#include "ebb/rules.h"
#include "reason.h"

/* Acts of one judgement; the rest is taken at the next one. */
#define PLAN_ACTS_MAX 16
/* Private bytes older than this are read again before anything is retired by them. */
#define POLICY_PRIVATE_FRESH_NS (2ULL * 1000000000ULL)
/* A limit under this many per mille of the baseline is refused: every fresh worker would be over it. */
#define POLICY_BASELINE_PERMILLE 1200u
/* Under critical pressure the next act may follow after this. */
#define POLICY_CRITICAL_COOLDOWN_NS (2ULL * 1000000000ULL)

struct policy_input {
  const struct ebb_host_rules *host_rules;
  const struct ebb_host_facts *host;
  const struct ebb_pool_rules *pool_rules; /* [n_pools] */
  const struct ebb_pool_facts *pools;      /* [n_pools] */
  const struct ebb_worker_facts *workers;  /* [n_workers]; a generation of 0 or a pid of 0: no worker there */
  uint32_t n_pools;
  uint32_t n_workers;
  uint64_t now_ns;
};

struct plan_act {
  uint32_t worker; /* index into workers */
  enum reason reason;
  uint64_t limit_bytes; /* that was exceeded; EBB_UNKNOWN: none (request, contribution, pressure, jobs, age) */
  bool first;           /* of acts: there is room for its successor beside it: let that one be ready before it goes */
};

struct plan {
  uint32_t n_acts;
  struct plan_act acts[PLAN_ACTS_MAX];
  uint32_t n_confirm;
  uint32_t confirm[PLAN_ACTS_MAX]; /* workers whose private bytes must be read first */
  uint32_t n_struck;
  uint32_t struck[PLAN_ACTS_MAX]; /* over a limit, but short of strikes: count one more, a second apart */
  uint32_t n_trims;
  struct plan_act trims[PLAN_ACTS_MAX]; /* that would go, but are to be ordered to give memory back first */
  uint32_t n_starts;
  uint32_t starts[PLAN_ACTS_MAX];     /* empty slots of oneshot pools: the next piece fits */
  bool hold_refill[EBB_POOLS_MAX];    /* pools in which nobody is to be started on its own accord */
  bool below_baseline[EBB_POOLS_MAX]; /* pools whose limit is refused */
};

void policy__decide(const struct policy_input *in, struct plan *ret_plan);

/*
 * One rule's or guard's numbers, for `ebb why`. What is compared with what; EBB_UNKNOWN where there is nothing:
 *   request         retirements asked for in the pool       0                                             count
 *   footprint       between jobs                            footprint_limit                               bytes
 *   retained        between jobs, since it was ready        retained_limit                                bytes
 *   contribution    its contribution                        contribution_limit                            per mille
 *   budget          all pools, without those leaving        memory_budget                                 bytes
 *   pressure        what it would free, at most             the most that any one would free              bytes
 *   jobs            that it has done                        max_jobs, less its jitter                     count
 *   age             its age                                 max_lifetime, less its jitter                 ns
 *   unleased        -                                       -
 *   leaving         -                                       -
 *   busy            how long it has been                    -                                             ns
 *   too-young       age                                     min_lifetime                                  ns
 *   below-baseline  footprint_limit                         the least that makes sense                    bytes
 *   private         as last read                            what it must be over                          bytes
 *   min-gain        what it would free: private, of a busy  min_gain                                      bytes
 *                   one not more than it held between jobs
 *   trim            time since the order; unknown: it has   trim_wait                                     ns
 *                   still to be given
 *   strikes         counted                                 strikes                                       count
 *   cooldown        time since the last act                 that must have passed                         ns
 *   min-ready       serving workers left if it went         min_ready                                     count
 *   hold            time left                               0                                             ns
 */
struct policy_line {
  enum reason code;
  bool on;        /* rule: configured and applicable; guard: always true */
  bool fires;     /* rule: wants the worker out, whatever its guards say; guard: says no (`busy`: or later) */
  uint64_t value; /* compared …; EBB_UNKNOWN: not known */
  uint64_t limit; /* … with this */
};

#define POLICY_RULES_N (REASON_AGE - REASON_REQUEST + 1)
#define POLICY_GUARDS_N (REASON_HOLD - REASON_UNLEASED + 1)

struct policy_verdict {
  struct policy_line rules[POLICY_RULES_N];
  struct policy_line guards[POLICY_GUARDS_N]; /* as for the outcome, else the first rule that fires, else `footprint` */
  enum reason outcome; /* rule by which it goes now, or becomes due, or would if what is known of its private bytes is
                          confirmed; REASON_NONE: it stays */
};

/* Everything that decide weighs for one worker: the same code, all the lines. Slower; not for the acting path. */
void policy__explain(const struct policy_input *in, uint32_t worker, struct policy_verdict *ret_verdict);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Why a worker is retired, and why not: one table of codes, names and sentences. */
#ifndef CORE_REASON_H
#define CORE_REASON_H

/* Rules, in the order in which they are asked. */
#define REASON_RULES(X)                                                                                                \
  X(REQUEST, "request", "somebody asked for a worker of this pool to be retired")                                      \
  X(FOOTPRINT, "footprint", "its footprint between jobs is over the pool's footprint_limit")                           \
  X(RETAINED, "retained", "what its jobs left behind since it was ready is over the pool's retained_limit")            \
  X(CONTRIBUTION, "contribution",                                                                                      \
    "under memory pressure, its share of what workers demand is over contribution_limit")                              \
  X(BUDGET, "budget", "all pools together are over memory_budget and it is among the largest idle ones")               \
  X(PRESSURE, "pressure", "the host is under memory pressure and retiring it frees most")                              \
  X(JOBS, "jobs", "it has done as many jobs as the pool's max_jobs, less its share of the jitter")                     \
  X(AGE, "age", "it has lived for as long as the pool's max_lifetime, less its share of the jitter")

/* Asked for by an operator or a script; never chosen by a rule. */
#define REASON_ORDERS(X)                                                                                               \
  X(SCALE, "scale", "the pool was made smaller")                                                                       \
  X(DRAIN, "drain", "the pool is being drained")                                                                       \
  X(STOP, "stop", "ebbd is stopping")                                                                                  \
  X(RELOAD, "reload", "the new configuration has no place for it")                                                     \
  X(ROLL, "roll", "somebody asked for all of its pool to be replaced, or it was started by another configuration")

/* Guards: each can say no, or not yet. */
#define REASON_GUARDS(X)                                                                                               \
  X(UNLEASED, "unleased", "it has never used its lease, so nothing proves it idle")                                    \
  X(LEAVING, "leaving", "it is on its way out already, or not serving yet")                                            \
  X(BUSY, "busy", "it is in the middle of a job: marked due, it goes when the job ends")                               \
  X(TOO_YOUNG, "too-young", "it is younger than the pool's min_lifetime")                                              \
  X(BELOW_BASELINE, "below-baseline", "the limit is under 1.2 times what a fresh worker holds")                        \
  X(PRIVATE, "private", "what only this worker holds is not over the limit")                                           \
  X(MIN_GAIN, "min-gain", "retiring it would free less than the pool's min_gain")                                      \
  X(TRIM, "trim", "it is to give memory back first, and is given the time for it")                                     \
  X(STRIKES, "strikes", "it has not been confirmed as often as the pool's strikes")                                    \
  X(COOLDOWN, "cooldown", "the last act for pressure was too short a time ago")                                        \
  X(MIN_READY, "min-ready", "the pool would fall under its min_ready serving workers")                                 \
  X(HOLD, "hold", "retirements of the pool are held")

enum reason {
  REASON_NONE,
#define X(id, name, sentence) REASON_##id,
  REASON_RULES(X) REASON_ORDERS(X) REASON_GUARDS(X)
#undef X
      REASON_N
};

/* The name, as in the audit; "none" for REASON_NONE. */
const char *reason__name(enum reason reason);
/* One clause in English. */
const char *reason__sentence(enum reason reason);
/* REASON_NONE when there is no such name. */
enum reason reason__find(const char *name);

#endif

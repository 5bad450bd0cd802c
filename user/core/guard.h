/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A judgement in progress, and the guards that it asks: who may not go, or not yet. Part of core/policy, whose rules
 * make claims on workers.
 */
#ifndef CORE_GUARD_H
#define CORE_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "policy.h"

#define NOBODY UINT32_MAX

struct judgement {
  const struct policy_input *in;
  uint32_t n_pools, n_workers;        /* of the input, within bounds */
  uint32_t serving[EBB_POOLS_MAX];    /* workers, without those that were taken */
  uint64_t taken[EBB_SLOTS_MAX / 64]; /* a bit each: goes, or would if its private bytes confirm it */
  uint32_t asked;                     /* the one that explain asks about; else NOBODY */
  bool unguarded;                     /* the guards let that one go: what do the rules want? */
};

void judgement__init(struct judgement *judgement, const struct policy_input *in, uint32_t asked, bool unguarded);
/* Is there a slot with a worker, in a pool that there is? */
bool judgement__knows(const struct judgement *judgement, uint32_t worker);
bool judgement__has_taken(const struct judgement *judgement, uint32_t worker);
/* For all that is judged after it, the worker counts as gone. */
void judgement__take(struct judgement *judgement, uint32_t worker);
void judgement__give_back(struct judgement *judgement, uint32_t worker);

/* A rule wants a worker out. */
struct claim {
  enum reason rule;
  uint32_t worker;
  uint64_t private_over_bytes; /* only if it holds more than that for itself: asked by `private`, or by `min-gain` */
};

enum guard_answer {
  GUARD_LETS,
  GUARD_REFUSES,
  GUARD_COUNTS, /* refuses, but this confirmation counts towards the strikes */
  GUARD_ASKS,   /* lets it go if its private bytes, which have to be read first, confirm the claim */
};
enum guard_answer guard__answer(const struct judgement *judgement, const struct claim *claim);

/* The numbers of one guard; it fires only if the claim's rule asks it (`busy` always: it means "later"). */
struct policy_line guard__line(const struct judgement *judgement, const struct claim *claim, enum reason guard);

/* Retiring a worker has to free more than this, by its pool's min_gain; at least a byte. */
uint64_t guard__gain_over(const struct judgement *judgement, uint32_t worker);
/* What is known of its private bytes, however old, speaks against the claim. */
bool guard__is_refuted(const struct judgement *judgement, const struct claim *claim);
/* The pool's footprint_limit is refused. */
bool guard__below_baseline(const struct judgement *judgement, uint32_t pool);
/* Read lately enough to act by. A read that failed is fresh, and unknown. */
bool guard__private_is_fresh(const struct judgement *judgement, uint32_t worker);

#endif

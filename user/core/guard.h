/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The guards: who may not go, or not yet. Part of core/policy, whose rules make claims on workers. */
#ifndef CORE_GUARD_H
#define CORE_GUARD_H

#include "judgement.h"

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
  GUARD_TRIMS,  /* would let it go, but it is to be ordered to give memory back first */
};
enum guard_answer guard__answer(const struct judgement *judgement, const struct claim *claim);

/* The numbers of one guard; it fires only if the claim's rule asks it (`busy` always: it means "later"). */
struct policy_line guard__line(const struct judgement *judgement, const struct claim *claim, enum reason guard);

/* It was ordered to give memory back, in this judgement or lately, and what that does is not seen yet. */
bool guard__awaits_trim(const struct judgement *judgement, uint32_t worker);
/* 0 when it was born later than now. */
uint64_t guard__age_ns(const struct judgement *judgement, uint32_t worker);
/* Retiring a worker has to free more than this, by its pool's min_gain; at least a byte. */
uint64_t guard__gain_over(const struct judgement *judgement, uint32_t worker);
/* What is known of its private bytes, however old, speaks against the claim. */
bool guard__is_refuted(const struct judgement *judgement, const struct claim *claim);
/* A worker of the pool that holds no more than this holds as much as the one that would take its place. 0: not known. */
uint64_t guard__fresh_bytes(const struct judgement *judgement, uint32_t pool);
/* The pool's footprint_limit is refused. */
bool guard__below_baseline(const struct judgement *judgement, uint32_t pool);
/* Read lately enough to act by, and after what it was last ordered to give back. A read that failed is fresh, and unknown. */
bool guard__private_is_fresh(const struct judgement *judgement, uint32_t worker);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A judgement in progress: who has been spoken for, and who stays. Part of core/policy. */
#ifndef CORE_JUDGEMENT_H
#define CORE_JUDGEMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "policy.h"

#define NOBODY UINT32_MAX

struct judgement {
  const struct policy_input *in;
  uint32_t n_pools, n_workers;          /* of the input, within bounds */
  uint32_t serving[EBB_POOLS_MAX];      /* workers, without those that were taken */
  uint32_t spares[EBB_POOLS_MAX];       /* workers that wait, ready */
  uint64_t taken[EBB_SLOTS_MAX / 64];   /* a bit each: goes, or would if its private bytes confirm it */
  uint64_t trimmed[EBB_SLOTS_MAX / 64]; /* likewise: is to be ordered to give memory back */
  uint32_t asked;                       /* the one that explain asks about; else NOBODY */
  bool unguarded;                       /* the guards let that one go: what do the rules want? */
};

void judgement__init(struct judgement *judgement, const struct policy_input *in, uint32_t asked, bool unguarded);
/* Is there a slot with a worker, in a pool that there is? */
bool judgement__knows(const struct judgement *judgement, uint32_t worker);
bool judgement__has_taken(const struct judgement *judgement, uint32_t worker);
/* For all that is judged after it, the worker counts as gone. */
void judgement__take(struct judgement *judgement, uint32_t worker);
void judgement__give_back(struct judgement *judgement, uint32_t worker);
/* It stays, but is ordered to give memory back: what it holds may become less. */
void judgement__trim(struct judgement *judgement, uint32_t worker);
bool judgement__has_trimmed(const struct judgement *judgement, uint32_t worker);
/* Workers of its pool that serve, were it to go. */
uint32_t judgement__serving_without(const struct judgement *judgement, uint32_t worker);

#endif

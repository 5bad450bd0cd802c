/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "judgement.h"

static const struct ebb_worker_facts *facts_of(const struct judgement *judgement, uint32_t worker) {
  return &judgement->in->workers[worker];
}

static uint32_t at_most(uint32_t n, uint32_t most) {
  return n < most ? n : most;
}

void judgement__init(struct judgement *judgement, const struct policy_input *in, uint32_t asked, bool unguarded) {
  *judgement = (struct judgement){
      .in = in,
      .n_pools = at_most(in->n_pools, EBB_POOLS_MAX),
      .n_workers = at_most(in->n_workers, EBB_SLOTS_MAX),
      .asked = asked,
      .unguarded = unguarded,
  };
  for (uint32_t i = 0; i < judgement->n_workers; i++)
    if (judgement__knows(judgement, i)) {
      judgement->serving[in->workers[i].pool] += in->workers[i].state == EBB_SLOT_SERVING;
      judgement->spares[in->workers[i].pool] += in->workers[i].state == EBB_SLOT_SPARE;
    }
}

bool judgement__knows(const struct judgement *judgement, uint32_t worker) {
  const struct ebb_worker_facts *facts = facts_of(judgement, worker);
  return facts->generation > 0 && facts->pid > 0 && facts->pool < judgement->n_pools;
}

bool judgement__has_taken(const struct judgement *judgement, uint32_t worker) {
  return judgement->taken[worker / 64] >> worker % 64 & 1;
}

static uint32_t counts_as_serving(const struct judgement *judgement, uint32_t worker) {
  return facts_of(judgement, worker)->state == EBB_SLOT_SERVING && !judgement__has_taken(judgement, worker);
}

void judgement__take(struct judgement *judgement, uint32_t worker) {
  judgement->serving[facts_of(judgement, worker)->pool] -= counts_as_serving(judgement, worker);
  judgement->taken[worker / 64] |= 1ULL << worker % 64;
}

void judgement__give_back(struct judgement *judgement, uint32_t worker) {
  if (!judgement__has_taken(judgement, worker))
    return;
  judgement->taken[worker / 64] &= ~(1ULL << worker % 64);
  judgement->serving[facts_of(judgement, worker)->pool] += counts_as_serving(judgement, worker);
}

void judgement__trim(struct judgement *judgement, uint32_t worker) {
  judgement->trimmed[worker / 64] |= 1ULL << worker % 64;
}

bool judgement__has_trimmed(const struct judgement *judgement, uint32_t worker) {
  return judgement->trimmed[worker / 64] >> worker % 64 & 1;
}

uint32_t judgement__serving_without(const struct judgement *judgement, uint32_t worker) {
  return judgement->serving[facts_of(judgement, worker)->pool] - counts_as_serving(judgement, worker);
}

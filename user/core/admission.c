/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "admission.h"

#define NONE UINT32_MAX

struct admission {
  const struct policy_input *in;
  struct plan *plan;
  uint32_t n_pools, n_workers; /* of the input, within bounds */
  uint32_t running;            /* pieces */
  uint32_t running_of[EBB_POOLS_MAX];
  uint64_t coming_bytes;     /* that they may still take */
  bool tried[EBB_POOLS_MAX]; /* pools that have had their turn */
};

static uint64_t sum_of(uint64_t a, uint64_t b) {
  uint64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? EBB_UNKNOWN : sum;
}

static bool is_piece(const struct admission *admission, const struct ebb_worker_facts *facts) {
  return facts->pool < admission->n_pools && admission->in->pool_rules[facts->pool].mode == EBB_MODE_ONESHOT;
}

static void add_running(struct admission *admission, uint32_t pool, uint64_t has_bytes) {
  uint64_t most = admission->in->pools[pool].piece_bytes;
  admission->running++;
  admission->running_of[pool]++;
  if (most != EBB_UNKNOWN && most > has_bytes)
    admission->coming_bytes = sum_of(admission->coming_bytes, most - has_bytes);
}

static void count_running(struct admission *admission) {
  for (uint32_t i = 0; i < admission->n_workers; i++) {
    const struct ebb_worker_facts *facts = &admission->in->workers[i];
    bool ends = facts->state == EBB_SLOT_RETIRING || facts->state == EBB_SLOT_LEAVING;
    if (!is_piece(admission, facts) || (facts->pid <= 0 && facts->state != EBB_SLOT_STARTING))
      continue;
    bool unseen = facts->pid <= 0 || facts->footprint_bytes == EBB_UNKNOWN;
    add_running(admission, facts->pool, ends ? EBB_UNKNOWN : unseen ? 0 : facts->footprint_bytes);
  }
}

static bool has_room(const struct admission *admission, uint64_t piece_bytes) {
  const struct policy_input *in = admission->in;
  uint64_t needed = sum_of(admission->coming_bytes, piece_bytes), budget = in->host_rules->memory_budget_bytes;
  uint64_t left = sum_of(needed, in->host_rules->reserve_bytes);
  if (in->host->mem_available_bytes == EBB_UNKNOWN || left == EBB_UNKNOWN || left > in->host->mem_available_bytes)
    return false;
  return budget == EBB_UNKNOWN || sum_of(in->host->pools_footprint_bytes, needed) <= budget;
}

enum answer { STARTS, WAITS_TO_LEARN, WAITS_FOR_ROOM };

static enum answer answer_to(const struct admission *admission, uint32_t pool) {
  uint64_t piece_bytes = admission->in->pools[pool].piece_bytes;
  if (!admission->running)
    return STARTS;
  if (piece_bytes == EBB_UNKNOWN && admission->running_of[pool])
    return WAITS_TO_LEARN;
  return has_room(admission, piece_bytes == EBB_UNKNOWN ? 0 : piece_bytes) ? STARTS : WAITS_FOR_ROOM;
}

static bool waits(const struct admission *admission, const struct ebb_worker_facts *facts) {
  return facts->waits && facts->pid <= 0 && facts->state != EBB_SLOT_STARTING && is_piece(admission, facts) &&
         admission->in->pools[facts->pool].hold_refill_ns <= admission->in->now_ns;
}

/* The next slot of the pool that waits, from that number on. */
static uint32_t next_slot(const struct admission *admission, uint32_t pool, uint64_t from) {
  uint32_t best = NONE;
  for (uint32_t i = 0; i < admission->n_workers; i++) {
    const struct ebb_worker_facts *facts = &admission->in->workers[i];
    if (facts->pool == pool && facts->slot >= from && waits(admission, facts) &&
        (best == NONE || facts->slot < admission->in->workers[best].slot))
      best = i;
  }
  return best;
}

/* The pool of the highest priority that has not had its turn. */
static uint32_t next_pool(const struct admission *admission) {
  uint32_t best = NONE;
  for (uint32_t i = 0; i < admission->n_pools; i++)
    if (!admission->tried[i] && admission->in->pool_rules[i].mode == EBB_MODE_ONESHOT &&
        (best == NONE || admission->in->pool_rules[i].priority > admission->in->pool_rules[best].priority))
      best = i;
  return best;
}

/* Let in what fits. The answer to the first that does not; STARTS: nobody of the pool is left to wait. */
static enum answer try_pool(struct admission *admission, uint32_t pool) {
  struct plan *plan = admission->plan;
  uint32_t worker;
  for (uint64_t from = 0; (worker = next_slot(admission, pool, from)) != NONE;
       from = (uint64_t)admission->in->workers[worker].slot + 1) {
    enum answer answer = plan->n_starts < PLAN_ACTS_MAX ? answer_to(admission, pool) : WAITS_FOR_ROOM;
    if (answer != STARTS)
      return answer;
    plan->starts[plan->n_starts++] = worker;
    add_running(admission, pool, 0);
  }
  return STARTS;
}

void admission__decide(const struct policy_input *in, struct plan *plan) {
  struct admission admission = {
      .in = in,
      .plan = plan,
      .n_pools = in->n_pools < EBB_POOLS_MAX ? in->n_pools : EBB_POOLS_MAX,
      .n_workers = in->n_workers < EBB_SLOTS_MAX ? in->n_workers : EBB_SLOTS_MAX,
  };
  uint32_t pool, least_priority = 0;
  count_running(&admission);
  while ((pool = next_pool(&admission)) != NONE) {
    uint32_t priority = in->pool_rules[pool].priority;
    admission.tried[pool] = true;
    if (next_slot(&admission, pool, 0) == NONE)
      continue;
    enum answer answer = priority < least_priority ? WAITS_FOR_ROOM : try_pool(&admission, pool);
    plan->hold_refill[pool] = answer != STARTS;
    if (answer == WAITS_FOR_ROOM && least_priority < priority)
      least_priority = priority;
  }
}

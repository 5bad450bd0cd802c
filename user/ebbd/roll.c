/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "roll.h"

#include "hold.h"
#include "worker.h"

/* It is being replaced, or is about to be: nobody else of its pool is asked out now. */
static bool is_in_the_way(const struct slot *slot, uint64_t now_ns) {
  switch (slot->state) {
  case EBB_SLOT_SPARE:
  case EBB_SLOT_SERVING:
  case EBB_SLOT_UNLEASED:
    return false;
  case EBB_SLOT_DUE:
    return now_ns - slot->since_ns < ROLL_WAIT_NS;
  case EBB_SLOT_LEAVING: /* what it left behind may still work on its job */
    return !slot->closed && (slot->holds || now_ns - slot->since_ns < ROLL_WAIT_NS);
  default:
    return !slot->closed;
  }
}

static bool is_candidate(const struct slot *slot) {
  return slot->state >= EBB_SLOT_UNLEASED && slot->state <= EBB_SLOT_SERVING && roll__stale(slot);
}

/* One that is between jobs if there is one. */
static struct slot *choose(struct keeper *keeper, const struct pool *pool) {
  struct slot *any = NULL;
  for_each_slot_of(slot, keeper, pool) {
    if (!is_candidate(slot))
      continue;
    if (worker__between_jobs(slot))
      return slot;
    if (!any)
      any = slot;
  }
  return any;
}

static bool may_go_on(struct keeper *keeper, const struct pool *pool, uint64_t now_ns) {
  if (pool->removed || pool->drained || now_ns < pool->hold_retire_ns || now_ns < hold__refill_until_ns(pool))
    return false;
  for_each_slot_of(slot, keeper, pool) if (is_in_the_way(slot, now_ns)) return false;
  return true;
}

/*
 * Level-triggered as all of the loop, and without a time of its own: a due worker is looked at every second at least, by its
 * lease or at the gate, and the turn that does so also comes here.
 */
void roll__turn(struct keeper *keeper, uint64_t now_ns) {
  bool rolls[EBB_POOLS_MAX] = {false};
  if (keeper->stop != STOP_NO)
    return;
  for_each_slot(slot, keeper) rolls[slot->pool->index] |= is_candidate(slot);
  for_each_pool(pool, keeper) {
    if (rolls[pool->index] && may_go_on(keeper, pool, now_ns))
      (void)worker__let_go(keeper, choose(keeper, pool), REASON_ROLL, now_ns);
  }
}

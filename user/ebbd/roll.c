/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "roll.h"

#include "worker.h"

/* Until when nobody else of its pool is asked out: 0: not at all; UINT64_MAX: until something happens to it. */
static uint64_t in_the_way_until(const struct slot *slot) {
  switch (slot->state) {
  case EBB_SLOT_SERVING:
  case EBB_SLOT_UNLEASED:
    return 0;
  case EBB_SLOT_DUE:
    return slot->since_ns + ROLL_WAIT_NS;
  default:
    return UINT64_MAX;
  }
}

static bool is_candidate(const struct slot *slot) {
  return (slot->state == EBB_SLOT_SERVING || slot->state == EBB_SLOT_UNLEASED) && roll__stale(slot);
}

static bool between_jobs(const struct slot *slot) {
  if (!slot->leased || lease__try_lock(slot->lease_fd))
    return false;
  (void)lease__unlock(slot->lease_fd);
  return true;
}

/* One that is between jobs if there is one. */
static struct slot *choose(struct keeper *keeper, const struct pool *pool) {
  struct slot *any = NULL;
  for_each_slot_of(slot, keeper, pool) {
    if (!is_candidate(slot))
      continue;
    if (between_jobs(slot))
      return slot;
    if (!any)
      any = slot;
  }
  return any;
}

/* As in_the_way_until, for the whole pool; 0: now. Slots that are to stay empty are in nobody's way. */
static uint64_t wait_until(struct keeper *keeper, const struct pool *pool, uint64_t now_ns) {
  uint64_t until_ns = pool->hold_retire_ns > pool->hold_refill_ns ? pool->hold_retire_ns : pool->hold_refill_ns;
  for_each_slot_of(slot, keeper, pool) {
    uint64_t one_ns = slot->closed ? 0 : in_the_way_until(slot);
    if (one_ns > until_ns)
      until_ns = one_ns;
  }
  return until_ns > now_ns ? until_ns : 0;
}

static void roll(struct keeper *keeper, struct pool *pool, uint64_t now_ns) {
  uint64_t next_ns = wait_until(keeper, pool, now_ns);
  if (!next_ns) {
    struct slot *slot = choose(keeper, pool);
    if (slot)
      (void)worker__let_go(keeper, slot, REASON_ROLL, now_ns);
    next_ns = now_ns + ROLL_WAIT_NS;
  }
  if (!keeper->roll_ns || next_ns < keeper->roll_ns)
    keeper->roll_ns = next_ns;
}

void roll__turn(struct keeper *keeper, uint64_t now_ns) {
  bool rolls[EBB_POOLS_MAX] = {false};
  keeper->roll_ns = 0;
  if (keeper->stop != STOP_NO)
    return;
  for_each_slot(slot, keeper) rolls[slot->pool->index] |= is_candidate(slot);
  for_each_pool(pool, keeper) if (rolls[pool->index] && !pool->removed && !pool->drained) roll(keeper, pool, now_ns);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "roll.h"

#include "crew.h"
#include "headroom.h"
#include "hold.h"
#include "memcg.h"
#include "succession.h"
#include "worker.h"

static bool lasts(const struct slot *slot, uint64_t now_ns) {
  return now_ns - slot->since_ns >= ROLL_WAIT_NS;
}

/* It is being replaced, or is about to be, or is somebody's successor: one of the batch. */
static bool is_in_the_way(const struct slot *slot, uint64_t now_ns) {
  bool counts = slot->closed == PLACE_OPEN || slot->reason == REASON_ROLL;
  switch (slot->state) {
  case EBB_SLOT_SPARE:
  case EBB_SLOT_UNLEASED:
    return false;
  case EBB_SLOT_SERVING:
    return slot->first;
  case EBB_SLOT_DUE:
    return !lasts(slot, now_ns);
  case EBB_SLOT_LEAVING: /* what it left behind may still work on its job */
    return counts && (slot->holds || !lasts(slot, now_ns));
  default:
    return counts;
  }
}

/* Those that start are the successors of those that wait for them: of both, the more. */
static uint32_t n_in_the_way(struct keeper *keeper, const struct pool *pool, uint64_t now_ns) {
  uint32_t waiting = 0, others = 0;
  for_each_slot_of(slot, keeper, pool) {
    bool waits = slot->state == EBB_SLOT_SERVING && slot->first;
    waiting += waits;
    others += !waits && is_in_the_way(slot, now_ns);
  }
  return waiting > others ? waiting : others;
}

static bool is_candidate(const struct slot *slot) {
  return slot->state >= EBB_SLOT_UNLEASED && slot->state <= EBB_SLOT_SERVING && !slot->first && roll__stale(slot);
}

/* A spare, or else one that is between jobs, if there is one. */
static struct slot *choose(struct keeper *keeper, const struct pool *pool) {
  struct slot *found = NULL;
  bool idle = false;
  for_each_slot_of(slot, keeper, pool) {
    if (!is_candidate(slot))
      continue;
    if (slot->state == EBB_SLOT_SPARE)
      return slot;
    bool this_idle = worker__between_jobs(slot);
    if (found && (idle || !this_idle))
      continue;
    found = slot;
    idle = this_idle;
  }
  return found;
}

/* Without this one, as many as the pool's size serve, or will at once; also those in the middle of a long job. */
static bool has_successor(struct keeper *keeper, const struct pool *pool, uint64_t now_ns) {
  uint32_t n = 0;
  for_each_slot_of(slot, keeper, pool) {
    bool at_job = slot->state == EBB_SLOT_DUE || crew__has_helper(slot);
    n += slot->state == EBB_SLOT_SERVING || (slot->state == EBB_SLOT_SPARE && !roll__stale(slot)) ||
         (at_job && slot->closed == PLACE_OPEN && lasts(slot, now_ns));
  }
  return n > pool->size;
}

/* For one more, of the size that the largest of them had when it was fresh, beside those that are starting. */
static bool has_headroom(struct keeper *keeper, const struct pool *pool) {
  uint64_t fresh_bytes = 0;
  uint32_t starting = 0;
  struct meminfo memory;
  for_each_slot_of(slot, keeper, pool) {
    starting += slot->state == EBB_SLOT_STARTING || (slot->state == EBB_SLOT_EMPTY && slot->closed == PLACE_OPEN);
    if (worker__present(slot) && slot->fresh_bytes != EBB_UNKNOWN && slot->fresh_bytes > fresh_bytes)
      fresh_bytes = slot->fresh_bytes;
  }
  return pool->config.rules.refill == EBB_REFILL_AUTO && fresh_bytes && !memory__read(&memory) &&
         headroom__has(memory.available_bytes, (starting + 1) * fresh_bytes, keeper->config.rules.reserve_bytes);
}

static void replace(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  const struct retirement why = {.reason = REASON_ROLL, .by = "ebbd"};
  bool ready = slot->state != EBB_SLOT_SERVING || has_successor(keeper, slot->pool, now_ns);
  if (!ready && has_headroom(keeper, slot->pool) && succession__mark(keeper, slot, why.reason, now_ns)) {
    worker__record_retire(keeper, slot, &why);
    return;
  }
  (void)worker__ask_out(keeper, slot, &why, now_ns);
}

bool roll__goes_on(struct keeper *keeper, const struct pool *pool) {
  for_each_slot_of(slot, keeper, pool) if (worker__present(slot) && roll__stale(slot)) return true;
  return false;
}

static bool is_held(const struct pool *pool, uint64_t now_ns) {
  return pool->removed || pool->drained || now_ns < pool->hold_retire_ns || now_ns < hold__refill_until_ns(pool);
}

static bool pool_turn(struct keeper *keeper, const struct pool *pool, uint64_t now_ns) {
  uint32_t batch = pool->batch ? pool->batch : 1;
  struct slot *slot;
  bool any = false;
  for (; n_in_the_way(keeper, pool, now_ns) < batch && (slot = choose(keeper, pool)); any = true)
    replace(keeper, slot, now_ns);
  return any;
}

/*
 * Level-triggered as all of the loop, and without a time of its own: a due worker is looked at every second at least, by its
 * lease or at the gate, and the turn that does so also comes here.
 */
bool roll__turn(struct keeper *keeper, uint64_t now_ns) {
  bool rolls[EBB_POOLS_MAX] = {false}, any = false;
  if (keeper->stop != STOP_NO)
    return false;
  for_each_slot(slot, keeper) rolls[slot->pool->index] |= is_candidate(slot);
  for_each_pool(pool, keeper) {
    if (rolls[pool->index] && !is_held(pool, now_ns))
      any |= pool_turn(keeper, pool, now_ns);
    else if (pool->rolled_ns && !roll__goes_on(keeper, pool))
      pool->rolled_ns = pool->batch = 0;
  }
  return any;
}

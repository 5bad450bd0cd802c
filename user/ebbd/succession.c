/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "succession.h"

#include "crew.h"
#include "hold.h"
#include "log.h"
#include "pending.h"
#include "roll.h"
#include "roster.h"
#include "tell.h"
#include "worker.h"

/* By the pool, since it is the successor that has to wait; who goes may be of a time when it took no lease. */
static bool can_be_marked(const struct keeper *keeper, const struct slot *slot) {
  const struct ebb_pool_rules *rules = &slot->pool->config.rules;
  bool serves =
      slot->state == EBB_SLOT_SERVING || (slot->state == EBB_SLOT_DUE && (slot->leased || tell__is_for(slot)));
  return serves && rules->mode == EBB_MODE_SERVICE && rules->idle == EBB_IDLE_LEASE && worker__wanted(keeper, slot);
}

bool succession__mark(struct keeper *keeper, struct slot *slot, enum reason reason, uint64_t now_ns) {
  if (slot->first && slot->reason == REASON_ROLL)
    slot->reason = reason; /* a roll can wait, and be taken back; whoever asks now means this worker */
  if (slot->first || !can_be_marked(keeper, slot))
    return slot->first;
  slot->first = true;
  if (!roster__open_at_once(keeper, slot->pool, now_ns)) {
    slot->first = false;
    return false;
  }
  if (slot->state == EBB_SLOT_SERVING)
    slot->reason = reason;
  return true;
}

static void take_off(struct slot *slot) {
  slot->first = false;
  if (slot->state == EBB_SLOT_SERVING)
    slot->reason = REASON_NONE;
}

/* Starting does not help while it is held, and what backs off or is late has been waited for already. */
bool succession__comes(struct keeper *keeper, const struct pool *pool, uint64_t now_ns) {
  for_each_slot_of(slot, keeper, pool) {
    bool empty = slot->state == EBB_SLOT_EMPTY || (slot->state >= EBB_SLOT_RETIRING && !crew__has_helper(slot));
    bool comes = slot->state == EBB_SLOT_STARTING || (empty && now_ns >= hold__refill_until_ns(pool));
    if (worker__wanted(keeper, slot) && comes)
      return true;
  }
  return false;
}

static bool is_for_memory(enum reason reason) {
  return reason >= REASON_FOOTPRINT && reason <= REASON_PRESSURE;
}

static void warn(struct keeper *keeper, const struct slot *slot, const char *text) {
  struct audit_worker worker = worker__name(slot);
  audit__write(&keeper->audit, &(struct audit_record){
                                   .event = AUDIT_WARNING, .worker = &worker, .reason = "no-successor", .text = text});
  log__warning("%s/%u: %s", slot->pool->config.name, slot->number, text);
}

static void go_without(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  enum reason reason = slot->reason;
  if (reason == REASON_ROLL)
    return;
  bool memory = is_for_memory(reason);
  warn(keeper, slot, memory ? "its successor does not come: it goes first" : "its successor does not come: it stays");
  if (memory)
    (void)worker__let_go(keeper, slot, reason, now_ns);
  else
    pending__give_up(keeper, slot, "no-successor");
  take_off(slot);
}

/* Also when what had made it due was taken back: nobody wants it to go any more. */
static bool is_over(const struct keeper *keeper, const struct slot *slot) {
  return !can_be_marked(keeper, slot) || slot->reason == REASON_NONE ||
         (slot->reason == REASON_ROLL && !roll__stale(slot));
}

/* It fills a place of the pool, but does not use its lease. */
static bool is_left_alone(const struct slot *slot) {
  return slot->closed == PLACE_OPEN && !slot->first && !slot->leased && slot->state != EBB_SLOT_SERVING &&
         crew__serves(slot);
}

/* As many as the pool's size serve or wait without it. Those who are left alone do not make its going sure, since one of them
 * may be a successor that hangs; but they do not stand in the way when a spare is let in as it goes. */
static bool can_go(struct keeper *keeper, const struct pool *pool) {
  struct crew crew = crew__of(keeper, pool);
  bool one_for_one = crew.spares > 0 && crew.serving == pool->size;
  uint32_t n = crew.sure + crew.spares;
  for_each_slot_of(slot, keeper, pool) n += one_for_one && is_left_alone(slot);
  return n > pool->size;
}

static void slot_turn(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  const struct pool *pool = slot->pool;
  if (slot->state != EBB_SLOT_SERVING || (slot->reason == REASON_ROLL && now_ns < pool->hold_retire_ns))
    return;
  if (can_go(keeper, pool))
    (void)worker__let_go(keeper, slot, slot->reason, now_ns);
  else if (!succession__comes(keeper, pool, now_ns))
    go_without(keeper, slot, now_ns);
}

bool succession__turn(struct keeper *keeper, uint64_t now_ns) {
  bool ended[EBB_POOLS_MAX] = {false}, any = false;
  for_each_slot(slot, keeper) {
    if (!slot->first)
      continue;
    if (!is_over(keeper, slot))
      slot_turn(keeper, slot, now_ns);
    if (slot->first && is_over(keeper, slot))
      take_off(slot);
    ended[slot->pool->index] |= !slot->first;
    any |= !slot->first;
  }
  for_each_pool(pool, keeper) {
    if (ended[pool->index])
      (void)roster__balance(keeper, pool, now_ns);
  }
  return any;
}

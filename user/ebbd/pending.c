/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "pending.h"

#include <string.h>

#include "board.h"
#include "crew.h"
#include "fault.h"
#include "publish.h"
#include "roll.h"
#include "roster.h"
#include "succession.h"
#include "text.h"
#include "worker.h"

struct pending *pending__new(struct keeper *keeper) {
  for (size_t i = 0; i < EBB_PENDING_MAX; i++)
    if (keeper->pending[i].kind == PENDING_NONE)
      return &keeper->pending[i];
  return NULL;
}

/* Free the place; the ones behind move up, so that the first of a pool is the oldest. */
static void drop(struct keeper *keeper, struct pending *pending) {
  struct pending *end = keeper->pending + EBB_PENDING_MAX;
  memmove(pending, pending + 1, (size_t)(end - pending - 1) * sizeof(*pending));
  end[-1] = (struct pending){0};
}

static void answer(struct keeper *keeper, struct pending *pending, enum audit_event event, const char *reason) {
  if (pending->id[0])
    audit__write(&keeper->audit,
                 &(struct audit_record){
                     .event = event, .id = pending->id, .reason = reason, .text = command__verb_name(pending->verb)});
  FAULT(ANSWERED);
  drop(keeper, pending);
}

static bool is_same(const struct pending *a, const struct pending *b) {
  return a->kind == b->kind && a->verb == b->verb && a->pool == b->pool && a->slot == b->slot &&
         a->generation == b->generation && !strcmp(a->id, b->id);
}

/* Whether the pool is still the one that was meant. */
static bool is_known(struct keeper *keeper, const struct board_view *before, const struct pending *pending) {
  if (pending->pool >= EBB_POOLS_MAX)
    return pending->pool == EBB_POOLS_MAX;
  return pending->pool < before->n_pools &&
         !strcmp(keeper->pools[pending->pool].config.name, before->pools[pending->pool].name);
}

static bool is_damaged(const struct board_pending *record) {
  bool of_one_pool = record->kind == PENDING_CHOICE || record->kind == PENDING_ROLLED;
  return record->kind >= PENDING_N || record->verb >= COMMAND_N || record->slot > EBB_SLOTS_MAX ||
         (record->kind == PENDING_RETIRE && record->slot == EBB_SLOTS_MAX) ||
         (of_one_pool && record->pool == EBB_POOLS_MAX);
}

static void restore(struct keeper *keeper, const struct board_view *before, const struct board_pending *record) {
  struct pending found = {
      .kind = (enum pending_kind)record->kind,
      .verb = (enum command_verb)record->verb,
      .pool = record->pool,
      .slot = record->slot,
      .generation = record->generation,
  };
  struct pending *pending = pending__new(keeper);
  if (record->kind == PENDING_NONE || is_damaged(record) || !pending)
    return;
  (void)text__copy(found.id, sizeof(found.id), record->id);
  if (pending > keeper->pending && is_same(pending - 1, &found))
    return; /* it was moving up when ebbd was killed */
  *pending = found;
  if (!is_known(keeper, before, &found))
    answer(keeper, pending, AUDIT_REFUSED, "no-such-pool");
  else if (found.kind == PENDING_STOP)
    answer(keeper, pending, AUDIT_REFUSED, "superseded"); /* somebody has started us */
}

void pending__restore(struct keeper *keeper, const struct board_view *before) {
  const struct board *board = board__of(&keeper->board);
  for (size_t i = 0; i < EBB_PENDING_MAX; i++) {
    struct board_pending record = board->pending[i];
    record.id[sizeof(record.id) - 1] = 0;
    restore(keeper, before, &record);
  }
}

static bool concerns(const struct pending *pending, const struct slot *slot) {
  return (pending->pool == EBB_POOLS_MAX || pending->pool == slot->pool->index) &&
         (pending->slot == EBB_SLOTS_MAX || pending->slot == slot->index);
}

static bool all_empty(struct keeper *keeper, const struct pending *pending) {
  for_each_slot(slot, keeper) if (concerns(pending, slot) && worker__present(slot)) return false;
  return true;
}

/* Pieces of work come and go, and those who are adopted come when somebody says so: neither is waited for. */
static bool is_filled(const struct slot *slot) {
  bool goes = slot->state == EBB_SLOT_RETIRING || (slot->state == EBB_SLOT_LEAVING && slot->holds);
  return slot->pool->config.rules.mode != EBB_MODE_SERVICE ||
         (worker__present(slot) && slot->state != EBB_SLOT_STARTING && !goes);
}

/* Every slot that is wanted has a worker that is up, and no other slot has one. */
static bool all_full(struct keeper *keeper, const struct pending *pending) {
  for_each_slot(slot, keeper) {
    if (!concerns(pending, slot))
      continue;
    if (worker__wanted(keeper, slot) ? !is_filled(slot) : worker__present(slot))
      return false;
  }
  return true;
}

/* The place is another one now: there is a worker in it, or nobody comes. */
static bool succeeded(struct keeper *keeper, const struct pool *pool, uint64_t now_ns) {
  struct crew crew = crew__of(keeper, pool);
  return crew.serving >= pool->size || !succession__comes(keeper, pool, now_ns);
}

static bool retired(struct keeper *keeper, const struct pending *pending, uint64_t now_ns) {
  const struct slot *slot = &keeper->slots[pending->slot];
  if (!slot->pool || slot->generation < pending->generation)
    return true; /* the slot is another one's by now */
  if (slot->generation == pending->generation && worker__present(slot))
    return false;
  if (!worker__wanted(keeper, slot))
    return slot->closed != PLACE_SURPLUS || succeeded(keeper, slot->pool, now_ns);
  return is_filled(slot); /* its successor has to be up */
}

/* A retirement taken back: `resume` or `scale` said R before the job ended, or it never came to its lease. */
static bool kept(struct keeper *keeper, const struct pending *pending) {
  const struct slot *slot = &keeper->slots[pending->slot];
  return slot->pool && slot->generation == pending->generation && !slot->first &&
         (slot->state == EBB_SLOT_SERVING || slot->state == EBB_SLOT_UNLEASED || slot->state == EBB_SLOT_STARTING);
}

/* Of a drain of all pools, one that is lifted is enough: that one will not be empty. */
static bool drain_lifted(struct keeper *keeper, const struct pending *pending) {
  if (pending->verb != COMMAND_DRAIN)
    return false;
  for_each_pool(pool, keeper) if ((pending->pool == EBB_POOLS_MAX || pending->pool == pool->index) &&
                                  !pool->drained) return true;
  return false;
}

void pending__chosen(struct keeper *keeper, const struct slot *slot) {
  for (struct pending *pending = keeper->pending; pending < keeper->pending + EBB_PENDING_MAX; pending++) {
    if (pending->kind != PENDING_CHOICE || pending->pool != slot->pool->index)
      continue;
    pending->kind = PENDING_RETIRE;
    pending->slot = slot->index;
    pending->generation = slot->generation;
    return;
  }
}

static bool is_retirement_of(const struct pending *pending, const struct slot *slot) {
  return pending->kind == PENDING_RETIRE && pending->slot == slot->index && pending->generation == slot->generation;
}

void pending__give_up(struct keeper *keeper, const struct slot *slot, const char *reason) {
  for (size_t i = EBB_PENDING_MAX; i-- > 0;)
    if (is_retirement_of(&keeper->pending[i], slot))
      answer(keeper, &keeper->pending[i], AUDIT_REFUSED, reason);
}

bool pending__take_request(struct pool *pool) {
  bool first = pool->requests_first > 0;
  pool->requests--;
  pool->requests_first -= first;
  return first;
}

/* Without figures: one that is between jobs if there is one, else any that serves. */
static struct slot *choose(struct keeper *keeper, const struct pool *pool) {
  struct slot *any = NULL;
  for_each_slot_of(slot, keeper, pool) {
    if (!worker__can_go(slot) || slot->first)
      continue;
    any = slot;
    if (lease__try_lock(slot->lease_fd) == 0) {
      (void)lease__unlock(slot->lease_fd);
      return slot;
    }
  }
  return any;
}

static uint64_t choice_deadline(const struct keeper *keeper, const struct pool *pool) {
  if (!pool->requests)
    return UINT64_MAX;
  return keeper->watchdog.pid ? pool->requested_ns + CHOICE_TIMEOUT_NS : 0;
}

void pending__choose(struct keeper *keeper, uint64_t now_ns) {
  for_each_pool(pool, keeper) {
    while (now_ns >= choice_deadline(keeper, pool)) {
      const struct retirement why = {.reason = REASON_REQUEST, .by = "ebbd"};
      struct slot *slot = choose(keeper, pool);
      bool first = pending__take_request(pool);
      if (!slot)
        break;
      pending__chosen(keeper, slot);
      slot->reason = why.reason;
      bool marked = first && succession__mark(keeper, slot, why.reason, now_ns);
      publish__all(keeper); /* the next ebbd knows who was chosen, should this be our last deed */
      if (marked)
        worker__record_retire(keeper, slot, &why);
      else
        (void)worker__ask_out(keeper, slot, &why, now_ns);
    }
  }
}

static bool rolled(struct keeper *keeper, const struct pending *pending) {
  return !roll__goes_on(keeper, &keeper->pools[pending->pool]) && all_full(keeper, pending);
}

static bool no_worker_left(struct keeper *keeper, const struct pending *pending) {
  return keeper->pools[pending->pool].requests == 0;
}

static void look(struct keeper *keeper, struct pending *pending, uint64_t now_ns) {
  switch (pending->kind) {
  case PENDING_RETIRE:
    if (retired(keeper, pending, now_ns))
      answer(keeper, pending, AUDIT_DONE, NULL);
    else if (kept(keeper, pending))
      answer(keeper, pending, AUDIT_REFUSED,
             keeper->slots[pending->slot].state == EBB_SLOT_UNLEASED ? "unleased" : "superseded");
    break;
  case PENDING_CHOICE:
    if (no_worker_left(keeper, pending))
      answer(keeper, pending, AUDIT_REFUSED, "no-worker");
    break;
  case PENDING_EMPTY:
    if (all_empty(keeper, pending))
      answer(keeper, pending, AUDIT_DONE, NULL);
    else if (drain_lifted(keeper, pending))
      answer(keeper, pending, AUDIT_REFUSED, "superseded");
    break;
  case PENDING_FULL: /* a stop takes everybody away, which is not what was asked for: in the end that is said */
    if (keeper->stop == STOP_NO && all_full(keeper, pending))
      answer(keeper, pending, AUDIT_DONE, NULL);
    break;
  case PENDING_ROLLED: /* another roll makes more of them stale, so this one is done with that */
    if (keeper->pools[pending->pool].removed)
      answer(keeper, pending, AUDIT_REFUSED, "superseded");
    else if (keeper->stop == STOP_NO && rolled(keeper, pending))
      answer(keeper, pending, AUDIT_DONE, NULL);
    break;
  case PENDING_NOW:
    answer(keeper, pending, AUDIT_DONE, NULL);
    break;
  default:
    break;
  }
}

void pending__turn(struct keeper *keeper, uint64_t now_ns) {
  /* Backwards, since an answered one is taken out. */
  for (size_t i = EBB_PENDING_MAX; i-- > 0;)
    if (keeper->pending[i].kind != PENDING_NONE)
      look(keeper, &keeper->pending[i], now_ns);
}

void pending__now(struct keeper *keeper) {
  for (struct pending *pending = keeper->pending; pending < keeper->pending + EBB_PENDING_MAX; pending++)
    if (pending->kind == PENDING_NOW) {
      answer(keeper, pending, AUDIT_DONE, NULL);
      return; /* there is no second one */
    }
}

void pending__supersede_stop(struct keeper *keeper) {
  for (size_t i = EBB_PENDING_MAX; i-- > 0;)
    if (keeper->pending[i].kind == PENDING_STOP)
      answer(keeper, &keeper->pending[i], AUDIT_REFUSED, "superseded");
}

void pending__end(struct keeper *keeper) {
  while (keeper->pending[0].kind != PENDING_NONE) {
    bool is_stop = keeper->pending[0].kind == PENDING_STOP;
    answer(keeper, &keeper->pending[0], is_stop ? AUDIT_DONE : AUDIT_REFUSED, is_stop ? NULL : "stopping");
  }
}

uint64_t pending__deadline(struct keeper *keeper) {
  uint64_t first = UINT64_MAX;
  for_each_pool(pool, keeper) {
    uint64_t deadline = choice_deadline(keeper, pool);
    if (deadline < first)
      first = deadline;
  }
  return first;
}

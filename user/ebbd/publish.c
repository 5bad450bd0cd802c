/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "publish.h"

#include <string.h>

#include "board.h"
#include "fault.h"
#include "override.h"
#include "text.h"

/* All records begin with their sequence number, which is not compared. */
static void store(struct keeper *keeper, void *record, const void *now, size_t n) {
  if (!memcmp((const char *)record + sizeof(__u32), (const char *)now + sizeof(__u32), n - sizeof(__u32)))
    return;
  seqfile__store(&keeper->board, record, now, n);
  keeper->news = true;
}

static uint32_t n_pools(const struct keeper *keeper) {
  uint32_t n = EBB_POOLS_MAX;
  while (n > 0 && !keeper->pools[n - 1].config.name[0])
    n--;
  return n;
}

static void publish_ebbd(struct keeper *keeper, struct board *board) {
  struct board_ebbd now = {
      .n_pools = n_pools(keeper),
      .n_slots = keeper->n_slots,
      .watch_pid = keeper->watchdog.pid,
      .watch_starts = keeper->watchdog.starts,
      .stopping = keeper->stop != STOP_NO,
      .started_ns = keeper->started_ns,
      .wake_ups = board->ebbd.wake_ups, /* not news: brought up to date with the others */
      .rules = keeper->config.rules,
  };
  (void)text__copy(now.pressure_source, sizeof(now.pressure_source), keeper->config.pressure_source);
  (void)text__copy(now.boot_id, sizeof(now.boot_id), keeper->boot_id);
  store(keeper, &board->ebbd, &now, sizeof(now));
}

static void publish_pool(struct keeper *keeper, struct board *board, const struct pool *pool) {
  struct board_pool now = {
      .size = pool->size,
      .configured = pool->removed ? UINT32_MAX : pool->config.size, /* back in the file, it has the file's size */
      .requests = pool->requests,
      .requests_first = pool->requests_first,
      .drained = pool->drained,
      .hold_retire_ns = pool->hold_retire_ns,
      .hold_refill_ns = pool->hold_refill_ns,
      .hold_watch_ns = pool->hold_watch_ns,
      .retired = pool->retired,
      .refilled = pool->refilled,
      .pieces = pool->pieces,
      .recipe = pool->recipe,
      .limited = pool->limited,
      .retire_signal = pool->config.retire_signal,
      .rolled_ns = pool->rolled_ns,
      .batch = pool->batch,
      .rules = override__rules(pool),
  };
  (void)text__copy(now.name, sizeof(now.name), pool->config.name);
  store(keeper, &board->pools[pool->index], &now, sizeof(now));
}

static uint32_t kind_of(const struct slot *slot) {
  return (slot->idle == EBB_IDLE_SIGNAL ? BOARD_SLOT_SIGNALLED : 0) | (slot->adopted ? BOARD_SLOT_ADOPTED : 0) |
         (slot->summoned_ns ? BOARD_SLOT_SUMMONED : 0);
}

void publish__slot(struct keeper *keeper, const struct slot *slot) {
  struct board *board = board__of(&keeper->board);
  const struct board_slot unused = {.pool = EBB_POOLS_MAX};
  struct board_slot now = {
      .pool = slot->pool ? slot->pool->index : 0,
      .slot = slot->number,
      .generation = slot->generation,
      .pid = slot->pid,
      .state = slot->state,
      .start_time = slot->start_time,
      .born_ns = slot->born_ns,
      .since_ns = slot->since_ns,
      .reason = slot->reason,
      .failures = slot->failures,
      .closed = (__u32)slot->closed,
      .first = slot->first,
      .leased = slot->leased,
      .fresh_bytes = slot->fresh_bytes,
      .recipe = slot->recipe,
      .waits = slot->waits_ns > 0,
      .told = slot->told_once,
      .kind = kind_of(slot),
      .trimmed_ns = slot->trimmed_ns,
  };
  store(keeper, &board->slots[slot->index], slot->pool ? &now : &unused, sizeof(now));
}

static void publish_pending(struct keeper *keeper, struct board *board, size_t i) {
  const struct pending *pending = &keeper->pending[i];
  struct board_pending now = {
      .kind = pending->kind,
      .verb = pending->verb,
      .pool = pending->pool,
      .slot = pending->slot,
      .generation = pending->generation,
  };
  memcpy(now.id, pending->id, sizeof(now.id));
  store(keeper, &board->pending[i], &now, sizeof(now));
}

/* What commands wait for comes after what they wish for: an outcome is never waited for that nobody works at. */
void publish__all(struct keeper *keeper) {
  struct board *board = board__of(&keeper->board);
  publish_ebbd(keeper, board);
  for (uint32_t i = 0; i < EBB_POOLS_MAX; i++) {
    struct pool *pool = &keeper->pools[i];
    pool->index = i;
    publish_pool(keeper, board, pool);
  }
  FAULT(BOARD_HALF);
  for (uint32_t i = 0; i < keeper->n_slots; i++)
    publish__slot(keeper, &keeper->slots[i]);
  for (size_t i = 0; i < EBB_PENDING_MAX; i++)
    publish_pending(keeper, board, i);
}

bool publish__turn(struct keeper *keeper) {
  publish__all(keeper);
  bool news = keeper->news;
  keeper->news = false;
  return news;
}

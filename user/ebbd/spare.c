/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "spare.h"

#include "crew.h"
#include "worker.h"

static bool is_kept(const struct keeper *keeper, const struct pool *pool) {
  return keeper->stop == STOP_NO && !pool->removed && !pool->drained;
}

static bool is_before(const struct slot *a, const struct slot *b) {
  return a->since_ns != b->since_ns ? a->since_ns < b->since_ns : a->number < b->number;
}

static struct slot *longest_waiting(struct keeper *keeper, const struct pool *pool) {
  struct slot *found = NULL;
  for_each_slot_of(slot, keeper, pool) {
    if (slot->state == EBB_SLOT_SPARE && slot->closed == PLACE_OPEN && (!found || is_before(slot, found)))
      found = slot;
  }
  return found;
}

/* One that is between jobs if there is one; of these the highest number. */
static struct slot *one_too_many(struct keeper *keeper, const struct pool *pool) {
  struct slot *found = NULL;
  bool idle = false;
  for_each_slot_of(slot, keeper, pool) {
    if (slot->state != EBB_SLOT_SERVING || slot->closed != PLACE_OPEN)
      continue;
    bool this_idle = worker__between_jobs(slot);
    if (!found || this_idle > idle || (this_idle == idle && slot->number > found->number)) {
      found = slot;
      idle = this_idle;
    }
  }
  return found;
}

bool spare__is_needed(const struct keeper *keeper, const struct slot *slot) {
  return crew__of(keeper, slot->pool).staying < slot->pool->size;
}

static void record_new(struct keeper *keeper, const struct pool *pool, uint64_t now_ns) {
  for_each_slot_of(slot, keeper, pool) {
    struct audit_worker worker = worker__name(slot);
    if (slot->state == EBB_SLOT_SPARE && slot->since_ns == now_ns)
      audit__write(&keeper->audit, &(struct audit_record){.event = AUDIT_SPARE, .worker = &worker});
  }
}

static void pool_turn(struct keeper *keeper, const struct pool *pool, struct crew crew, uint64_t now_ns) {
  bool spares = crew.spares > 0;
  for (; crew.spares > 0 && crew.serving < pool->size; crew.spares--, crew.serving++)
    worker__let_in(keeper, longest_waiting(keeper, pool), now_ns);
  for (; crew.staying > pool->size; crew.staying--)
    (void)worker__let_go(keeper, one_too_many(keeper, pool), REASON_SCALE, now_ns);
  if (spares)
    record_new(keeper, pool, now_ns);
}

void spare__turn(struct keeper *keeper, uint64_t now_ns) {
  static struct crew crews[EBB_POOLS_MAX];
  crew__count(keeper, crews);
  for_each_pool(pool, keeper) {
    if (is_kept(keeper, pool))
      pool_turn(keeper, pool, crews[pool->index], now_ns);
  }
}

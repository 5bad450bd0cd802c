/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "crew.h"

#include <string.h>

static void add(struct crew *crew, const struct slot *slot) {
  crew->places += slot->closed != PLACE_SURPLUS;
  crew->serving += crew__serves(slot);
  crew->first += slot->first;
  if (slot->closed != PLACE_OPEN)
    return;
  crew->staying += slot->state == EBB_SLOT_SERVING;
  crew->sure += slot->state == EBB_SLOT_SERVING || (slot->state == EBB_SLOT_DUE && slot->leased && !slot->first) ||
                crew__has_helper(slot);
  crew->spares += slot->state == EBB_SLOT_SPARE;
}

void crew__count(const struct keeper *keeper, struct crew ret_crews[EBB_POOLS_MAX]) {
  memset(ret_crews, 0, EBB_POOLS_MAX * sizeof(*ret_crews));
  for (const struct slot *slot = keeper->slots; slot < keeper->slots + keeper->n_slots; slot++)
    if (slot->pool)
      add(&ret_crews[slot->pool->index], slot);
}

struct crew crew__of(const struct keeper *keeper, const struct pool *pool) {
  struct crew crew = {0};
  for (const struct slot *slot = keeper->slots; slot < keeper->slots + keeper->n_slots; slot++)
    if (slot->pool == pool)
      add(&crew, slot);
  return crew;
}

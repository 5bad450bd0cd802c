/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the workers of a pool do, counted: what is decided for a pool as a whole is decided by these numbers. */
#ifndef EBBD_CREW_H
#define EBBD_CREW_H

#include "worker.h"

struct crew {
  uint32_t places;  /* that the pool has, also those that are wanted empty */
  uint32_t serving; /* take jobs, or may do so */
  uint32_t staying; /* of these, in open places: known to use their lease, and not asked out */
  uint32_t sure;    /* … or still at a job, though asked out, unless somebody is ready to take their place */
  uint32_t spares;  /* wait at their lease */
  uint32_t first;   /* go when their successor is ready */
};

/* Of all pools, by their index. */
void crew__count(const struct keeper *keeper, struct crew ret_crews[EBB_POOLS_MAX]);
struct crew crew__of(const struct keeper *keeper, const struct pool *pool);

/* It takes jobs, or may do so: of an unleased one nobody knows, and a due one may still be in the middle of one; but for a
 * successor that never came to its lease, and whose place was closed again: else it hangs, and keeps the next one out. */
static inline bool crew__serves(const struct slot *slot) {
  return slot->state == EBB_SLOT_SERVING || slot->state == EBB_SLOT_UNLEASED ||
         (slot->state == EBB_SLOT_DUE && slot->was_serving &&
          (slot->leased || slot->closed != PLACE_SURPLUS || worker__serves_at_once(slot)));
}
/* Its process has ended, and a helper goes on with the job. */
static inline bool crew__has_helper(const struct slot *slot) {
  return slot->state == EBB_SLOT_LEAVING && slot->leased && !slot->holds;
}

#endif

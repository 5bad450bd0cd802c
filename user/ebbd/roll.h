/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Workers that were started by another recipe (command, environment, user, directory) than their pool has now are
 * replaced, between jobs. Nothing is remembered: a slot knows by which recipe its worker was started, on the board too, so a
 * roll goes on after a restart of ebbd, and ends when the file says again what it said before.
 *
 * One at a time: the next one only when the last one's successor is up. So a command that cannot be started costs one
 * worker of the pool, and the others stay.
 */
#ifndef EBBD_ROLL_H
#define EBBD_ROLL_H

#include "keeper.h"

/* One whose job goes on for longer does not keep the others waiting. */
#define ROLL_WAIT_NS (1000ULL * 1000000ULL)

void roll__turn(struct keeper *keeper, uint64_t now_ns);

static inline bool roll__stale(const struct slot *slot) {
  return slot->recipe && slot->recipe != slot->pool->recipe;
}

#endif

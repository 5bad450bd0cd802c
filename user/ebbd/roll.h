/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Workers that were started by another recipe (command, environment, user, directory) than their pool has now, or before
 * somebody asked for all of them to be replaced, are stale, and are replaced, between jobs. Nothing is remembered of who
 * that is: a slot knows by which recipe its worker was started, and when, on the board too. So a roll goes on after a
 * restart of ebbd, another one only makes more of them stale, and one for a file ends when the file says again what it
 * said before.
 *
 * `batch` at a time: the next one only when the last one's successor is up. Spares are first, since that costs nothing. Of the
 * others, each goes as soon as a fresh spare is ready; one is started for it (succession.h) where there is headroom for it.
 * Without headroom it goes first, so a command that cannot be started costs as many as are replaced at a time, and else none.
 */
#ifndef EBBD_ROLL_H
#define EBBD_ROLL_H

#include "keeper.h"
#include "worker.h"

/* One whose job goes on for longer does not keep the others waiting. */
#define ROLL_WAIT_NS (1000ULL * 1000000ULL)

/* true: somebody is replaced. Places may have been opened, and spares be needed: the slots and spare__turn have to look. */
bool roll__turn(struct keeper *keeper, uint64_t now_ns);

static inline bool roll__stale(const struct slot *slot) {
  return (slot->recipe && slot->recipe != slot->pool->recipe) || slot->born_ns < slot->pool->rolled_ns;
}
/* A stale worker is there still. */
bool roll__goes_on(struct keeper *keeper, const struct pool *pool);

#endif

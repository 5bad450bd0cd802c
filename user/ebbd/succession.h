/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Successor first: a worker that is to go stays until another one is ready, so that no fewer serve meanwhile. Its slot is
 * marked (`first`, on the board too), and nothing else is remembered:
 *
 *   marked       its pool has a place more, unless its spares are enough; whoever comes up there is a spare (spare.h)
 *   asked out    as usual, when as many as the pool's size serve or wait without it; while it is busy, the spare waits on
 *   not marked   once it is fenced or gone: the spare is let in, and a place is closed (roster.h), as a rule its own
 *
 * A successor that does not come (it cannot be started, dies young, is late, refills are held): for memory the worker goes
 * all the same, a roll waits, and any other retirement is given up. Nobody is lost who need not be.
 */
#ifndef EBBD_SUCCESSION_H
#define EBBD_SUCCESSION_H

#include "keeper.h"

/* Mark it, and open the place. false: it has to be asked out as usual, since it does not serve, its pool takes no lease, or
 * it is not wanted here, or there is no room. One that a roll has marked goes for this reason from now on. */
bool succession__mark(struct keeper *keeper, struct slot *slot, enum reason reason, uint64_t now_ns);
/* After the turn of the slots, before spare__turn: ask out those whose successor is ready; take marks off. true: places have
 * been closed, and the slots have to look. */
bool succession__turn(struct keeper *keeper, uint64_t now_ns);
/* Somebody of the pool is starting, or about to. */
bool succession__comes(struct keeper *keeper, const struct pool *pool, uint64_t now_ns);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Who is let in. Every worker that we have started comes to its lease, which we hold, and waits there: it is a spare. It is
 * let in while fewer of its pool serve than the pool's size, at once as a rule; the others stay until somebody has gone.
 * So to fill a place is to unlock a file, and the one that is started then is the next spare.
 *
 *   serve      serving, unleased, or due and still in the middle of a job; never more than size by our doing
 *   more do    our last life's spares: the locks that held them died with us. One too many is asked out, between jobs; the
 *              one that fills its place is a spare again
 *
 * A worker that has been taken over is never made a spare: it may have fetched a job before it came to its lease.
 */
#ifndef EBBD_SPARE_H
#define EBBD_SPARE_H

#include "keeper.h"

/* After the slots have had their turn. */
void spare__turn(struct keeper *keeper, uint64_t now_ns);
/* One that was asked out as one too many is not that any more. */
bool spare__is_needed(const struct keeper *keeper, const struct slot *slot);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * How an adopting pool asks for a worker: refill_command is run as the pool's user, once for each slot that has become empty,
 * and is to have somebody start one and say `adopt`. Which call a worker comes of, nobody says: what counts is that as many
 * slots wait as were asked for. When a call fails, one of them backs off, and it is run again for that one. When it takes
 * longer than ready_timeout, or nobody has come by then, that is said once; it is not ended. It is run anew for a slot
 * that was not to be filled for a while. That it was run is on the board before it is, and the next ebbd gives it the same
 * time before it runs it again.
 */
#ifndef EBBD_SUMMON_H
#define EBBD_SUMMON_H

#include "keeper.h"

/* Of a slot that is empty or has rested, wanted, and not held. */
void summon__turn(struct keeper *keeper, struct slot *slot, uint64_t now_ns);
/* When it has to be looked at again; UINT64_MAX: never. */
uint64_t summon__deadline(const struct slot *slot);
/* refill_command may have ended. */
void summon__exited(struct keeper *keeper, struct slot *slot);
/* As the last ebbd left it. */
void summon__restore(struct slot *slot, bool summoned, uint64_t now_ns);
/* The slot goes to somebody else, or ebbd ends: a command that still runs is left alone. */
void summon__forget(struct slot *slot);

#endif

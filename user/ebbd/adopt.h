/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Workers that somebody else has started (mode = adopt). A process comes into an empty slot only if it is, beyond doubt, one
 * of the pool's user's, and nobody's of ours: else anyone who may write into the FIFO could have anything ended.
 *
 * Under idle = lease it names its lease, see os/adoptdir.h, which gets a second name among ours, so that all that
 * looks at leases finds it. It counts as one that uses it once it has been seen at it. Under idle = signal ebbd makes a lease
 * that nobody takes. Its end is seen through its pidfd, never reaped; it alone is signalled, not its group, which may be
 * its starter's; and what it leaves behind is its starter's too.
 */
#ifndef EBBD_ADOPT_H
#define EBBD_ADOPT_H

#include "keeper.h"

/* Directories for the leases of all pools that adopt. */
void adopt__make_places(struct keeper *keeper);
/* Take the process into an empty slot. NULL and the slot, or why not (then nothing has changed). */
const char *adopt__take(struct keeper *keeper, struct pool *pool, pid_t pid, uint64_t now_ns, struct slot **ret_slot);
void adopt__record(struct keeper *keeper, const struct slot *slot, const struct command *command);
/* It was adopted by an ebbd of before: is it still the pool's user's? What cannot be told, since the file does not say, is not
 * held against it. */
bool adopt__is_users(const struct pool *pool, pid_t pid);

#endif

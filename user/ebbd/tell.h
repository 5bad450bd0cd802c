/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Workers whose framework finishes the running job when it is told to go (idle = signal). They take no lease, serve from
 * their start, and are told once, the leader alone: to such frameworks a second signal means "at once". That it was told
 * is on the board before it is; so an ebbd that is killed in between has told nobody, and no other one does.
 */
#ifndef EBBD_TELL_H
#define EBBD_TELL_H

#include "keeper.h"

/* Tell it, if it is due and has not been told. It is due until it ends by itself. */
void tell__turn(struct keeper *keeper, struct slot *slot);

static inline bool tell__is_for(const struct slot *slot) {
  return slot->idle == EBB_IDLE_SIGNAL;
}

#endif

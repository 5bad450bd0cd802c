/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * How a slot without a worker gets the next one. A service's at once, unless starts are held. The next piece of work
 * (mode = oneshot) waits for the watch to say that it fits: `refill <pool>/<slot> by=watch` lets one start pass, also while
 * the watch itself holds the pool's starts. It is started all the same when no watch runs, or when the watch neither says
 * so nor holds for CHOICE_TIMEOUT_NS. An adopting pool's is filled by `adopt`; its refill_command may have somebody say so.
 */
#ifndef EBBD_FILL_H
#define EBBD_FILL_H

#include "keeper.h"

/* Of a slot that is empty or backs off. */
void fill__turn(struct keeper *keeper, struct slot *slot, uint64_t now_ns);
/* When that may be different, without any event; UINT64_MAX: never. */
uint64_t fill__deadline(const struct keeper *keeper, const struct slot *slot);

/* Is the command the watch's word that the next piece fits? */
bool fill__is_admission(const struct slot *slot, const struct command *command);
/* Then: NULL, or why it is refused. */
const char *fill__admit(struct slot *slot);

#endif

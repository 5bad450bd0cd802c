/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Workers of an ebbd that ended without them: taken over from its board, each checked to be the process it was. */
#ifndef EBBD_TAKEOVER_H
#define EBBD_TAKEOVER_H

#include "keeper.h"

struct board_view;

/* Beside the board, or without one: what can be known of the workers by looking for processes that have a lease of this run
 * directory. The board may miss those of ebbd's last turn. Returns how many there are; 0: there was nobody. */
int takeover__search(const struct keeper *keeper, struct board_view *ret_view);
/* Slots get their generation back, and their worker where it still runs. Returns how many workers were taken over. */
int takeover__run(struct keeper *keeper, const struct board_view *before, uint64_t now_ns);

#endif

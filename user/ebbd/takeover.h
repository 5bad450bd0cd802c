/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Workers of an ebbd that ended without them: taken over from its board, each checked to be the process it was. In this
 * order: the roster before the configuration is applied, then the workers by the board, then those that the search finds,
 * then the rest, then the sweep.
 */
#ifndef EBBD_TAKEOVER_H
#define EBBD_TAKEOVER_H

#include "keeper.h"

struct board_view;
struct board_slot;

/* Pools and slots as they were, each at its place on the board, with what was wished for them; nobody in them yet. */
void takeover__roster(struct keeper *keeper, const struct board_view *before, uint64_t now_ns);
/* Slots get their worker where it still runs. Returns how many workers were taken over, or
 * negative errno (said already): one could not be looked at, and to go on might start another beside it. */
int takeover__run(struct keeper *keeper, const struct board_view *before, uint64_t now_ns);
/* Workers of the board that do not run any more: what they have left behind is waited for. */
void takeover__rest(struct keeper *keeper, const struct board_view *before, uint64_t now_ns);
/* Remove the leases that are nobody's; their generations are not given again. */
void takeover__sweep(struct keeper *keeper, uint64_t now_ns);

/* search.c: beside the board, or without one, what can be known of the workers by looking for processes that have a lease
 * of this run directory. Returns how many there are; 0: there was nobody. */
int takeover__search(const struct keeper *keeper, struct board_view *ret_view);
/* search.c: "<pool>.<slot>.<generation>", as worker__lease_name makes it; `pool` holds EBB_NAME_BYTES. */
bool takeover__parse_name(const char *name, char *pool, struct board_slot *ret);
/* search.c: does the process belong to the user whose lease this is? */
bool takeover__is_owners(pid_t pid, int lease_fd);

#endif

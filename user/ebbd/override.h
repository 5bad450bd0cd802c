/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Limits that somebody set by command in place of those of the file. They are in force until `limit <pool> default`: a
 * reload leaves them, and so does the next ebbd, which finds them on the board. A pool that leaves the file loses them.
 */
#ifndef EBBD_OVERRIDE_H
#define EBBD_OVERRIDE_H

#include "keeper.h"

struct board_pool;

/* The rules in force, for the board. */
struct ebb_pool_rules override__rules(const struct pool *pool);
/* As the command says: one or both limits, or none any more. */
void override__set(struct pool *pool, const struct command *command);
/* As the last ebbd had them. */
void override__restore(struct pool *pool, const struct board_pool *record);
/* One record for each limit, with who set it. */
void override__record(struct keeper *keeper, const struct pool *pool, const struct command *command);

#endif

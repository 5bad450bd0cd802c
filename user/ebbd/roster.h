/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Which pools and slots there are. */
#ifndef EBBD_ROSTER_H
#define EBBD_ROSTER_H

#include "keeper.h"

/* By name and number; NULL: there is none. A pool that is on its way out is not found. */
struct pool *roster__pool(struct keeper *keeper, const char *name);
struct slot *roster__slot(struct keeper *keeper, const struct pool *pool, uint32_t number);

/* Also one that is on its way out: it comes back with the workers it still has, so that no slot is ever two. */
struct pool *roster__known_pool(struct keeper *keeper, const char *name);
/* A free pool, to be armed; NULL: none left. */
struct pool *roster__new_pool(struct keeper *keeper);
/* Take over a pool's configuration: command line, environment, user. What runs goes on as it is. 0 or negative errno. */
int roster__arm(struct pool *pool, const struct config_pool *config);
/* An empty slot; NULL: no place left. */
struct slot *roster__add_slot(struct keeper *keeper, struct pool *pool, uint32_t number, uint64_t now_ns);
/* The same in a place that is known to be free. */
struct slot *roster__put_slot(struct keeper *keeper, uint32_t index, struct pool *pool, uint32_t number,
                              uint64_t now_ns);
/* A pool as the file has it, be it known already or not. A size set by `scale` stays until the file says another one than
 * before. What else has changed asks for roster__balance_all, once it is known who is there. 0, -ENOSPC: no place for it or
 * for all of its slots, or another negative errno. */
int roster__apply(struct keeper *keeper, const struct config_pool *config, uint64_t now_ns);
/* Open or close places until the pool has as many as it is to have; the turns that follow fill or empty them. Opened are
 * the lowest numbers that are not in use. Closed are, while more serve than the pool's size, places of such workers, of
 * unleased ones first, else of those that do not serve: where there is nobody, then where one is starting, then spares, then
 * what is wanted empty; of these the highest numbers. What is wanted empty is not opened. false: some have found no room; the
 * same again adds them when there is some. */
bool roster__balance(struct keeper *keeper, struct pool *pool, uint64_t now_ns);
bool roster__balance_all(struct keeper *keeper, uint64_t now_ns);
/* Open what is missing, and only what can be filled at once: no places that somebody is still leaving. */
bool roster__open_at_once(struct keeper *keeper, struct pool *pool, uint64_t now_ns);
/* Make the pool that large, and balance it; but one with neither spares nor successors on their way closes its highest
 * numbers, whatever is there. */
bool roster__resize(struct keeper *keeper, struct pool *pool, uint32_t size, uint64_t now_ns);
bool roster__has_room(struct keeper *keeper, const struct pool *pool, uint64_t size);
/* No slot has a worker, or anything of one. */
bool roster__nobody_left(struct keeper *keeper);
/* Free removed pools that have become empty. true: there were some. */
bool roster__tidy(struct keeper *keeper);

#endif

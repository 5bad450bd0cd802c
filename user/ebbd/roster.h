/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Which pools and slots there are. */
#ifndef EBBD_ROSTER_H
#define EBBD_ROSTER_H

#include "keeper.h"

/* By name and number; NULL: there is none. A pool that is on its way out is not found. */
struct pool *roster__pool(struct keeper *keeper, const char *name);
struct slot *roster__slot(struct keeper *keeper, const struct pool *pool, uint32_t number);

/* A free pool, to be armed; NULL: none left. */
struct pool *roster__new_pool(struct keeper *keeper);
/* Take over a pool's configuration: command line, environment, user. What runs goes on as it is. 0 or negative errno. */
int roster__arm(struct pool *pool, const struct config_pool *config);
/* An empty slot; NULL: no place left. */
struct slot *roster__add_slot(struct keeper *keeper, struct pool *pool, uint32_t number, uint64_t now_ns);
/* Make the pool that large: slots beyond are closed, and emptied by the turns that follow. false: some of its slots have
 * found no place; the same again adds them when there is one. */
bool roster__resize(struct keeper *keeper, struct pool *pool, uint32_t size, uint64_t now_ns);
bool roster__has_room(struct keeper *keeper, const struct pool *pool, uint64_t size);
/* Free removed pools that have become empty. true: there were some. */
bool roster__tidy(struct keeper *keeper);

#endif

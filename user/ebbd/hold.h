/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Holds: no retirements, or no starts, until a time. An operator's and the watch's hold of starts are two: the later end of
 * both counts, and the watch, which says it again every few seconds while memory is short, never shortens an operator's.
 */
#ifndef EBBD_HOLD_H
#define EBBD_HOLD_H

#include "keeper.h"

/* As the command says. false: it only goes on, which is not worth a record. */
bool hold__set(struct pool *pool, const struct command *command, uint64_t now_ns);
void hold__lift(struct pool *pool);
/* End those that have run out, with a record for each. */
void hold__turn(struct keeper *keeper, uint64_t now_ns);
/* When the next one of the pool does; UINT64_MAX: there is none. */
uint64_t hold__deadline(const struct pool *pool);

/* Starts are held until then; 0: they are not. */
static inline uint64_t hold__refill_until_ns(const struct pool *pool) {
  return pool->hold_refill_ns > pool->hold_watch_ns ? pool->hold_refill_ns : pool->hold_watch_ns;
}

#endif

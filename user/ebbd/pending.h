/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Commands that wait for their outcome. What a command waits for is never remembered as progress: each turn asks the
 * slots whether it is true now. So they outlive ebbd: they are on the board before it is said that they are accepted, and
 * the next ebbd goes on with them. One that had its answer just when ebbd was killed may get it twice.
 */
#ifndef EBBD_PENDING_H
#define EBBD_PENDING_H

#include "keeper.h"

struct board_view;

/* A free place, or NULL: too many commands wait. Only commands with an id, and unnamed retirements, need one. */
struct pending *pending__new(struct keeper *keeper);
/* What was accepted by the last ebbd; pools and slots have the places that they had then. */
void pending__restore(struct keeper *keeper, const struct board_view *before);
/* Answer the one that was carried out at once. */
void pending__now(struct keeper *keeper);
/* Before the slots have their turn: choose a worker for requests that the watch left unanswered. */
void pending__choose(struct keeper *keeper, uint64_t now_ns);
/* Answer those whose outcome has come. */
void pending__turn(struct keeper *keeper, uint64_t now_ns);
/* The watch, or ebbd itself, chose this worker for the oldest unnamed request of its pool. */
void pending__chosen(struct keeper *keeper, const struct slot *slot);
/* Nobody will go on with what was asked of this worker. */
void pending__give_up(struct keeper *keeper, const struct slot *slot, const char *reason);
/* One request of the pool has its worker now. true: it wants the successor first. */
bool pending__take_request(struct pool *pool);
/* Somebody else wants no more waiting: whoever asked for the end of all workers is told so. */
void pending__supersede_stop(struct keeper *keeper);
/* ebbd ends: answer all that still wait. A stop that was not superseded is done. */
void pending__end(struct keeper *keeper);
/* When a request wants a choice of ebbd's own; UINT64_MAX: none does. */
uint64_t pending__deadline(struct keeper *keeper);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Commands that wait for their outcome. What a command waits for is never remembered as progress: each turn asks the
 * slots whether it is true now.
 */
#ifndef EBBD_PENDING_H
#define EBBD_PENDING_H

#include "keeper.h"

/* A free place, or NULL: too many commands wait. Only commands with an id, and unnamed retirements, need one. */
struct pending *pending__new(struct keeper *keeper);
/* Answer those whose outcome has come; choose a worker for requests that the watch left unanswered. */
void pending__turn(struct keeper *keeper, uint64_t now_ns);
/* The watch, or ebbd itself, chose this worker for the oldest unnamed request of its pool. */
void pending__chosen(struct keeper *keeper, const struct slot *slot);
/* ebbd ends: answer all that still wait. */
void pending__end(struct keeper *keeper);
/* When a request wants a choice of ebbd's own; UINT64_MAX: none does. */
uint64_t pending__deadline(struct keeper *keeper);

#endif

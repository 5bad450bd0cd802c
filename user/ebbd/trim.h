/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The order to give memory back (T): a worker reads it when it next takes its lease, gives back what it can, and goes on.
 * It stands for the pool's trim_wait, so that a worker with several job threads reads it in each; then it is R again. An X
 * takes its place, and nothing takes the place of an X. With ebbd it is over: the next one writes R.
 */
#ifndef EBBD_TRIM_H
#define EBBD_TRIM_H

#include "keeper.h"

/* Write it. NULL, or why not (then nothing has changed). */
const char *trim__order(struct slot *slot, uint64_t now_ns);
void trim__record(struct keeper *keeper, const struct slot *slot, const struct command *command);
/* Write R when its time is over, and the worker still serves: else its order is another one. */
void trim__turn(struct slot *slot, uint64_t now_ns);
/* When that is; UINT64_MAX: it does not stand. */
uint64_t trim__deadline(const struct slot *slot);

#endif

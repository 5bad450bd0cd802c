/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Ends of our processes, each told by its pidfd. The loop follows all of them through one epoll of our own, made at start:
 * an event source for each would be allocated as it is started, which is when there may be no memory to be had.
 */
#ifndef EBBD_EXITS_H
#define EBBD_EXITS_H

#include "keeper.h"

/* In place of a slot's index; with it: of what a slot has run to be given a worker. */
#define EXITS_WATCHDOG UINT32_MAX
#define EXITS_SUMMON 0x80000000u

/* 0 or negative errno. Reaping and retiring come before commands. */
int exits__open(struct keeper *keeper);
void exits__close(struct keeper *keeper);
/* Look for the end of the process that index's pidfd names: it is told, again and again, until it is left alone. 0 or
 * negative errno. */
int exits__follow(const struct keeper *keeper, int pidfd, uint32_t index);
void exits__leave(const struct keeper *keeper, int pidfd);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Which of our children are known: workers and the watch. Everything else that turns up as our child is an orphan of a
 * worker (we are a subreaper): it is reaped here, and found by leave.c when its worker goes.
 */
#ifndef EBBD_CHILDREN_H
#define EBBD_CHILDREN_H

#include <stdbool.h>
#include <sys/types.h>

void children__know(pid_t pid);
void children__forget(pid_t pid);
bool children__known(pid_t pid);
/* Reap the orphans that have ended. 1: living ones are left, 0: none, negative errno: cannot be told cheaply. */
int children__reap_orphans(void);

#endif

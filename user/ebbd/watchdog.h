/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Keeps ebb-watch running. It dies with us; its death costs no worker anything. */
#ifndef EBBD_WATCHDOG_H
#define EBBD_WATCHDOG_H

#include "keeper.h"

/* Find the program: $EBB_WATCH, beside ebbd, ../libexec/ebb. 0 or -ENOENT. */
int watchdog__init(struct keeper *keeper);
/* Start it when it is time to. */
void watchdog__turn(struct keeper *keeper, uint64_t now_ns);
uint64_t watchdog__deadline(const struct keeper *keeper);
/* Its process has ended: it is started again, after a while. */
void watchdog__exited(struct keeper *keeper);
/* The board has changed. */
void watchdog__ring(struct keeper *keeper);
/* End it, and wait for that. */
void watchdog__done(struct keeper *keeper);

#endif

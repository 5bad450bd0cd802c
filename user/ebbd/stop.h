/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* How ebbd ends: when all have gone, or without who is busy. */
#ifndef EBBD_STOP_H
#define EBBD_STOP_H

#include "keeper.h"

/* Retire everybody, then end. Again: leave the busy ones to the next ebbd and end now; who asked before is told so. */
void stop__ask(struct keeper *keeper, uint64_t now_ns);

#endif

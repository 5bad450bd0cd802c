/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The gate: every worker's first lock of its lease waits for ebbd, which holds it. Seeing it wait is the proof that the
 * worker uses its lease, and the moment in which it is ready. No event tells of a waiter, so /proc/locks is read, one
 * pass for all workers at the gate, and only while there are any.
 */
#ifndef EBBD_GATE_H
#define EBBD_GATE_H

#include "keeper.h"

/* Look if it is time to; sets slot->awaited (also of one that has come through while there was no ebbd), and slot->fresh_bytes of those. */
void gate__turn(struct keeper *keeper, uint64_t now_ns);

#endif

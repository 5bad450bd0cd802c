/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Which pieces of work may start: those of oneshot pools whose slot is empty and waits (facts.waits). Pure. Part of
 * core/policy.
 *
 * A piece fits when what its pool's pieces take at most (pools[].piece_bytes) is there beside `reserve` and what the pieces
 * that run may still take of theirs; within memory_budget too, where that is set. Of a pool of which nothing is known yet,
 * one piece at a time is tried. Where no piece runs at all one always may: else nothing would ever be done.
 *
 * Pools with a higher priority come first, then by index and slot. One that does not fit blocks those of a lower priority,
 * so that small pieces do not keep a large one waiting for ever; pools of the same priority do not block each other.
 *
 * A piece that was just let in, and has no process yet, is told by the state STARTING.
 */
#ifndef CORE_ADMISSION_H
#define CORE_ADMISSION_H

#include "policy.h"

/* Fills in plan->starts, and plan->hold_refill of the oneshot pools in which somebody waits on. */
void admission__decide(const struct policy_input *in, struct plan *plan);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The gate: every worker's first lock of its lease waits for ebbd, which holds it. Seeing it wait is the proof that the
 * worker uses its lease, and the moment in which it is ready. No event tells of a waiter, so /proc/locks is read, one
 * pass for all workers at the gate, and only while there are any.
 *
 * The kernel holds up all file locks of the host for such a pass, and on a host that thrashes it may take seconds until it
 * can. So a thread beside the loop reads, and the loop never waits for it. Of the one question there is:
 *   IDLE      there is none; the next one is asked at keeper->gate_ns (0: when somebody is at the gate)
 *   ASKED     it is the thread's; the loop neither touches it nor asks another
 *   ANSWERED  it is the loop's again, whose next turn takes the answer: IDLE
 *
 * An answer is about workers, not about places: each is named by its slot, generation, pid and birth, and counts only while
 * the slot has this very worker, still at the gate. The thread begins to read after it was asked, so after that worker was
 * started: what it sees at a lease or under a pid cannot be of anybody before, and what has been taken by somebody else since
 * is another worker's, who is not in the question. So an answer may be late, but who was seen waiting is waiting still: only
 * we let it in.
 *
 * Killed, we are gone when the thread has come back from its read, and until then our locks last: lock_run_dir() waits.
 */
#ifndef EBBD_GATE_H
#define EBBD_GATE_H

#include "keeper.h"

/* Start the thread; it has the capabilities and the filter of its caller. 0 or negative errno. */
int gate__open(struct keeper *keeper);
/* Take the answer, ask if it is time to; sets slot->awaited (also of one that has come through while there was no ebbd), and
 * slot->fresh_bytes of those. */
void gate__turn(struct keeper *keeper, uint64_t now_ns);
/* The next question; UINT64_MAX: none, or an answer comes first. */
uint64_t gate__deadline(const struct keeper *keeper);

#endif

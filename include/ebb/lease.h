/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The lease file: the contract between a worker and ebbd.
 *
 *   bytes 0        order, written by ebbd: R run, T give memory back first, X exit instead of taking a job
 *         1-15     newline, then zero
 *         16-127   label with an even sequence number, written by the worker: "<sequence> <label>\n"
 *         128-239  label with an odd sequence number
 *         240-255  zero
 *
 * A worker that labels its jobs may also keep a private copy (mmap(2), MAP_PRIVATE, of a descriptor that it does not lock,
 * lest a child that inherits the mapping hold the lock): its newest label at byte 16, whatever its number, ending with a
 * newline, and at byte 240, as a 32-bit number, the thread that it is of. The kernel side reads it when that thread unlocks
 * the lease. So jobs keep their own labels that are shorter than a look at the file takes, or that overlap. While it is at
 * its first turn, which says that it is ready, the copy has "0 -\n" there: whenever somebody begins to look on, that turn is
 * known to be no job.
 *
 * A worker holds an exclusive flock(2) on the file while it works on a job. Two labels in turn, so that one of
 * them is whole whatever the worker is writing. Nothing in the labels is trusted.
 */
#ifndef EBB_LEASE_H
#define EBB_LEASE_H

#define EBB_LEASE_BYTES 256
#define EBB_LEASE_LABEL_OFFSET(sequence) (((sequence)&1) ? 128 : 16)
#define EBB_LEASE_LABEL_FIELD 112
#define EBB_LEASE_COPY_THREAD 240
#define EBB_LEASE_READY "0 -\n"

#define EBB_ORDER_RUN 'R'
#define EBB_ORDER_TRIM 'T'
#define EBB_ORDER_EXIT 'X'

/* The environment of a worker. */
#define EBB_LEASE_ENV "EBB_LEASE"           /* path of its lease */
#define EBB_POOL_ENV "EBB_POOL"             /* name of its pool */
#define EBB_SLOT_ENV "EBB_SLOT"             /* number of its slot */
#define EBB_GENERATION_ENV "EBB_GENERATION" /* how many workers the slot has had, this one included */

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Every bound of the system, with the reason for its value. Shared with the kernel programs. */
#ifndef EBB_BOUNDS_H
#define EBB_BOUNDS_H

/* A host has tens of job types, not hundreds; the policy's per-pool scratch space lives on the stack. */
#define EBB_POOLS_MAX 64
/* Workers of one host. At 20 MiB each they fill 80 GiB; files of this many records stay sparse. */
#define EBB_SLOTS_MAX 4096
/* Pool names go into file names, the FIFO grammar and table columns. With the terminating NUL. */
#define EBB_NAME_BYTES 32
/* A job label as it is kept and shown: what one label field of a lease holds, less sequence and newline. */
#define EBB_LABEL_BYTES 96
/* One FIFO line, newline included. Far below PIPE_BUF, so that a line is written in one piece. */
#define EBB_LINE_BYTES 512
/* A command's `id=`, with the terminating NUL. */
#define EBB_ID_BYTES 40
/* Processes that a worker can be made of, over all workers: what the kernel's preallocated maps hold. */
#define EBB_PROCS_MAX 16384
/* Leases locked at one time, over all workers (a worker with job threads holds one lock a thread). */
#define EBB_HELD_MAX 8192
/* Threads that wait for memory at one time, over all workers; what finds no room is counted as lost. */
#define EBB_STALLS_MAX 8192
/* Kinds of job that `ebb jobs` tells apart; further ones are counted under the label "(other)". */
#define EBB_JOB_KINDS_MAX 512
/* Commands that may wait for their outcome at one time. More are refused, not forgotten. */
#define EBB_PENDING_MAX 256
/* Commands taken from the FIFO in one turn of the loop: reaping comes in between. */
#define EBB_COMMANDS_PER_TURN 64
/* "This number is not known." Shown as null, never as 0. */
#define EBB_UNKNOWN (~0ULL)

#endif

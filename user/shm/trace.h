/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The trace: what ebb-watch knows; written by ebb-watch alone. Newest facts of host, pools and workers, statistics of
 * jobs, and three rings of samples per slot: 1 s for 5 min, 10 s for 1 h, 1 min for 12 h. Slots have the index of their
 * record on the board. It survives a restart of either daemon; a ring is emptied when its record goes to another slot.
 */
#ifndef SHM_TRACE_H
#define SHM_TRACE_H

#include "ebb/bounds.h"
#include "ebb/facts.h"
#include "seqfile.h"

#define TRACE_NAME "trace"

/* id, member of struct trace_samples, seconds between samples, samples kept */
#define TRACE_RINGS(X)                                                                                                 \
  X(SECONDS, seconds, 1, 300)                                                                                          \
  X(TENS, tens, 10, 360)                                                                                               \
  X(MINUTES, minutes, 60, 720)

enum trace_ring {
#define X(id, member, period_s, n) TRACE_RING_##id,
  TRACE_RINGS(X)
#undef X
      TRACE_RING_N
};

enum {
#define X(id, member, period_s, n) TRACE_##id##_N = (n),
  TRACE_RINGS(X)
#undef X
};

/* What a worker was doing, in a sample: the facts' state, with serving told apart. */
#define TRACE_STATE_BUSY 0x80u

/* One sample, 48 bytes, so that a slot's rings take 66 KB. KiB in 32 bits reach 4 TiB. */
struct trace_sample {
  __u64 at_us; /* CLOCK_REALTIME: goes on over a reboot; 0: unused */
  __u32 generation;
  __u32 state; /* enum ebb_slot_state, or'ed with TRACE_STATE_BUSY */
  __u32 anon_kib, shmem_kib, swap_kib;
  __u32 major_faults; /* totals of that worker */
  __u64 minor_faults;
  __u64 stall_us; /* EBB_UNKNOWN: not known */
};

struct trace_host {
  __u32 seq, pad;
  struct ebb_host_facts facts;
  __u64 wake_ups;
};
struct trace_pool {
  __u32 seq, pad;
  char name[EBB_NAME_BYTES];
  struct ebb_pool_facts facts;
  __u32 warnings;
  __u32 pad2;
};
struct trace_worker {
  __u32 seq, pad;
  struct ebb_worker_facts facts;
  __u64 label_sequence; /* of the last label that was counted, for the next watch */
};
struct trace_job {
  __u32 seq, pad;
  struct ebb_job_kind kind;
};

#define TRACE_WARN_BELOW_BASELINE 1u
#define TRACE_WARN_UNLEASED 2u
#define TRACE_WARN_STUCK 4u /* told by readers: only time passes */

struct trace_rings { /* whose the rings of one index are, and how many samples were ever written into each */
  __u32 seq;         /* odd while samples are written */
  __u32 slot;
  char pool[EBB_NAME_BYTES];
  __u64 n[TRACE_RING_N];
};

struct trace_samples {
#define X(id, member, period_s, n) struct trace_sample member[n];
  TRACE_RINGS(X)
#undef X
};

struct trace {
  struct seqfile_head head;
  struct trace_host host;
  struct trace_pool pools[EBB_POOLS_MAX];
  struct trace_worker workers[EBB_SLOTS_MAX];
  struct trace_job jobs[EBB_JOB_KINDS_MAX];
  struct trace_rings rings[EBB_SLOTS_MAX];
  struct trace_samples samples[EBB_SLOTS_MAX]; /* sparse: only what was counted in rings[].n is ever touched */
};

int trace__create(struct seqfile *file, int run_dirfd, gid_t gid, bool *ret_kept);
int trace__open(struct seqfile *file, int run_dirfd);
/* Somebody looks on live: told by a shared flock(2) on the file, which ends with whoever holds it. For a reader: a
 * descriptor that holds it until it is closed. For the writer: a descriptor to ask through. Both: or negative errno. */
int trace__hold_live(int run_dirfd);
int trace__open_live(int run_dirfd);
bool trace__is_live(int fd);

static inline struct trace *trace__of(const struct seqfile *file) {
  return (struct trace *)(void *)file->head;
}

/* Append one sample to the seconds ring; the first of every ten seconds and of every minute goes into the slower rings
 * too (by at_us, not by counting, so gaps do no harm, nor a clock that jumps). The rings are emptied first when they
 * belonged to another slot. Dropped while the file system has no room for it. */
void trace__push(struct seqfile *file, __u32 index, const char *pool, __u32 slot, const struct trace_sample *sample);

/* Copy a ring's samples, oldest first, at most the max newest; returns how many, or -EAGAIN, -ERANGE (index or ring),
 * -ENOENT (the ring is another slot's). On failure `to` may hold anything. */
int trace__samples(const struct seqfile *file, __u32 index, const char *pool, __u32 slot, enum trace_ring ring,
                   struct trace_sample *to, __u32 max);

/* Readers of single records; 0, -EAGAIN or -ERANGE, and *ret is untouched on failure. Strings come out terminated, enums
 * within their range; a worker that can be none (index, slot or pid out of bounds) comes out as an unused record. */
int trace__host(const struct seqfile *file, struct trace_host *ret);
int trace__pool(const struct seqfile *file, __u32 index, struct trace_pool *ret);
int trace__worker(const struct seqfile *file, __u32 index, struct trace_worker *ret);
int trace__job(const struct seqfile *file, __u32 index, struct trace_job *ret);

#endif

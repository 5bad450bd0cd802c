/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The facts that are judged: gathered by ebb-watch, published in the trace, read by the policy and by `ebb`.
 *
 * Bytes, nanoseconds (CLOCK_MONOTONIC unless the name says otherwise), per mille. EBB_UNKNOWN: not known.
 */
#ifndef EBB_FACTS_H
#define EBB_FACTS_H

#include <linux/types.h>

#include "bounds.h"

/*
 * What ebbd says of a slot.      a process?  who holds the lease  meaning
 *   empty      no          -                     nobody wanted here, or about to be filled
 *   backoff    no          -                     its last workers died young or could not be started
 *   starting   yes         ebbd                  has not come to its lease yet
 *   unleased   yes         ebbd                  still has not after ready_timeout: never signalled
 *   spare      yes         ebbd                  has come to its lease, and waits until it is needed
 *   serving    yes         the worker, or none   takes jobs
 *   due        yes         the worker, or none   leaves when its job ends (order X)
 *   retiring   yes         ebbd                  fenced, told to go
 *   leaving    leader gone ebbd, or a helper     other processes of the worker are still there
 */
#define EBB_SLOT_STATES(X)                                                                                             \
  X(EMPTY, "empty")                                                                                                    \
  X(BACKOFF, "backoff")                                                                                                \
  X(STARTING, "starting")                                                                                              \
  X(UNLEASED, "unleased")                                                                                              \
  X(SPARE, "spare")                                                                                                    \
  X(SERVING, "serving")                                                                                                \
  X(DUE, "due")                                                                                                        \
  X(RETIRING, "retiring")                                                                                              \
  X(LEAVING, "leaving")

enum ebb_slot_state {
#define X(id, name) EBB_SLOT_##id,
  EBB_SLOT_STATES(X)
#undef X
      EBB_SLOT_N
};

#define EBB_PRESSURE_LEVELS(X)                                                                                         \
  X(UNKNOWN, "unknown")                                                                                                \
  X(CALM, "calm")                                                                                                      \
  X(ELEVATED, "elevated")                                                                                              \
  X(CRITICAL, "critical")

enum ebb_pressure_level {
#define X(id, name) EBB_PRESSURE_##id,
  EBB_PRESSURE_LEVELS(X)
#undef X
      EBB_PRESSURE_N
};

/* How much the kernel lets us see; named in `ebb doctor`. */
#define EBB_TIERS(X)                                                                                                   \
  X(PROC, "proc")                                                                                                      \
  X(BASIC, "basic")                                                                                                    \
  X(GOOD, "good")                                                                                                      \
  X(FULL, "full")

enum ebb_tier {
#define X(id, name) EBB_TIER_##id,
  EBB_TIERS(X)
#undef X
      EBB_TIER_N
};

struct ebb_host_facts {
  __u64 now_ns; /* when these facts were gathered */
  __u64 mem_total_bytes;
  __u64 mem_available_bytes;
  __u64 pools_footprint_bytes; /* all workers of all pools */
  __u64 last_act_ns;           /* last act for pressure; 0: none yet */
  __u64 stall_some_us;         /* PSI total= of `some`; EBB_UNKNOWN without PSI */
  __u64 stall_full_us;
  __u64 drops;         /* records that the kernel side could not hand over */
  __u32 some_permille; /* share of the judged window in which some, or all, tasks stalled */
  __u32 full_permille;
  __u32 level;         /* enum ebb_pressure_level */
  __u32 tier;          /* enum ebb_tier */
  __u32 probe_level;   /* 0: L0 attached, 1: L1 also, 2: L2 also */
  __u32 reclaim_moved; /* 1: reclaim or swap-in moved within the last seconds */
  __u32 stall_growing; /* 1: PSI total= has grown since the last look */
  __u32 reserved;
};

struct ebb_pool_facts {
  __u64 baseline_bytes; /* footprint of a fresh worker; or unknown */
  __u64 hold_retire_ns; /* retirements are held until then; 0: not held */
  __u64 hold_refill_ns; /* starts likewise */
  __u64 piece_bytes;    /* oneshot: what one of its pieces takes at most, as learned from the last ones; or unknown */
  __u32 requests;       /* `retire <pool>` without a slot, waiting for a choice */
  __u32 reserved;
};

struct ebb_worker_facts {
  __u32 pool;       /* index of its pool */
  __u32 slot;       /* number within the pool */
  __u32 generation; /* 0: the slot never had a worker */
  __s32 pid;        /* 0: none */
  __u32 state;      /* enum ebb_slot_state */
  __u32 busy;       /* 1: holds its lease */
  __u32 strikes;    /* confirmations so far */
  __u32 processes;  /* it is made of */
  __u32 waits;      /* 1: an empty slot of a oneshot pool, which is filled when the next piece fits */
  __u32 reserved;
  __u64 born_ns;
  __u64 since_ns;    /* when it became what it is now (state, busy) */
  __u64 taken_ns;    /* when it took the lease that it holds, as far as that was seen; 0: it holds none */
  __u64 turn_ns;     /* when the last turn at its lease that has ended had begun; 0: none seen */
  __u64 trimmed_ns;  /* when it was last ordered to give memory back; 0: never */
  __u64 fresh_bytes; /* footprint when it first came to its lease; or unknown */
  __u64 footprint_bytes;
  __u64 anon_bytes;
  __u64 shmem_bytes;
  __u64 swap_bytes;
  __u64 rest_bytes;    /* footprint when it was last between jobs: what its jobs left behind, not what one takes */
  __u64 private_bytes; /* smaps_rollup, never more than the footprint; read for candidates only */
  __u64 private_ns;    /* when that was read; 0: never */
  __u64 peak_bytes;
  __u64 jobs;
  __u64 minor_faults;
  __u64 major_faults;
  __u64 stall_us;              /* waited for memory, while that was measured; unknown if it never was */
  __u64 contribution_permille; /* core/contribution; unknown unless pressure is elevated */
  char job[EBB_LABEL_BYTES];   /* label of the current job; empty: none known */
};

/* What the jobs of one pool and label did; a record of the trace. Empty pool name: unused record. */
struct ebb_job_kind {
  char pool[EBB_NAME_BYTES];
  char label[EBB_LABEL_BYTES];
  __u64 runs;
  __u64 total_ns;
  __u64 longest_ns;
  __u64 peak_bytes;          /* largest footprint seen within one of its jobs */
  __u64 retained_bytes;      /* sum of what its jobs left behind; shrinking jobs count as 0 */
  __u64 retained_most_bytes; /* most that one job left behind */
  __u64 minor_faults;        /* sums over those of its jobs of which it is known; unknown: of none */
  __u64 major_faults;
  __u64 stall_us;
};

#endif

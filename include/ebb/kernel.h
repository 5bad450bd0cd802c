/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Records between the kernel programs and the watch; compiled on both sides. Values are absolute, so that a lost
 * record does no harm. Sizes are pages; times are nanoseconds of CLOCK_MONOTONIC.
 */
#ifndef EBB_KERNEL_H
#define EBB_KERNEL_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#include "bounds.h"
#include "lease.h"

/* Whom an entry of a map belongs to. It is worth something only while its life is that of the worker. */
struct ebb_owner {
  __u32 worker; /* index */
  __u32 life;   /* see ebb_kworker */
};

/* A process that belongs to a worker, by tgid. */
struct ebb_proc {
  struct ebb_owner owner;
  __u64 mm; /* its address space, if that has been seen; only compared */
};

/* A lease file, as the kernel has it. */
struct ebb_lease {
  __u64 inode;
  __u64 device; /* major << 20 | minor */
};

/* How mm_struct keeps its counters: from 6.2 on, up to 6.1, in a way that we do not know. */
enum ebb_rss_layout { EBB_RSS_UNKNOWN, EBB_RSS_SPLIT, EBB_RSS_PERCPU };

enum ebb_event_kind {
  EBB_EVENT_CROSSED = 1,  /* a worker's pages reached its armed threshold, which is disarmed by this */
  EBB_EVENT_RELEASED = 2, /* a worker let its lease go */
};

/*
 * One record of the ring. EBB_EVENT_RELEASED is about one lock, from its taking to its release: a job, or a turn in which
 * none was found. Of jobs that overlap in one worker, each is charged what its own process kept and its own thread
 * faulted; the peak is the most that the worker held since it was last between jobs.
 */
struct ebb_event {
  __u32 kind;   /* enum ebb_event_kind */
  __u32 worker; /* index */
  __u32 life;   /* of that worker; tells a recycled index */
  __u32
      turn; /* how many times the lease has been taken, this one included; two taken at one moment may be told the same */
  __u64 at_ns;
  __u64 pages_after;
  /* EBB_EVENT_RELEASED only */
  __u64 held_ns;
  __u64 pages_before;
  __u64 pages_peak;
  __u64 minor_faults; /* in the turn, by the process that took it and by its children that have ended; ~0: not known */
  __u64 major_faults;
  __u64 stall_ns; /* of all its threads, as far as it was measured meanwhile; ~0: it was not */
  __u32 others;   /* locks of this worker that are still held: if there are any, it is not between jobs */
  __u32 labelled; /* 1: what the thread itself keeps as its label follows, not to be trusted */
  char label[EBB_LEASE_LABEL_FIELD];
};

/* One worker, as the kernel programs keep it; an element of a memory-mapped array. */
struct ebb_kworker {
  __u32 life;        /* 0: nobody. Raised by the watch for each worker it follows; entries of other lives are stale */
  __u32 flags;       /* EBB_KWORKER_*; written by the watch */
  __u64 armed_pages; /* report when the pages reach this; ~0: disarmed */
  __s64 pages;       /* anonymous + swapped + shared memory, over its processes */
  __s64 held;        /* locks held now */
  __u64 turns;       /* times the lease was taken */
  __u64 taken_ns;    /* when the first of the locks held now was taken */
  __u64 pages_peak;  /* most pages since then */
  __u64 pages_first; /* pages when it was first taken: a fresh worker's; ~0: that was not seen */
  __u32 changes;     /* raised by each process that comes, goes or gets other memory by exec */
  __u32 generation;  /* whose record this is, for a watch that finds it: written by the one that began it */
  __u64 start_time;  /* of the root process, clock ticks since boot */
  __s32 pid;
  __u32 reserved;
  __u64 stall_ns; /* its threads waited for memory, added up, while the stall programs were attached */
};

#define EBB_KWORKER_EAGER 1u /* wake the watch at each release, whatever was before */

/* A thread, as the sweep reports it. */
struct ebb_sweep {
  __u32 tgid;
  __u32 tid;
  __u32 ppid;
  __u32 pgid;
  __u32 session;
  __u32 worker; /* ~0: not ours */
  __u32 life;
  __u32 flags; /* EBB_SWEEP_* */
  __u64 anon_pages;
  __u64 shmem_pages;
  __u64 swap_pages;
  __u64 minor_faults; /* of this thread; the leader's record has those of the threads that are gone as well */
  __u64 major_faults;
};

#define EBB_SWEEP_MEMORY 1u /* the pages are those of the thread's address space; each is reported once a sweep */

/* The end of a turn wakes the watch when the turn, or the time since it was woken last, was this long; of others it learns at
 * its next look. A wake-up takes some 60 us of two processors, in a virtual machine where each interrupt leaves it, and throws
 * the worker off its processor between two jobs. */
#define EBB_WAKES_APART_NS (250ULL * 1000 * 1000)
/* The ring: room for 1200 releases between two looks. Over half full it wakes the watch. */
#define EBB_RING_BYTES (256 * 1024)
/* Address spaces of one worker that are read exactly when it takes or lets go of its lease; of what it has beyond that, the
 * sums are as of the last growth or sweep. */
#define EBB_CREW_MAX 16
/* CPUs whose parts of a counter are summed up. */
#define EBB_CPUS_MAX 256
/* Mappings of one lease among which a thread's own is looked for: job threads and the children that inherited them. */
#define EBB_LOOK_MAPS_MAX 64
/* From the first block of a read to the device's having it: some 20 us, where telling it leaves a virtual machine; cf. stall. */
#define EBB_SUBMIT_NS (50ULL * 1000)
/* Locks on one lease that the look at it follows: the job threads of one worker. */
#define EBB_LOOK_LOCKS_MAX 64

_Static_assert(sizeof(struct ebb_event) == 200, "event layout");
_Static_assert(sizeof(struct ebb_kworker) == 96, "worker layout");
_Static_assert(sizeof(struct ebb_sweep) == 72, "sweep layout");

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What this kernel, and our rights on it, can do: each thing tried, none guessed from a version. For `ebb doctor`; the sensor
 * itself simply tries to start. (Not called features.h, because that is a header of the C library.)
 */
#ifndef KERN_FEATURE_H
#define KERN_FEATURE_H

#include <stdbool.h>
#include <stdint.h>

#include "ebb/facts.h"

/* id, stable name, what it is good for, what to change to get it */
#define FEATURES(X)                                                                                                    \
  X(BTF, "btf", "kernel types, for programs that fit any kernel", "a kernel with CONFIG_DEBUG_INFO_BTF")               \
  X(CAP_BPF, "cap-bpf", "loading kernel programs", "CAP_BPF (or CAP_SYS_ADMIN)")                                       \
  X(CAP_PERFMON, "cap-perfmon", "attaching them to tracepoints", "CAP_PERFMON (or CAP_SYS_ADMIN)")                     \
  X(CAP_SYS_PTRACE, "cap-sys-ptrace", "smaps_rollup of other users' workers", "CAP_SYS_PTRACE")                        \
  X(CAP_SYS_RESOURCE, "cap-sys-resource", "short PSI windows, oom_score_adj", "CAP_SYS_RESOURCE")                      \
  X(PID_NAMESPACE, "pid-namespace", "process numbers as the kernel counts them", "run in the host's pid namespace")    \
  X(FORK, "sched_process_fork", "descendants of workers, from their fork on", "kernel 5.8 or newer")                   \
  X(EXEC, "sched_process_exec", "new address spaces", "kernel 5.8 or newer")                                           \
  X(EXIT, "sched_process_exit", "ends of processes", "kernel 5.8 or newer")                                            \
  X(FLOCK, "flock_lock_inode", "begin and end of each job", "kernel 5.8 or newer")                                     \
  X(RING, "ringbuf", "events from the kernel", "kernel 5.8 or newer")                                                  \
  X(SWEEP, "iter-task", "cheap sweeps over all processes", "kernel 5.8 or newer")                                      \
  X(LAYOUT, "rss-layout", "memory counters of a process", "a kernel whose mm_struct is known here")                    \
  X(RSS, "rss_stat", "growth as it happens", "kernel 5.8 or newer")                                                    \
  X(RSS_EACH, "rss_stat-each", "rss_stat on every change", "kernel 6.2 or newer")                                      \
  X(EXACT, "exact-counters", "exact footprints at begin and end of a job", "kernel 6.2 or newer, or before 6.2")       \
  X(TASK_STORAGE, "task-storage", "only tells the tier: stall times do without", "kernel 5.13 or newer")               \
  X(SWITCH, "sched_switch", "stall: waits for swap and page cache", "kernel 5.8 or newer, booted with psi=1")          \
  X(MEMCG_BEGIN, "mm_vmscan_memcg_reclaim_begin", "stall: reclaim within a cgroup", "a kernel with CONFIG_MEMCG")      \
  X(MEMCG_END, "mm_vmscan_memcg_reclaim_end", "stall: reclaim within a cgroup", "a kernel with CONFIG_MEMCG")          \
  X(DIRECT_BEGIN, "mm_vmscan_direct_reclaim_begin", "stall: reclaim", "kernel 5.8 or newer")                           \
  X(DIRECT_END, "mm_vmscan_direct_reclaim_end", "stall: reclaim", "kernel 5.8 or newer")                               \
  X(COMPACTION_BEGIN, "mm_compaction_begin", "stall: compaction", "a kernel with CONFIG_COMPACTION")                   \
  X(COMPACTION_END, "mm_compaction_end", "stall: compaction", "a kernel with CONFIG_COMPACTION")                       \
  X(SUBMIT, "block_bio_queue", "stall: sending reads to the device", "kernel 5.8 or newer")                            \
  X(SUBMITTED, "block_bio_complete", "stall: reads that are answered at once", "kernel 5.8 or newer")                  \
  X(STALL, "stall", "stall of each worker: what it takes together", "sched_switch and psi")                            \
  X(PSI, "psi", "memory pressure of the host", "boot with psi=1")                                                      \
  X(CHILDREN, "children", "finding strays without a scan", "a kernel with CONFIG_PROC_CHILDREN")                       \
  X(PIDFD_GROUP, "pidfd-group", "signals to a process group by pidfd", "kernel 6.9 or newer")                          \
  X(BPFFS, "bpffs", "counters that outlive the watch", "mount bpffs on /sys/fs/bpf")                                   \
  X(SWAP, "swap", "swap space (its absence harms nothing)", "-")

enum feature_id {
#define X(id, name, use, remedy) FEATURE_##id,
  FEATURES(X)
#undef X
      FEATURE_N
};

struct feature {
  enum feature_id id;
  const char *name;   /* stable, for machines */
  const char *use;    /* what it is good for */
  const char *remedy; /* what to change to get it */
  bool ok;
  char detail[96]; /* what was found; may be empty */
};

/* Fills in at most max rows, in the order of the table; returns how many. Takes some tenths of a second. */
int features__probe(struct feature *to, int max);
/* The tier that follows from n rows. */
enum ebb_tier features__tier(const struct feature *rows, int n);
/* The highest level that can be attached, see core/level.h. */
uint32_t features__level(const struct feature *rows, int n);

#endif

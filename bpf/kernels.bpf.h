/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What differs between kernels, each difference as CO-RE flavours with the version that made it. Only the flavour that
 * the running kernel has survives its load: the other branch is dead code there.
 */
#ifndef BPF_KERNELS_H
#define BPF_KERNELS_H

#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "ebb/kernel.h"

/* Members of rss_stat (include/linux/mm_types_task.h); the numbers have not changed since 4.5. */
#define RSS_FILE 0
#define RSS_ANON 1
#define RSS_SWAP 2
#define RSS_SHMEM 3

#define F_UNLCK_TYPE 2 /* F_UNLCK of asm-generic/fcntl.h; flock exists with this number on all that we build for */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* 6.2: one per-CPU counter a member. .count lags behind the truth by up to the batch on each CPU. */
struct percpu_counter {
  __s64 count;
  __s32 *counters; /* the parts that are not in it yet, one a CPU */
};
struct mm_struct___percpu {
  struct percpu_counter rss_stat[4];
};

/* Up to 6.1: plain counters, fed by caches in each task of up to 64 pages. */
struct mm_rss_stat {
  atomic64_t count[4];
};
struct mm_struct___split {
  struct mm_rss_stat rss_stat;
};

/* 6.9: what locks and leases have in common moved into file_lock_core, the first member of file_lock. */
struct file_lock_core {
  struct list_head flc_list;
  unsigned char flc_type;
  int flc_pid;
  struct file *flc_file;
};
struct file_lock___core {
  struct file_lock_core c;
};

/* Up to 6.8. */
struct file_lock___flat {
  struct list_head fl_list;
  unsigned char fl_type;
  unsigned int fl_pid;
  struct file *fl_file;
};

#pragma clang attribute pop

static __always_inline enum ebb_rss_layout rss__layout(void) {
  if (bpf_core_field_exists(struct mm_struct___percpu, rss_stat[0].count))
    return EBB_RSS_PERCPU;
  if (bpf_core_field_exists(struct mm_struct___split, rss_stat.count[0].counter))
    return EBB_RSS_SPLIT;
  return EBB_RSS_UNKNOWN;
}

/* One counter through any kind of pointer. `member` is written out: CO-RE has no variable indexes. */
#define rss__read(mm, member)                                                                                          \
  (bpf_core_field_exists(struct mm_struct___percpu, rss_stat[0].count)                                                 \
       ? BPF_CORE_READ((struct mm_struct___percpu *)(mm), rss_stat[member].count)                                      \
       : (bpf_core_field_exists(struct mm_struct___split, rss_stat.count[0].counter)                                   \
              ? BPF_CORE_READ((struct mm_struct___split *)(mm), rss_stat.count[member].counter)                        \
              : 0))

/*
 * The same where the verifier knows the pointer: a plain load, for the one place where nanoseconds count. Not up to 6.1:
 * there verifiers do not follow an array of a typedef of a struct, and the event comes once in some 64 faults anyway.
 */
#define rss__load(mm, member)                                                                                          \
  (bpf_core_field_exists(struct mm_struct___percpu, rss_stat[0].count)                                                 \
       ? ((struct mm_struct___percpu *)(mm))->rss_stat[member].count                                                   \
       : rss__read(mm, member))

/* 5.7: a bit, set while the thread waits for memory; there with CONFIG_PSI only. */
#define task__in_memstall(task)                                                                                        \
  (bpf_core_field_exists(struct task_struct, in_memstall) && BPF_CORE_READ_BITFIELD(task, in_memstall))

/* The same through any kind of pointer. */
#define task__in_memstall_probed(task)                                                                                 \
  (bpf_core_field_exists(struct task_struct, in_memstall) && BPF_CORE_READ_BITFIELD_PROBED(task, in_memstall))

struct lock {
  __u8 type;
  __u32 pid; /* of the process that took it; a forked helper may hold it by now */
  __u64 file;
};

static __always_inline bool lock__is_core(void) {
  return bpf_core_field_exists(struct file_lock___core, c);
}

/* The file as a plain number: a pointer that the verifier knows cannot be handed to a function that it checks alone. */
static __always_inline void lock__load(struct file_lock *lock, struct lock *ret) {
  if (lock__is_core()) {
    struct file_lock___core *l = (void *)lock;
    *ret = (struct lock){l->c.flc_type, l->c.flc_pid, (__u64)BPF_CORE_READ(l, c.flc_file)};
  } else {
    struct file_lock___flat *l = (void *)lock;
    *ret = (struct lock){l->fl_type, l->fl_pid, (__u64)BPF_CORE_READ(l, fl_file)};
  }
}

/* From its link in the list of an inode's locks. */
static __always_inline void lock__read(struct list_head *link, struct lock *ret) {
  if (lock__is_core()) {
    struct file_lock_core *l = (void *)link - bpf_core_field_offset(struct file_lock_core, flc_list);
    *ret = (struct lock){BPF_CORE_READ(l, flc_type), BPF_CORE_READ(l, flc_pid), (__u64)BPF_CORE_READ(l, flc_file)};
  } else {
    struct file_lock___flat *l = (void *)link - bpf_core_field_offset(struct file_lock___flat, fl_list);
    *ret = (struct lock){BPF_CORE_READ(l, fl_type), BPF_CORE_READ(l, fl_pid), (__u64)BPF_CORE_READ(l, fl_file)};
  }
}

#endif

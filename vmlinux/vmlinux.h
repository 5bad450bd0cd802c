/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The kernel types that the programs in bpf/ read, trimmed by hand from a full BTF dump to the members that are used.
 * Offsets and sizes here mean nothing: every access is relocated at load time against the running kernel's BTF
 * (CO-RE), so one header serves all architectures. Types that changed between kernels are in bpf/kernels.bpf.h.
 * vmlinux/roots.txt lists the roots from which everything here is reached.
 */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

/* What bpf_helpers.h and the shared records are written in. */
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;
enum { false = 0, true = 1 };

/* Of include/uapi/linux/bpf.h, which cannot be included beside this header: kinds of map, flags of maps and rings. */
enum bpf_map_type {
  BPF_MAP_TYPE_HASH = 1,
  BPF_MAP_TYPE_ARRAY = 2,
  BPF_MAP_TYPE_PERCPU_ARRAY = 6,
  BPF_MAP_TYPE_RINGBUF = 27,
};
enum {
  BPF_ANY = 0,
  BPF_NOEXIST = 1,
  BPF_EXIST = 2,
};
enum {
  BPF_F_MMAPABLE = 1 << 10,
};
enum {
  BPF_RB_NO_WAKEUP = 1 << 0,
  BPF_RB_FORCE_WAKEUP = 1 << 1,
};
enum {
  BPF_RB_AVAIL_DATA = 0,
};

/* Does this kernel have that helper? Only whether there is such a value is asked. */
enum bpf_func_id {
  BPF_FUNC_get_current_task_btf = 158,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* Atomic counters: signal_struct.live, and mm_rss_stat.count up to 6.1. */
typedef struct {
  int counter;
} atomic_t;
typedef struct {
  __s64 counter;
} atomic64_t;

/* Links the locks of one file; the look at a lease walks them. */
struct list_head {
  struct list_head *next, *prev;
};

/* Process groups and sessions: an orphan of a worker is found again by them. */
struct upid {
  int nr;
};
struct pid {
  struct upid numbers[1]; /* [0]: as the first pid namespace counts */
};
enum pid_type {
  PIDTYPE_PID = 0,
  PIDTYPE_TGID = 1,
  PIDTYPE_PGID = 2,
  PIDTYPE_SID = 3,
  PIDTYPE_MAX = 4,
};

/* One process: is any thread left, its group and session, the faults of threads that are gone. */
struct signal_struct {
  atomic_t live;
  struct pid *pids[PIDTYPE_MAX];
  int nr_threads;
  struct list_head thread_head; /* of its threads */
  unsigned long min_flt;
  unsigned long maj_flt;
  unsigned long cmin_flt; /* of children that have ended and been waited for */
  unsigned long cmaj_flt;
};

/* An address space; its counters are in bpf/kernels.bpf.h. hiwater_rss: the most it ever held, for a job's peak. */
struct mm_struct {
  unsigned long hiwater_rss;
};

/* One thread: whose it is, its parent, its memory, its faults, whether it waits for memory. */
struct task_struct {
  int pid;
  int tgid;
  struct task_struct *real_parent;
  struct mm_struct *mm;
  struct signal_struct *signal;
  struct list_head thread_node;
  unsigned long min_flt;
  unsigned long maj_flt;
  unsigned int in_memstall : 1;
};

/* How a lease is recognised (inode and device), and the locks that are on it. */
struct super_block {
  __u32 s_dev;
};
struct file_lock_context {
  struct list_head flc_flock;
};
struct inode {
  unsigned long i_ino;
  struct super_block *i_sb;
  struct file_lock_context *i_flctx;
};

/* Where a thread has mapped its lease: the mappings of a file are a tree that hangs on its address_space. */
struct rb_node {
  unsigned long __rb_parent_color;
  struct rb_node *rb_right;
  struct rb_node *rb_left;
};
struct rb_root {
  struct rb_node *rb_node;
};
struct rb_root_cached {
  struct rb_root rb_root;
};
struct address_space {
  struct rb_root_cached i_mmap;
};
struct file {
  struct address_space *f_mapping;
};
struct vm_area_struct {
  unsigned long vm_start;
  struct mm_struct *vm_mm;
  struct file *vm_file;
  struct {
    struct rb_node rb;
  } shared;
};

/* Where the parts of a per-CPU variable are: the probe finds that out by a map of its own. */
struct bpf_map {
  __u32 id;
};
struct bpf_array {
  struct bpf_map map;
  void *pptrs[0];
};

/* What the iterators hand over. */
struct bpf_iter_meta {
  struct seq_file *seq;
};
struct bpf_iter__task {
  struct bpf_iter_meta *meta;
  struct task_struct *task;
};
struct bpf_iter__bpf_map {
  struct bpf_iter_meta *meta;
  struct bpf_map *map;
};

#pragma clang attribute pop

/* Only pointed to: arguments of tracepoints that nothing is read from, and what locks are told apart by. */
struct file_lock;
struct linux_binprm;
struct pt_regs;
struct seq_file;

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the kernel side remembers. Everything is preallocated: the moment when memory is short is no moment to ask for
 * some. Weak symbols, because each program file has this header and the linker keeps one of each.
 *
 * An entry is worth something only while its life is that of its worker: by giving the worker a new life, the watch makes
 * all entries of the old one stale at once, without looking for them. They go when their process, or file, does.
 */
#ifndef BPF_MAPS_H
#define BPF_MAPS_H

#include "vmlinux.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "ebb/kernel.h"

/* BPF_PROG gives each program a context beside its arguments; most read only the arguments. */
#pragma clang diagnostic ignored "-Wunused-parameter"

/* An address space, by address. Addresses are used again soon: `tgid` is the process that it was entered for. */
struct mm {
  struct ebb_owner owner;
  __u32 tgid;
  __u32 swept; /* number of the sweep that reported it last */
  __s64 pages; /* its part in the worker's sum */
};

/* The address spaces of one worker, by address, where there is room; in no order. */
struct crew {
  __u64 mms[EBB_CREW_MAX];
};

struct faults {
  __u64 minor, major;
};

/* An open file through which a lease is locked now: a job, perhaps. */
struct hold {
  struct ebb_owner owner;
  __u32 tgid; /* who took it; 0: that was not seen */
  __u32 tid;
  __u32 turn;
  __u32 others; /* locks that the worker held already */
  __u64 taken_ns;
  __u64 pages;     /* of the worker, then */
  __u64 pages_own; /* of the process that took it */
  __u64 stall_ns;  /* of the worker, then */
  __u64 high;      /* that process's resident high-water mark, then; 0: not known */
  struct faults process, thread;
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, EBB_PROCS_MAX);
  __type(key, __u32);
  __type(value, struct ebb_proc);
} procs SEC(".maps") __weak;

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, EBB_PROCS_MAX);
  __type(key, __u64);
  __type(value, struct mm);
} mms SEC(".maps") __weak;

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, EBB_SLOTS_MAX);
  __type(key, struct ebb_lease);
  __type(value, struct ebb_owner);
} leases SEC(".maps") __weak;

/* By the address of the open file. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, EBB_HELD_MAX);
  __type(key, __u64);
  __type(value, struct hold);
} held SEC(".maps") __weak;

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, EBB_SLOTS_MAX);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct ebb_kworker);
} workers SEC(".maps") __weak;

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, EBB_SLOTS_MAX);
  __type(key, __u32);
  __type(value, struct crew);
} crews SEC(".maps") __weak;

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, EBB_RING_BYTES);
} events SEC(".maps") __weak;

const volatile __u32 ring_bytes __weak = EBB_RING_BYTES; /* as it was opened */

__u64 drops __weak = 0;  /* records that found no room in the ring */
__u64 missed __weak = 0; /* processes, address spaces or locks that found no room in a map */
/* Where each CPU's part of a per-CPU counter is, from the counter's address; written by the watch before it attaches. */
__u64 cpu_offsets[EBB_CPUS_MAX] __weak = {};
__u32 n_cpus __weak = 0; /* 0: not known; then a counter is what its common part says */

#define add(counter, value) ((void)__sync_fetch_and_add(&(counter), (value)))

static __always_inline struct ebb_kworker *owner__worker(const struct ebb_owner *owner) {
  __u32 index = owner->worker;
  struct ebb_kworker *worker = bpf_map_lookup_elem(&workers, &index);
  return worker && owner->life && worker->life == owner->life ? worker : 0;
}

static __always_inline struct ebb_proc *proc__find(__u32 tgid) {
  struct ebb_proc *proc = bpf_map_lookup_elem(&procs, &tgid);
  return proc && owner__worker(&proc->owner) ? proc : 0;
}

static __always_inline __u64 max(__u64 a, __u64 b) {
  return a > b ? a : b;
}

#endif

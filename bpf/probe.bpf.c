/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The tiniest program for each thing that the real ones need. user/kern/features.c loads them one at a time: what is
 * accepted here works there, and what is refused here says by its name what is missing.
 */
#include "kernels.bpf.h"

#include <bpf/bpf_tracing.h>

#pragma clang diagnostic ignored "-Wunused-parameter"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

__u32 layout = 0; /* enum ebb_rss_layout, written by probe_iter */
__u64 seen = 0;   /* what was read is put here: a read whose result is not used is not in the program */

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 64 * 1024); /* a multiple of every page size */
} ring SEC(".maps");

SEC("tp_btf/sched_process_fork")
int BPF_PROG(probe_fork, struct task_struct *parent, struct task_struct *child) {
  seen = child->tgid == parent->tgid;
  return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(probe_exec, struct task_struct *task) {
  return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(probe_exit, struct task_struct *task) {
  return 0;
}

SEC("tp_btf/flock_lock_inode")
int BPF_PROG(probe_flock, struct inode *inode, struct file_lock *request, int ret) {
  struct lock lock = {};
  if (request)
    lock__load(request, &lock);
  seen = lock.file + lock.type + lock.pid;
  return 0;
}

SEC("tp_btf/rss_stat")
int BPF_PROG(probe_rss, struct mm_struct *mm, int member) {
  seen = rss__load(mm, RSS_ANON);
  return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(probe_switch, bool preempt, struct task_struct *prev, struct task_struct *next) {
  return task__in_memstall(prev) || task__in_memstall(next) ? 0 : 0;
}

#define PROBE(name, tracepoint)                                                                                        \
  SEC("tp_btf/" tracepoint) int BPF_PROG(name) {                                                                       \
    return 0;                                                                                                          \
  }

PROBE(probe_memcg_begin, "mm_vmscan_memcg_reclaim_begin")
PROBE(probe_memcg_end, "mm_vmscan_memcg_reclaim_end")
PROBE(probe_direct_begin, "mm_vmscan_direct_reclaim_begin")
PROBE(probe_direct_end, "mm_vmscan_direct_reclaim_end")
PROBE(probe_compaction_begin, "mm_compaction_begin")
PROBE(probe_compaction_end, "mm_compaction_end")
PROBE(probe_submit, "block_bio_queue")
PROBE(probe_submitted, "block_bio_complete")

SEC("tp_btf/sched_process_exit")
int BPF_PROG(probe_ring, struct task_struct *task) {
  void *record = bpf_ringbuf_reserve(&ring, 8, 0);
  if (record)
    bpf_ringbuf_discard(record, 0);
  return 0;
}

SEC("iter/task")
int probe_iter(struct bpf_iter__task *ctx) {
  if (ctx->task)
    layout = rss__layout();
  return 0;
}

/*
 * Where each CPU keeps its part of a per-CPU variable. That is no secret of a map of our own: the map says by which address
 * the variable is known, and the look-up where it really is.
 */
__u64 base = 0;
__u64 addresses[EBB_CPUS_MAX] = {};
__u32 here_id = 0; /* written by the loader */

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} here SEC(".maps");

SEC("iter/bpf_map")
int probe_percpu(struct bpf_iter__bpf_map *ctx) {
  struct bpf_map *map = ctx->map;
  __u32 zero = 0;
  if (!map || map->id != here_id)
    return 0;
  __u64 at = (__u64)map + bpf_core_field_offset(struct bpf_array, pptrs);
  (void)bpf_probe_read_kernel(&base, sizeof(base), (void *)at);
  for (__u32 cpu = 0; cpu < EBB_CPUS_MAX; cpu++) {
    void *part = bpf_map_lookup_percpu_elem(&here, &zero, cpu);
    if (!part)
      break;
    addresses[cpu] = (__u64)part;
  }
  return 0;
}

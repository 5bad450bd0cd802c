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

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 64 * 1024); /* a multiple of every page size */
} ring SEC(".maps");

SEC("tp_btf/sched_process_fork")
int BPF_PROG(probe_fork, struct task_struct *parent, struct task_struct *child) {
  return child->tgid == parent->tgid ? 0 : 0;
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
  return lock.type == F_UNLCK_TYPE ? 0 : 0;
}

SEC("tp_btf/rss_stat")
int BPF_PROG(probe_rss, struct mm_struct *mm, int member) {
  return rss__load(mm, RSS_ANON) > 0 ? 0 : 0;
}

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

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * All threads of all workers, one record each. On the way it enters the address spaces that are not known yet: the watch
 * knows processes by number only, so it writes the number into procs and lets the sweep, which has the task in its
 * hands, find the rest.
 */
#include "vmlinux.h"

#include "footprint.bpf.h"
#include "stall.bpf.h"

__u32 sweep_number = 0; /* raised by the watch before each sweep */
__u32 sweep_all = 0;    /* 1: also one record for each process that is not ours; the watch looks for descendants */
__u32 sweep_layout = EBB_RSS_UNKNOWN; /* answer: enum ebb_rss_layout */

/*
 * The watch, or an exec that found no room, left this process without its address space; or it is in the middle of an
 * exec, which is told only after the change. Then the old one has to leave here: the exec finds nothing changed.
 */
static __always_inline struct mm *proc__adopt(struct task_struct *task, const struct ebb_owner *owner, __u32 tgid) {
  struct mm_struct *mm = task->mm;
  struct ebb_proc proc = {.owner = *owner, .mm = (__u64)mm}, *before = bpf_map_lookup_elem(&procs, &tgid);
  if (before && before->mm != proc.mm)
    mm__leave(before->mm, tgid);
  if (bpf_map_update_elem(&procs, &tgid, &proc, BPF_EXIST))
    return 0;
  struct mm *entry = mm__enter(mm, owner, tgid);
  /* If the process ended meanwhile, its exit did not find what had not been entered. */
  if (bpf_map_lookup_elem(&procs, &tgid))
    return entry;
  mm__leave((__u64)mm, tgid);
  return 0;
}

static __always_inline void sweep__memory(struct task_struct *task, const struct ebb_owner *owner,
                                          struct ebb_sweep *to) {
  __u64 key = (__u64)task->mm;
  if (!key)
    return;
  struct mm *entry = bpf_map_lookup_elem(&mms, &key);
  if (!entry || !owner__worker(&entry->owner))
    entry = proc__adopt(task, owner, to->tgid);
  if (!entry || entry->swept == sweep_number)
    return;
  struct mm_pages pages;
  mm__update(task->mm, entry, &pages);
  entry->swept = sweep_number;
  to->flags |= EBB_SWEEP_MEMORY;
  to->anon_pages = pages.anon;
  to->shmem_pages = pages.shmem;
  to->swap_pages = pages.swap;
}

/*
 * A wait that goes on counts up to now. Should it end at this very moment on another CPU, both may count it; the moment
 * is some tens of nanoseconds a sweep.
 */
static __always_inline void sweep__stall(struct task_struct *task, __u32 tid) {
  if (!stall_on || !task__in_memstall(task))
    return;
  struct stall *stall = stall__find(tid);
  if (!stall || stall->kind == STALL_SUBMIT)
    return;
  __u64 from_ns = stall->since_ns, now_ns = bpf_ktime_get_ns();
  stall->since_ns = now_ns;
  stall__count(stall, from_ns, now_ns);
}

SEC("iter/task")
int sweep_tasks(struct bpf_iter__task *ctx) {
  struct task_struct *task = ctx->task;
  if (!task)
    return 0;
  sweep_layout = rss__layout();
  __u32 tgid = task->tgid, tid = task->pid;
  struct signal_struct *signal = task->signal;
  if (!signal->live.counter)
    return 0; /* a zombie: its exit has been counted */
  struct ebb_proc *proc = proc__find(tgid);
  if (!proc && !(sweep_all && tid == tgid))
    return 0;
  struct ebb_sweep record = {
      .tgid = tgid,
      .tid = tid,
      .ppid = task->real_parent->tgid,
      .worker = ~0U,
      .minor_faults = task->min_flt,
      .major_faults = task->maj_flt,
  };
  if (tid == tgid) {
    record.minor_faults += signal->min_flt;
    record.major_faults += signal->maj_flt;
  }
  if (sweep_all) {
    record.pgid = BPF_CORE_READ(signal, pids[PIDTYPE_PGID], numbers[0].nr);
    record.session = BPF_CORE_READ(signal, pids[PIDTYPE_SID], numbers[0].nr);
  }
  if (proc) {
    struct ebb_owner owner = proc->owner;
    record.worker = owner.worker;
    record.life = owner.life;
    sweep__memory(task, &owner, &record);
    sweep__stall(task, tid);
  }
  bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
  return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Who belongs to which worker: children from their fork on, whatever becomes of their parents. */
#include "vmlinux.h"

#include "footprint.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline void worker__changed(const struct ebb_owner *owner) {
  struct ebb_kworker *worker = owner__worker(owner);
  if (worker)
    add(worker->changes, 1);
}

/* `parent` is current, also with CLONE_PARENT: what a worker starts is the worker's. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(family_fork, struct task_struct *parent, struct task_struct *child) {
  __u32 tgid = child->tgid;
  if (tgid == (__u32)parent->tgid)
    return 0; /* a thread */
  struct ebb_proc *of = proc__find(parent->tgid);
  if (!of)
    return 0;
  struct ebb_proc proc = {.owner = of->owner, .mm = (__u64)child->mm};
  if (bpf_map_update_elem(&procs, &tgid, &proc, BPF_ANY)) {
    add(missed, 1);
    return 0;
  }
  worker__changed(&proc.owner);
  if (child->mm == parent->mm)
    return 0; /* vfork: counted with the parent until it execs */
  struct mm *entry = mm__enter(child->mm, &proc.owner, tgid);
  struct mm_pages pages;
  if (entry)
    mm__update(child->mm, entry, &pages);
  return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(family_exec, struct task_struct *task) {
  __u32 tgid = task->tgid;
  struct ebb_proc *proc = proc__find(tgid);
  if (!proc || proc->mm == (__u64)task->mm)
    return 0;
  struct ebb_proc fresh = {.owner = proc->owner, .mm = (__u64)task->mm};
  mm__leave(proc->mm, tgid);
  if (bpf_map_update_elem(&procs, &tgid, &fresh, BPF_EXIST))
    return 0;
  worker__changed(&fresh.owner); /* whoever shared the old address space has it alone now */
  struct mm *entry = mm__enter(task->mm, &fresh.owner, tgid);
  struct mm_pages pages;
  if (entry)
    mm__update(task->mm, entry, &pages);
  return 0;
}

/* Up to 6.15 the address space is gone by now, and perhaps its address in use again: mm__leave looks whose it is. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(family_exit, struct task_struct *task) {
  if (task->signal->live.counter)
    return 0; /* threads are left */
  __u32 tgid = task->tgid;
  struct ebb_proc *proc = bpf_map_lookup_elem(&procs, &tgid);
  if (!proc)
    return 0;
  struct ebb_proc copy = *proc;
  if (bpf_map_delete_elem(&procs, &tgid))
    return 0; /* its other last thread was faster */
  mm__leave(copy.mm, tgid);
  worker__changed(&copy.owner);
  return 0;
}

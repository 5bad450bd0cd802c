/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Time in which workers wait for memory, as the kernel's own pressure figures have it: from psi_memstall_enter to
 * psi_memstall_leave. These mark a thread by in_memstall but tell nobody, so what is told from within stands for them:
 *   - the time off the CPU of a thread that is marked: swap-in, page cache that was lost, a turn at the device;
 *   - direct reclaim and compaction from begin to end, on the CPU or not;
 *   - reads on their way to the device, or answered by it at once (zram).
 * Some microseconds before, between and after these are not seen: 1 % to 4 % of the whole.
 *
 * A thread that reclaims by its own wish (memory.reclaim, a limit that it lowers) is not marked, and does not count.
 */
#include "vmlinux.h"

#include "kernels.bpf.h"
#include "stall.bpf.h"

static __always_inline void stall__begin(__u32 tid, __u32 tgid, enum stall_kind kind) {
  struct ebb_proc *proc = proc__find(tgid);
  if (!proc)
    return;
  struct stall stall = {.owner = proc->owner, .since_ns = bpf_ktime_get_ns(), .kind = kind};
  if (bpf_map_update_elem(&stalls, &tid, &stall, BPF_ANY))
    add(stalls_lost, 1);
}

static __always_inline void stall__end(__u32 tid, enum stall_kind kind) {
  struct stall *stall = stall__find(tid);
  if (!stall || stall->kind != kind)
    return;
  stall__count(stall, stall->since_ns, bpf_ktime_get_ns());
  (void)bpf_map_delete_elem(&stalls, &tid);
}

/* Where the part of a wait begins that is surely one: reads are on their way within that time. */
static __always_inline __u64 stall__since(const struct stall *stall, __u64 now_ns) {
  return max(stall->since_ns, now_ns - EBB_SUBMIT_NS);
}

/*
 * At each switch of each CPU: two loads from what the scheduler has just had in its hands decide that there is nothing to
 * do. `prev_state` came between `preempt` and `prev` in a release candidate of 5.18 only, and is the last argument since.
 */
SEC("tp_btf/sched_switch")
int BPF_PROG(stall_switch, bool preempt, struct task_struct *prev, struct task_struct *next) {
  if (task__in_memstall(prev)) {
    __u32 tid = prev->pid;
    struct stall *stall = stall__find(tid);
    if (!stall || stall->kind == STALL_OFF_CPU) { /* reclaim and compaction count as a whole */
      stall__begin(tid, prev->tgid, STALL_OFF_CPU);
    } else if (stall->kind == STALL_SUBMIT) {
      stall->since_ns = stall__since(stall, bpf_ktime_get_ns());
      stall->kind = STALL_OFF_CPU;
    }
  }
  if (task__in_memstall(next))
    stall__end(next->pid, STALL_OFF_CPU);
  return 0;
}

/*
 * A read that a marked thread sends on its way: swap-in, or page cache that was lost. Nobody tells when it is sent, only
 * when it then waits; what it does in between counts as part of the wait, up to what sending takes.
 */
SEC("tp_btf/block_bio_queue")
int BPF_PROG(stall_submit) {
  struct task_struct *task = (void *)bpf_get_current_task();
  if (!task__in_memstall_probed(task))
    return 0;
  __u64 id = bpf_get_current_pid_tgid(), now_ns = bpf_ktime_get_ns();
  struct stall *stall = stall__find(id);
  if (!stall || stall->kind == STALL_OFF_CPU) {
    stall__begin(id, id >> 32, STALL_SUBMIT);
  } else if (stall->kind == STALL_SUBMIT) {
    stall__count(stall, stall__since(stall, now_ns), now_ns);
    stall->since_ns = now_ns;
  }
  return 0;
}

/* A device that answers at once, as zram does: nobody waits. (An interrupt for somebody else's read ends it as well.) */
SEC("tp_btf/block_bio_complete")
int BPF_PROG(stall_submitted) {
  struct task_struct *task = (void *)bpf_get_current_task();
  if (!task__in_memstall_probed(task))
    return 0;
  __u32 tid = bpf_get_current_pid_tgid();
  struct stall *stall = stall__find(tid);
  if (!stall || stall->kind != STALL_SUBMIT)
    return 0;
  __u64 now_ns = bpf_ktime_get_ns();
  stall__count(stall, stall__since(stall, now_ns), now_ns);
  (void)bpf_map_delete_elem(&stalls, &tid);
  return 0;
}

/* An entry of the same kind is one whose end was missed: those calls do not nest. One of another kind goes on. */
static __always_inline int bracket__begin(enum stall_kind kind) {
  struct task_struct *task = (void *)bpf_get_current_task();
  if (!task__in_memstall_probed(task))
    return 0;
  __u64 id = bpf_get_current_pid_tgid();
  struct stall *stall = stall__find(id);
  if (!stall || stall->kind <= STALL_SUBMIT || stall->kind == kind)
    stall__begin(id, id >> 32, kind);
  return 0;
}

static __always_inline int bracket__end(enum stall_kind kind) {
  stall__end(bpf_get_current_pid_tgid(), kind);
  return 0;
}

/* The arguments of these are others in each kernel, and none is needed. */
SEC("tp_btf/mm_vmscan_memcg_reclaim_begin")
int BPF_PROG(stall_memcg_begin) {
  return bracket__begin(STALL_MEMCG);
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_end")
int BPF_PROG(stall_memcg_end) {
  return bracket__end(STALL_MEMCG);
}

SEC("tp_btf/mm_vmscan_direct_reclaim_begin")
int BPF_PROG(stall_direct_begin) {
  return bracket__begin(STALL_DIRECT);
}

SEC("tp_btf/mm_vmscan_direct_reclaim_end")
int BPF_PROG(stall_direct_end) {
  return bracket__end(STALL_DIRECT);
}

SEC("tp_btf/mm_compaction_begin")
int BPF_PROG(stall_compaction_begin) {
  return bracket__begin(STALL_COMPACTION);
}

SEC("tp_btf/mm_compaction_end")
int BPF_PROG(stall_compaction_end) {
  return bracket__end(STALL_COMPACTION);
}

/* It may have read ahead and never waited again. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(stall_exit, struct task_struct *task) {
  __u32 tid = task->pid;
  (void)bpf_map_delete_elem(&stalls, &tid);
  return 0;
}

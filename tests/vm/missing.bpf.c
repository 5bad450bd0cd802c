/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Can the check of relocations fail? Nothing here exists in any kernel. `guarded` is right on each: it asks first. The
 * others are wrong: a member of a type that is not there, and a member that a type does not have.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#pragma clang diagnostic ignored "-Wunused-parameter"
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct task_of_no_kernel {
  __u32 number;
};
struct task_struct___no_kernel {
  __u32 no_such_member;
};

#pragma clang attribute pop

char LICENSE[] SEC("license") = "Dual BSD/GPL";

__u64 seen = 0;

SEC("tp_btf/sched_process_exec")
int BPF_PROG(guarded, struct task_struct *task) {
  if (bpf_core_field_exists(struct task_of_no_kernel, number))
    seen = BPF_CORE_READ((struct task_of_no_kernel *)task, number);
  return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(no_type, struct task_struct *task) {
  seen = BPF_CORE_READ((struct task_of_no_kernel *)task, number);
  return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(no_member, struct task_struct *task) {
  seen = ((struct task_struct___no_kernel *)task)->no_such_member;
  return 0;
}

SEC("tp_btf/tracepoint_of_no_kernel")
int BPF_PROG(no_tracepoint, struct task_struct *task) {
  return 0;
}

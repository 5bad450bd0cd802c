/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What kind of job a turn was: a worker may keep the label of the turn that is on in a private copy of its lease (see
 * ebb/lease.h). It is found here in the worker's own context, from the file, so it is the label of this very turn and
 * thread, however short it was and whoever has written what since.
 */
#ifndef BPF_LABEL_H
#define BPF_LABEL_H

#include "kernels.bpf.h"

#include "ebb/lease.h"

/* Where the current thread has its copy; 0: it has none, or not in memory. Not static: see lock__taken. The tree of the
 * file's mappings is walked in order, up by the links to the parents, since a stack is not to be had; nothing keeps the
 * tree still, so a walk may come to nothing. */
__noinline __weak __u64 label__copy(__u64 file) {
  struct task_struct *task = (void *)bpf_get_current_task();
  struct mm_struct *mm = BPF_CORE_READ(task, mm);
  struct rb_node *node = BPF_CORE_READ((struct file *)file, f_mapping, i_mmap.rb_root.rb_node), *from = 0;
  for (int i = 0; mm && node && i < EBB_LOOK_MAPS_MAX; i++) {
    struct rb_node *up = (void *)(BPF_CORE_READ(node, __rb_parent_color) & ~3UL);
    struct rb_node *left = BPF_CORE_READ(node, rb_left), *right = BPF_CORE_READ(node, rb_right), *next = up;
    if (from == up) {
      struct vm_area_struct *area = (void *)node - bpf_core_field_offset(struct vm_area_struct, shared.rb);
      __u64 at = BPF_CORE_READ(area, vm_mm) == mm ? BPF_CORE_READ(area, vm_start) : 0;
      __u32 tid = 0;
      if (at && !bpf_probe_read_user(&tid, sizeof(tid), (void *)(at + EBB_LEASE_COPY_THREAD)) &&
          tid == (__u32)bpf_get_current_pid_tgid())
        return at;
      next = left ?: right ?: up;
    } else if (from == left && right) {
      next = right;
    }
    from = node;
    node = next;
  }
  return 0;
}

static __always_inline bool label__read(__u64 file, char *to) {
  __u64 at = label__copy(file);
  return at && !bpf_probe_read_user(to, EBB_LEASE_LABEL_FIELD, (void *)(at + EBB_LEASE_LABEL_OFFSET(0)));
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Exact figures, where a job begins and ends: counters with the parts that are still with a CPU, the address spaces of a
 * whole worker, the faults of all threads of a process. Dearer than what is read elsewhere, and worth it twice a job.
 */
#ifndef BPF_EXACT_H
#define BPF_EXACT_H

#include "footprint.bpf.h"

#define FAULT_THREADS_MAX 64 /* of a process; the faults of further threads are not seen */

/*
 * From 5.11 on the verifier can be told which task is current, and then follows pointers from there by plain loads. Through
 * plain numbers each step is a call; that is what these figures would cost otherwise.
 */
static __always_inline bool knows_current(void) {
  return bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf);
}

/* Not static: see lock__taken. */
__noinline __weak __s64 counter__parts(__u64 parts) {
  __s64 sum = 0;
  for (__u32 i = 0; i < EBB_CPUS_MAX && i < n_cpus; i++) {
    __s32 part = 0;
    (void)bpf_probe_read_kernel(&part, sizeof(part), (void *)(parts + cpu_offsets[i]));
    sum += part;
  }
  return sum;
}

/* A counter may be read below zero for a moment. */
static __always_inline __u64 counter__sum(__s64 count, void *counters) {
  return pages__clamp(count + counter__parts((__u64)counters));
}

/* One counter through a pointer that the verifier knows. What it would know of the pointer to the parts is in the way. */
#define rss__sum(mm, member)                                                                                           \
  counter__sum(((struct mm_struct___percpu *)(mm))->rss_stat[member].count,                                            \
               BPF_CORE_READ((struct mm_struct___percpu *)(mm), rss_stat[member].counters))
/* … and through any other. */
#define rss__sum_read(mm, member)                                                                                      \
  counter__sum(BPF_CORE_READ((struct mm_struct___percpu *)(mm), rss_stat[member].count),                               \
               BPF_CORE_READ((struct mm_struct___percpu *)(mm), rss_stat[member].counters))

/* Not static: see lock__taken. */
__noinline __weak __s64 mm__exact(__u64 key) {
  struct mm_struct *mm = (void *)key;
  struct mm_pages pages;
  if (rss__layout() != EBB_RSS_PERCPU)
    return mm__pages(mm, &pages);
  if (knows_current()) {
    struct mm_struct *own = bpf_get_current_task_btf()->mm;
    if ((__u64)own == key)
      return rss__sum(own, RSS_ANON) + rss__sum(own, RSS_SHMEM) + rss__sum(own, RSS_SWAP);
  }
  return rss__sum_read(mm, RSS_ANON) + rss__sum_read(mm, RSS_SHMEM) + rss__sum_read(mm, RSS_SWAP);
}

/* Bring a worker's sum up to date. Not static: see lock__taken. */
__noinline __weak int worker__count(__u32 index, __u32 life) {
  struct crew *crew = bpf_map_lookup_elem(&crews, &index);
  for (int i = 0; crew && i < EBB_CREW_MAX; i++) {
    __u64 key = crew->mms[i];
    struct mm *entry = key ? bpf_map_lookup_elem(&mms, &key) : 0;
    if (entry && entry->owner.worker == index && entry->owner.life == life)
      mm__set(entry, mm__exact(key));
  }
  return 0;
}

static __always_inline void faults__add_threads(__u64 signal, struct faults *to) {
  struct list_head *head = (void *)signal + bpf_core_field_offset(struct signal_struct, thread_head);
  struct list_head *link = BPF_CORE_READ(head, next);
  for (int i = 0; i < FAULT_THREADS_MAX && link && link != head; i++) {
    struct task_struct *thread = (void *)link - bpf_core_field_offset(struct task_struct, thread_node);
    to->minor += BPF_CORE_READ(thread, min_flt);
    to->major += BPF_CORE_READ(thread, maj_flt);
    link = BPF_CORE_READ(link, next);
  }
}

/* All of the current process, with its children that have ended and been waited for; and those of the current thread. */
static __always_inline void faults__read(struct faults *process, struct faults *thread) {
  if (knows_current()) {
    struct task_struct *task = bpf_get_current_task_btf();
    struct signal_struct *signal = task->signal;
    *thread = (struct faults){task->min_flt, task->maj_flt};
    *process = (struct faults){signal->min_flt + signal->cmin_flt, signal->maj_flt + signal->cmaj_flt};
    if (signal->nr_threads == 1) {
      process->minor += thread->minor;
      process->major += thread->major;
    } else {
      faults__add_threads((__u64)signal, process);
    }
    return;
  }
  struct task_struct *task = (void *)bpf_get_current_task();
  struct signal_struct *signal = BPF_CORE_READ(task, signal);
  *thread = (struct faults){BPF_CORE_READ(task, min_flt), BPF_CORE_READ(task, maj_flt)};
  *process = (struct faults){BPF_CORE_READ(signal, min_flt) + BPF_CORE_READ(signal, cmin_flt),
                             BPF_CORE_READ(signal, maj_flt) + BPF_CORE_READ(signal, cmaj_flt)};
  faults__add_threads((__u64)signal, process);
}

/*
 * The kernel keeps each process's resident high-water mark anyway. If it rose during the turn, the new mark was reached
 * in the turn; less what is file-backed, it is the turn's peak, also where rss_stat is not attached or filtered out.
 */
struct high {
  __u64 mark, file, swap;
};

static __always_inline void high__set(struct high *ret, __u64 mark, __s64 file, __s64 resident, __s64 swap) {
  *ret = (struct high){max(mark, pages__clamp(file) + pages__clamp(resident)), pages__clamp(file), pages__clamp(swap)};
}

static __always_inline void high__read(struct high *ret) {
  if (knows_current()) {
    struct mm_struct *mm = bpf_get_current_task_btf()->mm;
    high__set(ret, mm->hiwater_rss, rss__load(mm, RSS_FILE), rss__load(mm, RSS_ANON) + rss__load(mm, RSS_SHMEM),
              rss__load(mm, RSS_SWAP));
    return;
  }
  struct task_struct *task = (void *)bpf_get_current_task();
  struct mm_struct *mm = BPF_CORE_READ(task, mm);
  high__set(ret, BPF_CORE_READ(mm, hiwater_rss), rss__read(mm, RSS_FILE),
            rss__read(mm, RSS_ANON) + rss__read(mm, RSS_SHMEM), rss__read(mm, RSS_SWAP));
}

#endif

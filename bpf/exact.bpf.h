/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Exact figures, where a job begins and ends: counters with the parts that are still with a CPU, the address spaces of a
 * whole worker, the faults of all threads of a process. Dearer than what is read elsewhere, and worth it twice a job.
 */
#ifndef BPF_EXACT_H
#define BPF_EXACT_H

#include "footprint.bpf.h"

#define FAULT_THREADS_MAX 64 /* of a process; the faults of further threads are not seen */

/* Not static: see lock__taken. A counter may be read below zero for a moment. */
__noinline __weak __s64 counter__sum(__u64 address) {
  struct percpu_counter *counter = (void *)address;
  __s64 sum = BPF_CORE_READ(counter, count);
  __u64 parts = (__u64)BPF_CORE_READ(counter, counters);
  for (__u32 i = 0; i < EBB_CPUS_MAX && i < n_cpus; i++) {
    __s32 part = 0;
    (void)bpf_probe_read_kernel(&part, sizeof(part), (void *)(parts + cpu_offsets[i]));
    sum += part;
  }
  return sum;
}

static __always_inline __s64 rss__exact(struct mm_struct *mm, int member) {
  __u64 address = member == RSS_ANON    ? rss__counter(mm, RSS_ANON)
                  : member == RSS_SHMEM ? rss__counter(mm, RSS_SHMEM)
                                        : rss__counter(mm, RSS_SWAP);
  if (address)
    return counter__sum(address);
  return member == RSS_ANON    ? rss__read(mm, RSS_ANON)
         : member == RSS_SHMEM ? rss__read(mm, RSS_SHMEM)
                               : rss__read(mm, RSS_SWAP);
}

/* Not static: see lock__taken. */
__noinline __weak __s64 mm__exact(__u64 key) {
  struct mm_struct *mm = (void *)key;
  return pages__clamp(rss__exact(mm, RSS_ANON)) + pages__clamp(rss__exact(mm, RSS_SHMEM)) +
         pages__clamp(rss__exact(mm, RSS_SWAP));
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

/* All of the current process, with its children that have ended and been waited for. */
static __always_inline void faults__of_process(struct task_struct *task, struct faults *ret) {
  struct signal_struct *signal = BPF_CORE_READ(task, signal);
  ret->minor = BPF_CORE_READ(signal, min_flt) + BPF_CORE_READ(signal, cmin_flt);
  ret->major = BPF_CORE_READ(signal, maj_flt) + BPF_CORE_READ(signal, cmaj_flt);
  struct list_head *head = (void *)signal + bpf_core_field_offset(struct signal_struct, thread_head);
  struct list_head *link = BPF_CORE_READ(head, next);
  for (int i = 0; i < FAULT_THREADS_MAX && link && link != head; i++) {
    struct task_struct *thread = (void *)link - bpf_core_field_offset(struct task_struct, thread_node);
    ret->minor += BPF_CORE_READ(thread, min_flt);
    ret->major += BPF_CORE_READ(thread, maj_flt);
    link = BPF_CORE_READ(link, next);
  }
}

static __always_inline void faults__of_thread(struct task_struct *task, struct faults *ret) {
  ret->minor = BPF_CORE_READ(task, min_flt);
  ret->major = BPF_CORE_READ(task, maj_flt);
}

#endif

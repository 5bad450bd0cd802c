/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Threads of workers that wait for memory just now. A thread has an entry from the moment when its wait begins until it is
 * over and counted, so the table is small, and nothing has to be tidied up when a thread ends.
 */
#ifndef BPF_STALL_H
#define BPF_STALL_H

#include "maps.bpf.h"

/* How a wait began, and so what ends it. */
enum stall_kind { STALL_OFF_CPU, STALL_SUBMIT, STALL_MEMCG, STALL_DIRECT, STALL_COMPACTION };

struct stall {
  struct ebb_owner owner;
  __u64 since_ns;
  __u32 kind; /* enum stall_kind */
  __u32 reserved;
};

/* By thread. No task storage: that takes memory at the very moment when there is none, and came with 5.11. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, EBB_STALLS_MAX);
  __type(key, __u32);
  __type(value, struct stall);
} stalls SEC(".maps") __weak;

__u32 stall_on __weak = 0;    /* the programs are attached */
__u64 stalls_lost __weak = 0; /* waits that found no room */

static __always_inline struct stall *stall__find(__u32 tid) {
  return bpf_map_lookup_elem(&stalls, &tid);
}

static __always_inline void stall__count(const struct stall *stall, __u64 from_ns, __u64 to_ns) {
  struct ebb_kworker *worker = owner__worker(&stall->owner);
  if (worker && to_ns > from_ns)
    add(worker->stall_ns, to_ns - from_ns);
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Growth as it happens: thresholds within microseconds. */
#include "vmlinux.h"

#include "footprint.bpf.h"

static __always_inline __s64 rss__member(struct mm_struct *mm, int member) {
  switch (member) {
  case RSS_ANON:
    return rss__load(mm, RSS_ANON);
  case RSS_SWAP:
    return rss__load(mm, RSS_SWAP);
  case RSS_SHMEM:
    return rss__load(mm, RSS_SHMEM);
  default:
    return -1; /* file pages are no part of a footprint */
  }
}

/*
 * Fires for each fault of each process of the host, so the size comes first: what is small cannot cross anything. Keyed by
 * address space, never by current: reclaim, fork and exec change other people's counters.
 */
SEC("tp_btf/rss_stat")
int BPF_PROG(memory_rss, struct mm_struct *mm, int member) {
  if (rss__member(mm, member) < prefilter_pages)
    return 0;
  __u64 key = (__u64)mm;
  struct mm *entry = bpf_map_lookup_elem(&mms, &key);
  struct mm_pages pages;
  if (entry)
    mm__update(mm, entry, &pages);
  return 0;
}

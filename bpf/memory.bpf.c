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

/* What is smaller crosses nothing and is no peak worth telling: most processes of a host never get further than this. */
#define SMALL_PAGES 64

/* The counter that this CPU has looked at last, and what it found. */
struct seen {
  __u64 counter;
  __s64 pages;
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct seen);
} last_seen SEC(".maps");

/*
 * From 6.2 on a counter shows only each 32nd fault of a CPU or fewer (percpu_counter), and who faults once faults again: mostly
 * there is nothing new, and looking that up costs more than all the rest. An address that is used again with the same count
 * may hide one batch; the next one shows it.
 */
static __always_inline bool rss__is_old(struct mm_struct *mm, int member, __s64 pages) {
  __u32 zero = 0;
  __u64 counter = (__u64)mm + (__u32)member; /* mm_struct is aligned to more than there are members */
  struct seen *seen = bpf_map_lookup_elem(&last_seen, &zero);
  if (!seen || (seen->counter == counter && seen->pages == pages))
    return seen;
  *seen = (struct seen){counter, pages};
  return false;
}

/*
 * Fires for each fault of each process of the host, so the size comes first: what is small cannot cross anything. Keyed by
 * address space, never by current: reclaim, fork and exec change other people's counters.
 */
SEC("tp_btf/rss_stat")
int BPF_PROG(memory_rss, struct mm_struct *mm, int member) {
  __s64 count = rss__member(mm, member);
  if (count < SMALL_PAGES || rss__is_old(mm, member, count))
    return 0;
  __u64 key = (__u64)mm;
  struct mm *entry = bpf_map_lookup_elem(&mms, &key);
  struct mm_pages pages;
  if (entry)
    mm__update(mm, entry, &pages);
  return 0;
}

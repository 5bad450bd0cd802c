/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A worker's footprint as the sum over its address spaces. Each keeps its own part, and the sum moves by differences.
 *
 * Two CPUs that bring the same part up to date at one time may both count a step (an exchange would need 5.12). So part
 * and sum move by the same amount: what was counted twice is in both, and the next change or sweep takes it out of both.
 * Only a part that leaves while it is being brought up to date leaves the sum off for good; the watch, which goes through
 * all parts at each sweep, puts that right.
 */
#ifndef BPF_FOOTPRINT_H
#define BPF_FOOTPRINT_H

#include "kernels.bpf.h"
#include "maps.bpf.h"

/* Per-CPU counters may be read below zero. */
static __always_inline __u64 pages__clamp(__s64 pages) {
  return pages > 0 ? pages : 0;
}

/* The sum moved: keep the peak, and report the crossing of an armed threshold once. */
static __always_inline void worker__moved(struct ebb_kworker *worker, const struct ebb_owner *owner) {
  __u64 pages = pages__clamp(worker->pages);
  if (pages > worker->pages_peak)
    worker->pages_peak = pages;
  if (pages < worker->armed_pages)
    return;
  worker->armed_pages = ~0ULL;
  struct ebb_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
  if (!event) {
    add(drops, 1);
    return;
  }
  event->kind = EBB_EVENT_CROSSED;
  event->worker = owner->worker;
  event->life = owner->life;
  event->turn = worker->turns;
  event->at_ns = bpf_ktime_get_ns();
  event->pages_after = pages;
  bpf_ringbuf_submit(event, BPF_RB_FORCE_WAKEUP);
}

struct mm_pages {
  __s64 anon, shmem, swap;
};

static __always_inline __s64 mm__pages(struct mm_struct *mm, struct mm_pages *ret) {
  ret->anon = pages__clamp(rss__read(mm, RSS_ANON));
  ret->shmem = pages__clamp(rss__read(mm, RSS_SHMEM));
  ret->swap = pages__clamp(rss__read(mm, RSS_SWAP));
  return ret->anon + ret->shmem + ret->swap;
}

static __always_inline void mm__set(struct mm *entry, __s64 now) {
  __s64 then = entry->pages;
  struct ebb_kworker *worker = owner__worker(&entry->owner);
  if (!worker || now == then)
    return;
  add(entry->pages, now - then);
  add(worker->pages, now - then);
  worker__moved(worker, &entry->owner);
}

static __always_inline void mm__update(struct mm_struct *mm, struct mm *entry, struct mm_pages *pages) {
  mm__set(entry, mm__pages(mm, pages));
}

static __always_inline void crew__change(const struct ebb_owner *owner, __u64 from, __u64 to) {
  __u32 index = owner->worker;
  struct crew *crew = bpf_map_lookup_elem(&crews, &index);
  for (int i = 0; crew && i < EBB_CREW_MAX; i++)
    if (crew->mms[i] == from) {
      crew->mms[i] = to;
      return;
    }
}

/* Take an address space out of the sum, if it is there on account of this process. */
static __always_inline void mm__leave(__u64 key, __u32 tgid) {
  struct mm *entry = bpf_map_lookup_elem(&mms, &key);
  if (!entry || entry->tgid != tgid)
    return;
  struct mm copy = *entry;
  if (bpf_map_delete_elem(&mms, &key))
    return;
  struct ebb_kworker *worker = owner__worker(&copy.owner);
  if (!worker)
    return;
  add(worker->pages, -copy.pages);
  crew__change(&copy.owner, key, 0);
}

static __always_inline struct mm *mm__enter(struct mm_struct *mm, const struct ebb_owner *owner, __u32 tgid) {
  __u64 key = (__u64)mm;
  struct mm *stale = bpf_map_lookup_elem(&mms, &key);
  if (stale)
    mm__leave(key, stale->tgid);
  struct mm fresh = {.owner = *owner, .tgid = tgid};
  if (bpf_map_update_elem(&mms, &key, &fresh, BPF_ANY)) {
    add(missed, 1);
    return 0;
  }
  crew__change(owner, 0, key);
  return bpf_map_lookup_elem(&mms, &key);
}

#endif

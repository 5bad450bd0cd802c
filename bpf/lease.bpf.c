/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Begin and end of each job: flock(2) on known leases. ebbd locks leases too, so a lock counts when a process of the
 * worker takes it; from then on the open file stands for it, whoever lets it go, and be it by dying.
 */
#include "vmlinux.h"

#include "footprint.bpf.h"

__u32 look_tgid = 0;  /* the watch: when it unlocks a lease that it never locked, it wants the locks there looked at */
__u32 look_trust = 0; /* take a lock by this process as the worker's too: it is dead, a child holds on to it */
__u32 look_other = 0; /* answer: process behind a lock that is not the worker's, as far as we know */

/* Bring the caller's part of its worker up to date. On an exiting process's behalf there is no address space left. */
static __always_inline void current__update(const struct ebb_owner *owner, struct mm_struct **ret_mm) {
  struct task_struct *task = (void *)bpf_get_current_task();
  struct mm_struct *mm = BPF_CORE_READ(task, mm);
  __u64 key = (__u64)mm;
  struct mm *entry = mm ? bpf_map_lookup_elem(&mms, &key) : 0;
  if (!entry || entry->owner.worker != owner->worker || entry->owner.life != owner->life)
    return;
  struct mm_pages pages;
  mm__update(mm, entry, &pages);
  *ret_mm = mm;
}

/*
 * The kernel keeps each process's resident high-water mark anyway. If it rose during the turn, the new mark was reached
 * in the turn; less what is file-backed, it is the turn's peak, also where rss_stat is not attached or filtered out.
 */
static __always_inline __u64 mm__high(struct mm_struct *mm) {
  __u64 now = pages__clamp(rss__read(mm, RSS_FILE)) + pages__clamp(rss__read(mm, RSS_ANON)) +
              pages__clamp(rss__read(mm, RSS_SHMEM));
  return max(BPF_CORE_READ(mm, hiwater_rss), now);
}

static __always_inline __u64 turn__peak(const struct ebb_kworker *worker, struct mm_struct *mm) {
  if (!mm || !worker->high_taken)
    return worker->pages_peak;
  __u64 high = mm__high(mm);
  if (high <= worker->high_taken)
    return worker->pages_peak;
  struct mm_pages pages;
  __s64 others = worker->pages - mm__pages(mm, &pages);
  return max(worker->pages_peak,
             pages__clamp((__s64)high - pages__clamp(rss__read(mm, RSS_FILE)) + pages.swap + others));
}

static __always_inline void turn__begin(struct ebb_kworker *worker, const struct ebb_owner *owner) {
  struct mm_struct *mm = 0;
  current__update(owner, &mm);
  worker->taken_ns = bpf_ktime_get_ns();
  worker->pages_taken = worker->pages_peak = pages__clamp(worker->pages);
  worker->high_taken = mm ? mm__high(mm) : 0;
}

/* This function and the next two are not static: then the verifier looks at each once, not at each call and turn of a
 * loop. What they return means nothing; it has to be a number. `seen`: as it was taken, not afterwards. */
__noinline int lock__taken(__u64 file, __u32 index, __u32 life, bool seen) {
  struct ebb_owner owner = {.worker = index, .life = life};
  struct ebb_kworker *worker = owner__worker(&owner);
  if (!worker)
    return 0;
  if (bpf_map_update_elem(&held, &file, &owner, BPF_ANY)) {
    add(missed, 1);
    return 0;
  }
  if (worker->held <= 0)
    turn__begin(worker, &owner);
  if (!worker->turns)
    worker->pages_first = seen ? worker->pages_taken : ~0ULL;
  add(worker->turns, 1);
  add(worker->held, 1);
  return 0;
}

static __always_inline __u64 turn__wake(const struct ebb_kworker *worker, const struct ebb_event *event) {
  if (event->turn == 1 || worker->flags & EBB_KWORKER_EAGER || event->held_ns >= EBB_TURN_WAKES_NS ||
      bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > EBB_RING_BYTES / 2)
    return BPF_RB_FORCE_WAKEUP;
  return BPF_RB_NO_WAKEUP;
}

__noinline int lock__released(__u64 file) {
  struct ebb_owner *entry = bpf_map_lookup_elem(&held, &file);
  if (!entry)
    return 0;
  struct ebb_owner owner = *entry;
  if (bpf_map_delete_elem(&held, &file))
    return 0;
  struct ebb_kworker *worker = owner__worker(&owner);
  if (!worker)
    return 0;
  add(worker->held, -1);
  if (worker->held > 0)
    return 0;
  struct mm_struct *mm = 0;
  current__update(&owner, &mm);
  __u64 now = bpf_ktime_get_ns();
  struct ebb_event event = {
      .kind = EBB_EVENT_RELEASED,
      .worker = owner.worker,
      .life = owner.life,
      .turn = worker->turns,
      .at_ns = now,
      .held_ns = now - worker->taken_ns,
      .pages_before = worker->pages_taken,
      .pages_after = pages__clamp(worker->pages),
      .pages_peak = turn__peak(worker, mm),
  };
  event__send(&event, turn__wake(worker, &event));
  return 0;
}

__noinline int lock__listed(__u64 list, __u64 file) {
  struct list_head *head = (void *)list, *link = BPF_CORE_READ(head, next);
  for (int i = 0; i < EBB_LOOK_LOCKS_MAX && link && link != head; i++) {
    struct lock lock;
    lock__read(link, &lock);
    if (lock.file == file)
      return 1;
    link = BPF_CORE_READ(link, next);
  }
  return 0;
}

/*
 * Find the locks that were taken before we looked: by a worker that was in the middle of a job when the watch came. Nothing
 * keeps the list still meanwhile. The kernel takes a lock off the list before it tells us, so a lock that is still
 * there after we have noted it will be let go in our sight; one that is not is struck out again.
 */
static __always_inline void lease__look(struct inode *inode, const struct ebb_owner *owner) {
  struct list_head *head = &BPF_CORE_READ(inode, i_flctx)->flc_flock;
  struct list_head *link = BPF_CORE_READ(head, next);
  for (int i = 0; i < EBB_LOOK_LOCKS_MAX && link && link != head; i++) {
    struct lock lock;
    lock__read(link, &lock);
    link = BPF_CORE_READ(link, next);
    struct ebb_owner *known = bpf_map_lookup_elem(&held, &lock.file);
    if (known && owner__worker(known))
      continue;
    struct ebb_proc *proc = proc__find(lock.pid);
    if (lock.pid != look_trust && (!proc || proc->owner.worker != owner->worker)) {
      look_other = lock.pid;
      continue;
    }
    lock__taken(lock.file, owner->worker, owner->life, false);
    if (!lock__listed((__u64)head, lock.file))
      lock__released(lock.file);
  }
}

/* `lock` may be NULL as far as recent verifiers know. A lock that has to wait comes twice: with ret 1, then 0. */
SEC("tp_btf/flock_lock_inode")
int BPF_PROG(lease_lock, struct inode *inode, struct file_lock *request, int ret) {
  struct lock lock;
  if (!inode || !request)
    return 0;
  lock__load(request, &lock);
  bool taken = lock.type != F_UNLCK_TYPE && ret == 0;
  struct ebb_owner *known = bpf_map_lookup_elem(&held, &lock.file);
  if (known && owner__worker(known)) {
    /* Also when a change from shared to exclusive has to wait: the kernel gives the old lock up for it. */
    if (!taken)
      lock__released(lock.file);
    return 0;
  }
  struct ebb_lease key = {.inode = inode->i_ino, .device = inode->i_sb->s_dev};
  struct ebb_owner *owner = bpf_map_lookup_elem(&leases, &key);
  if (!owner)
    return 0;
  __u32 tgid = bpf_get_current_pid_tgid() >> 32;
  struct ebb_proc *proc = proc__find(tgid);
  if (taken && proc && proc->owner.worker == owner->worker)
    lock__taken(lock.file, owner->worker, owner->life, true);
  else if (lock.type == F_UNLCK_TYPE && tgid == look_tgid)
    lease__look(inode, owner);
  return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Begin and end of each job: flock(2) on known leases. ebbd locks leases too, so a lock counts when a process of the
 * worker takes it; from then on the open file stands for it, whoever lets it go, and be it by dying.
 */
#include "vmlinux.h"

#include "exact.bpf.h"
#include "label.bpf.h"
#include "stall.bpf.h"

#define EEXIST 17 /* of asm-generic/errno-base.h */

__u32 look_tgid = 0;  /* the watch: when it unlocks a lease that it never locked, it wants the locks there looked at */
__u32 look_trust = 0; /* take a lock by this process as the worker's too: it is dead, a child holds on to it */
__u64 woken_ns = 0;   /* the watch, by the end of a turn, last */
__u32 look_other = 0; /* answer: process behind a lock that is not the worker's, as far as we know */

/* The current process's part in the worker's sum, if it has one. An exiting process has no address space left. */
static __always_inline struct mm *current__part(const struct ebb_owner *owner) {
  __u64 key;
  if (knows_current()) {
    key = (__u64)bpf_get_current_task_btf()->mm;
  } else {
    struct task_struct *task = (void *)bpf_get_current_task();
    key = (__u64)BPF_CORE_READ(task, mm);
  }
  struct mm *part = key ? bpf_map_lookup_elem(&mms, &key) : 0;
  return part && part->owner.worker == owner->worker && part->owner.life == owner->life ? part : 0;
}

static __always_inline __u64 turn__peak(const struct ebb_kworker *worker, const struct hold *hold, __s64 pages_own) {
  struct high high;
  high__read(&high);
  if (!hold->high || high.mark <= hold->high)
    return worker->pages_peak;
  return max(worker->pages_peak, pages__clamp((__s64)(high.mark - high.file + high.swap) + worker->pages - pages_own));
}

static __always_inline void turn__begin(struct hold *hold, const struct ebb_kworker *worker) {
  struct mm *part = current__part(&hold->owner);
  struct high high;
  hold->taken_ns = bpf_ktime_get_ns();
  hold->pages = pages__clamp(worker->pages);
  hold->stall_ns = worker->stall_ns;
  if (!part)
    return;
  __u64 id = bpf_get_current_pid_tgid();
  hold->tgid = id >> 32;
  hold->tid = (__u32)id;
  hold->pages_own = part->pages;
  high__read(&high);
  hold->high = high.mark;
  faults__read(&hold->process, &hold->thread);
}

/* This function and those like it are not static: then the verifier looks at each once, not at each call and turn of a
 * loop. What they return means nothing; it has to be a number. `seen`: as it was taken, not afterwards. */
__noinline int lock__taken(__u64 file, __u32 index, __u32 life, bool seen) {
  struct hold hold = {.owner = {.worker = index, .life = life}}, *stale = bpf_map_lookup_elem(&held, &file);
  struct ebb_kworker *worker = owner__worker(&hold.owner);
  if (!worker)
    return 0;
  if (stale && !owner__worker(&stale->owner))
    (void)bpf_map_delete_elem(&held, &file);
  worker__count(index, life);
  turn__begin(&hold, worker);
  hold.turn = worker->turns + 1;
  hold.others = worker->held > 0 ? worker->held : 0;
  long r = bpf_map_update_elem(&held, &file, &hold, BPF_NOEXIST);
  if (r) {
    if (r != -EEXIST) /* else the look at the lease and the taking of the lock have met */
      add(missed, 1);
    return 0;
  }
  if (!hold.others) {
    worker->taken_ns = hold.taken_ns;
    worker->pages_peak = hold.pages;
  }
  if (!worker->turns)
    worker->pages_first = seen ? hold.pages : ~0ULL;
  add(worker->turns, 1);
  add(worker->held, 1);
  return 0;
}

/* Two CPUs may both wake it: once more than needed. */
static __always_inline __u64 turn__wake(const struct ebb_kworker *worker, const struct ebb_event *event) {
  bool wanted = event->turn == 1 || (worker->flags & EBB_KWORKER_EAGER && !event->others);
  if (!wanted && event->held_ns < EBB_WAKES_APART_NS && event->at_ns - woken_ns < EBB_WAKES_APART_NS &&
      bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) <= ring_bytes / 2)
    return BPF_RB_NO_WAKEUP;
  woken_ns = event->at_ns;
  return BPF_RB_FORCE_WAKEUP;
}

static __always_inline void turn__faults(const struct hold *hold, bool overlapped, struct ebb_event *event) {
  __u64 id = bpf_get_current_pid_tgid();
  struct faults process, thread;
  event->minor_faults = event->major_faults = ~0ULL;
  if (!hold->tgid || hold->tgid != id >> 32)
    return; /* let go by another process, which inherited it */
  faults__read(&process, &thread);
  if (overlapped && hold->tid == (__u32)id) {
    event->minor_faults = thread.minor - hold->thread.minor;
    event->major_faults = thread.major - hold->thread.major;
    return;
  }
  event->minor_faults = process.minor - hold->process.minor;
  event->major_faults = process.major - hold->process.major;
}

static __always_inline void turn__pages(const struct hold *hold, const struct ebb_kworker *worker, bool overlapped,
                                        struct ebb_event *event) {
  struct mm *part = current__part(&hold->owner);
  event->pages_before = hold->pages;
  event->pages_after = pages__clamp(worker->pages);
  event->pages_peak = part ? turn__peak(worker, hold, part->pages) : worker->pages_peak;
  if (overlapped && part && hold->tgid)
    event->pages_before = pages__clamp((__s64)(event->pages_after + hold->pages_own) - part->pages);
}

/* Not static: see lock__taken. */
__noinline int lock__released(__u64 file) {
  struct hold *entry = bpf_map_lookup_elem(&held, &file);
  if (!entry)
    return 0;
  struct hold hold = *entry;
  if (bpf_map_delete_elem(&held, &file))
    return 0;
  struct ebb_kworker *worker = owner__worker(&hold.owner);
  if (!worker)
    return 0;
  add(worker->held, -1);
  worker__count(hold.owner.worker, hold.owner.life);
  struct ebb_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
  if (!event) {
    add(drops, 1);
    return 0;
  }
  event->kind = EBB_EVENT_RELEASED;
  event->worker = hold.owner.worker;
  event->life = hold.owner.life;
  event->turn = hold.turn;
  event->at_ns = bpf_ktime_get_ns();
  event->held_ns = event->at_ns - hold.taken_ns;
  event->others = worker->held > 0 ? worker->held : 0;
  bool overlapped = hold.others || event->others || worker->turns != hold.turn;
  turn__pages(&hold, worker, overlapped, event);
  turn__faults(&hold, overlapped, event);
  event->stall_ns = worker->stall_ns - hold.stall_ns;
  if (!event->stall_ns && !stall_on)
    event->stall_ns = ~0ULL;
  event->labelled = label__read(file, event->label);
  bpf_ringbuf_submit(event, turn__wake(worker, event));
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
    struct hold *known = bpf_map_lookup_elem(&held, &lock.file);
    if (known && owner__worker(&known->owner))
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
  struct hold *known = bpf_map_lookup_elem(&held, &lock.file);
  if (known && owner__worker(&known->owner)) {
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

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Whom a worker consisted of before it was followed. From then on the kernel side follows each fork by itself, so this
 * runs when a worker is added, or when a fork could not be noted down: look at all processes of the host, adopt those
 * whose parent, process group, session or EBB_LEASE says so, and look again until nothing new turns up.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "cleanup.h"
#include "ebb.skel.h"
#include "ebb/lease.h"
#include "feed.h"
#include "procenv.h"

#define NOBODY UINT32_MAX
/* A family that forks faster than we look is given up then; what it forks from now on is seen anyway. */
#define ROUNDS_MAX 16

int feed__adopt(struct feed *feed, uint32_t index, pid_t pid) {
  uint32_t tgid = (uint32_t)pid;
  struct ebb_proc proc = {.owner = {.worker = index, .life = feed->workers[index].life}};
  if (feed->n_adopted == EBB_PROCS_MAX)
    return -E2BIG;
  if (bpf_map_update_elem(bpf_map__fd(feed->loader.skel->maps.procs), &tgid, &proc, BPF_ANY))
    return -errno;
  feed->adopted[feed->n_adopted++] = pid;
  return 0;
}

/* Whoever ended between being seen and being adopted would stay in the map for ever: its exit found nothing there. */
static void disown_dead(struct feed *feed) {
  for (uint32_t i = 0; i < feed->n_adopted; i++) {
    uint32_t tgid = (uint32_t)feed->adopted[i];
    if (!tally__process(&feed->tally, feed->adopted[i]))
      (void)bpf_map_delete_elem(bpf_map__fd(feed->loader.skel->maps.procs), &tgid);
  }
  feed->n_adopted = 0;
}

/*
 * The number of a group or session is not given away while it has members. But when a process has it that is not this
 * worker's, none of ours were left; and when the root is gone, one of ours must be known to have kept it since, or a stranger
 * may have had it, and have left others behind in its group.
 */
static bool number_holds(struct feed *feed, uint32_t index) {
  const struct feed_worker *worker = &feed->workers[index];
  const struct tally_process *root = tally__process(&feed->tally, worker->pid);
  if (root || !worker->searched)
    return !root || root->worker == index;
  for (uint32_t i = 0; i < feed->tally.n_processes; i++) {
    const struct tally_process *process = &feed->tally.processes[i];
    if (process->worker == index && (process->pgid == worker->pid || process->session == worker->pid))
      return true;
  }
  return false;
}

/* A root leads its own group and session, which its descendants keep unless they leave them on purpose. */
static uint32_t by_group(struct feed *feed, const struct tally_process *process) {
  for (uint32_t i = 0; i < feed->tally.n_workers; i++) {
    const struct feed_worker *worker = &feed->workers[i];
    if (worker->life && (process->pgid == worker->pid || process->session == worker->pid) && number_holds(feed, i))
      return i;
  }
  return NOBODY;
}

/* Those who did leave them still have the environment. */
static uint32_t by_lease(const struct feed *feed, const struct tally_process *process) {
  char path[4096];
  if (process->pid == getpid() || procenv__read(process->pid, EBB_LEASE_ENV, path, sizeof(path)))
    return NOBODY;
  for (uint32_t i = 0; i < feed->tally.n_workers; i++)
    if (feed->workers[i].life && !strcmp(path, feed->workers[i].lease_path))
      return i;
  return NOBODY;
}

/* An orphan goes to the nearest ancestor that is a subreaper, which may be ebbd, who started us too, else to init; and
 * init may be hidden from us. */
static void mark_adopters(struct feed *feed) {
  struct tally_process *process = tally__process(&feed->tally, getpid());
  for (; process && !process->adopts; process = tally__process(&feed->tally, process->ppid))
    process->adopts = true;
}

static uint32_t owner_of(struct feed *feed, const struct tally_process *process, bool first_pass) {
  const struct tally_process *parent = tally__process(&feed->tally, process->ppid);
  if (parent && parent->worker != NOBODY)
    return parent->worker;
  if (!first_pass)
    return NOBODY;
  uint32_t owner = by_group(feed, process);
  if (owner == NOBODY && (process->ppid == 1 || (parent && parent->adopts)))
    owner = by_lease(feed, process);
  return owner;
}

/* One pass over the processes in ascending order; children mostly come after their parents. */
static int adopt_strangers(struct feed *feed, bool first_pass) {
  int adopted = 0;
  for (uint32_t i = 0; i < feed->tally.n_processes; i++) {
    struct tally_process *process = &feed->tally.processes[i];
    uint32_t owner = process->worker == NOBODY ? owner_of(feed, process, first_pass) : NOBODY;
    if (owner == NOBODY)
      continue;
    if (feed__adopt(feed, owner, process->pid)) {
      feed->short_of_room = true;
      continue;
    }
    process->worker = owner;
    feed->workers[owner].grown = true;
    adopted++;
  }
  return adopted;
}

/* The kernel side answers with the process behind a lock that it could not place. If that process is no more, the lock
 * has been inherited by a child, and only a worker of this lease has such children. */
void feed__look(struct feed *feed, int lease_fd) {
  char path[64];
  /* A description of our own: unlocking it can release nobody's lock. */
  (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", lease_fd);
  _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return;
  feed->loader.skel->bss->look_trust = feed->loader.skel->bss->look_other = 0;
  (void)flock(fd, LOCK_UN);
  uint32_t other = feed->loader.skel->bss->look_other;
  if (!other || !kill((pid_t)other, 0) || errno != ESRCH)
    return;
  feed->loader.skel->bss->look_trust = other;
  (void)flock(fd, LOCK_UN);
  feed->loader.skel->bss->look_trust = 0;
}

/* A lock that was taken by a child counts only since the child is known; and one for which there was no room, if there is
 * some now. */
static void look_again(struct feed *feed, bool all) {
  for (uint32_t i = 0; i < feed->tally.n_workers; i++) {
    struct feed_worker *worker = &feed->workers[i];
    if (!worker->life || !(worker->grown || all))
      continue;
    worker->grown = false;
    struct lease_key key;
    _cleanup_fd_ int fd = open(worker->lease_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && !lease__key(fd, &key) && !lease_key__order(&key, &worker->lease))
      feed__look(feed, fd);
  }
}

int feed__search(struct feed *feed) {
  int adopted = 1;
  uint64_t missed = feed->loader.skel->bss->missed;
  bool all = feed->missed != missed;
  feed->missed = missed;
  feed->short_of_room = false;
  for (int round = 0; adopted && round < ROUNDS_MAX; round++) {
    int r = tally__sweep(&feed->tally, &feed->loader, true);
    if (r)
      return r;
    mark_adopters(feed);
    adopted = adopt_strangers(feed, true);
    while (adopted && adopt_strangers(feed, false))
      ;
  }
  for (uint32_t i = 0; i < feed->tally.n_workers; i++)
    feed->workers[i].searched = true;
  disown_dead(feed);
  look_again(feed, all);
  feed->search_due = false;
  return 0;
}

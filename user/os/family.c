/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "family.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "ebb/lease.h"
#include "fault.h"
#include "kernfile.h"
#include "pidfd.h"
#include "procenv.h"
#include "procstat.h"

/* Processes of the host that a scan can tell apart. Only what is used is ever touched. */
#define PROCESSES_MAX (128 * 1024)
#define NOBODYS UINT32_MAX

struct process {
  pid_t pid, ppid, pgid, session;
  uint64_t start_time;
  uint32_t root;
  bool zombie;
  bool adopts; /* orphans of workers may have become its children */
};

/* One scan at a time; in ascending order of pid. */
static struct process processes[PROCESSES_MAX];
static size_t n_processes;

static struct process *find(pid_t pid) {
  size_t low = 0, high = n_processes;

  while (low < high) {
    size_t middle = low + (high - low) / 2;

    if (processes[middle].pid == pid)
      return &processes[middle];
    if (processes[middle].pid < pid)
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
}

/* /proc lists processes in ascending order of pid; one that were out of order could not be found again. */
static int add_process(pid_t pid, void *unused) {
  struct procstat stat;

  (void)unused;
  if (n_processes && pid <= processes[n_processes - 1].pid)
    return 0;
  if (procstat__read(pid, &stat))
    return 0; /* gone meanwhile, or hidden from us */
  if (n_processes == PROCESSES_MAX)
    return -E2BIG;
  processes[n_processes++] = (struct process){
      .pid = pid,
      .ppid = stat.ppid,
      .pgid = stat.pgid,
      .session = stat.session,
      .start_time = stat.start_time,
      .root = NOBODYS,
      .zombie = (stat.state == 'Z' || stat.state == 'X') && stat.threads <= 1,
  };
  return 0;
}

struct pid_taker {
  int (*take)(pid_t pid, void *arg);
  void *arg;
};

static int take_if_pid(const char *name, void *arg) {
  const struct pid_taker *taker = arg;

  return isdigit((unsigned char)*name) ? taker->take((pid_t)atoi(name), taker->arg) : 0;
}

static int each_pid(const char *directory, int (*take)(pid_t pid, void *arg), void *arg) {
  _cleanup_fd_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  struct pid_taker taker = {take, arg};

  return fd < 0 ? -errno : kernfile__each_name(fd, take_if_pid, &taker);
}

static void take_roots(const struct family_root *roots, size_t n) {
  for (size_t i = 0; i < n; i++) {
    struct process *process = find(roots[i].pid);

    if (process && (!roots[i].start_time || roots[i].start_time == process->start_time))
      process->root = (uint32_t)i;
  }
}

/* Children belong where their parents do, but never we ourselves. */
static void spread(pid_t self) {
  bool changed;

  do {
    changed = false;
    for (size_t i = 0; i < n_processes; i++) {
      struct process *process = &processes[i], *parent;

      if (process->root != NOBODYS || process->pid == self)
        continue;
      parent = find(process->ppid);
      if (!parent || parent->root == NOBODYS)
        continue;
      process->root = parent->root;
      changed = true;
    }
  } while (changed);
}

/* The number of a group or session is not given away while it has members, but when the pid is somebody else's by now,
 * there are none left of ours. */
static bool numbers_hold(const struct family_root *root, uint32_t index) {
  const struct process *process = find(root->pid);

  return root->pid > 0 && (!process || process->root == index);
}

static uint32_t root_by_number(const struct process *process, const struct family_root *roots, size_t n) {
  for (size_t i = 0; i < n; i++)
    if ((roots[i].pid == process->pgid || roots[i].pid == process->session) && numbers_hold(&roots[i], (uint32_t)i))
      return (uint32_t)i;
  return NOBODYS;
}

static uint32_t root_by_lease(const struct process *process, const struct family_root *roots, size_t n) {
  char lease[4096];

  if (procenv__read(process->pid, EBB_LEASE_ENV, lease, sizeof(lease)))
    return NOBODYS;
  for (size_t i = 0; i < n; i++)
    if (roots[i].lease && !strcmp(roots[i].lease, lease))
      return (uint32_t)i;
  return NOBODYS;
}

/* An orphan goes to the nearest ancestor that is a subreaper, which may be we or an ancestor of ours, else to pid 1. */
static void mark_adopters(pid_t self) {
  struct process *process = find(1);

  if (process)
    process->adopts = true;
  for (process = find(self); process && !process->adopts; process = find(process->ppid))
    process->adopts = true;
}

static bool is_orphan(const struct process *process) {
  const struct process *parent = find(process->ppid);

  return parent && parent->adopts;
}

static void take_orphans(const struct family_root *roots, size_t n, pid_t self) {
  for (struct process *process = processes; process < processes + n_processes; process++)
    if (process->root == NOBODYS && process->pid != self)
      process->root = root_by_number(process, roots, n);
  spread(self);
  mark_adopters(self);
  for (struct process *process = processes; process < processes + n_processes; process++)
    if (process->root == NOBODYS && process->pid != self && !process->zombie && is_orphan(process))
      process->root = root_by_lease(process, roots, n);
  spread(self);
}

int family__scan(const struct family_root *roots, size_t n_roots, struct family_member *to, size_t max) {
  pid_t self = getpid();
  size_t n = 0;
  int err;

  n_processes = 0;
  err = FAULT_FAILS(NO_PROC) ? -errno : each_pid("/proc", add_process, NULL);
  if (err)
    return err;
  take_roots(roots, n_roots);
  spread(self);
  take_orphans(roots, n_roots, self);
  for (size_t i = 0; i < n_processes && n < max; i++) {
    const struct process *process = &processes[i];

    if (process->root != NOBODYS && process->pid != self)
      to[n++] = (struct family_member){
          .pid = process->pid,
          .ppid = process->ppid,
          .start_time = process->start_time,
          .root = process->root,
          .zombie = process->zombie,
      };
  }
  return (int)n;
}

/* Hand over the children of one thread. 0, what take() ends it with, or negative errno. */
static int each_child(pid_t pid, pid_t thread, int (*take)(uint64_t pid, void *arg), void *arg) {
  char path[64];
  (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, thread);
  _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return errno == ENOENT && thread != pid ? 0 : -errno; /* that thread may have ended */
  return kernfile__each_number(fd, take, arg);
}

struct stray_search {
  enum family_child (*look)(pid_t pid, void *arg);
  void *arg;
  pid_t self;
  bool found, reaped;
};

static int look_at(uint64_t pid, void *arg) {
  struct stray_search *search = arg;
  enum family_child child = search->look((pid_t)pid, search->arg);

  search->found |= child == FAMILY_CHILD_STRAY;
  search->reaped |= child == FAMILY_CHILD_REAPED;
  return 0;
}

static int look_at_children_of(pid_t thread, void *arg) {
  struct stray_search *search = arg;

  return each_child(search->self, thread, look_at, search);
}

static int look_if_child(pid_t pid, void *arg) {
  struct stray_search *search = arg;
  struct procstat stat;

  return procstat__read(pid, &stat) || stat.ppid != search->self ? 0 : look_at((uint64_t)pid, arg);
}

/* The kernel finds its place in a long list by counting, so what is taken out during the reading makes it pass over
 * others: then the list is read again. */
#define LOOKS_MAX 8

int family__has_strays(enum family_child (*look)(pid_t pid, void *arg), void *arg) {
  struct stray_search search = {.look = look, .arg = arg, .self = getpid()};

  for (int i = 0; i < LOOKS_MAX; i++) {
    search.found = search.reaped = false;
    int err = each_pid("/proc/self/task", look_at_children_of, &search);
    if (err == -ENOENT)
      err = each_pid("/proc", look_if_child, &search);
    if (err < 0)
      return err;
    if (!search.reaped)
      return search.found;
  }
  return 1;
}

static int stop_at_once(uint64_t pid, void *unused) {
  (void)pid, (void)unused;
  return 1;
}

static int has_children(pid_t thread, void *pid) {
  return each_child(*(pid_t *)pid, thread, stop_at_once, NULL);
}

int family__has_children(pid_t pid) {
  char path[64];

  (void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
  return each_pid(path, has_children, &pid);
}

/* Opened before the comparison: whoever bears the pid and the start time then has borne them at the opening too. */
int family__signal(const struct family_member *member, int signal) {
  _cleanup_fd_ int fd = pidfd__open(member->pid);

  if (fd < 0)
    return fd;
  if (!procstat__same(member->pid, member->start_time))
    return -ESRCH;
  return pidfd__signal(fd, signal);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "hand.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ebb/lease.h"

#define SMALL_BYTES 4096UL
#define HUGE_BYTES (2 * MIB)

static const char *const names[] = {
#define X(id, name) name,
    HAND_WORKS(X)
#undef X
};

const char *hand_work__name(enum hand_work work) {
  return names[work];
}

unsigned long hand_work__ballast_bytes(enum hand_work work) {
  return work == HAND_HUGE ? 128 * MIB : work <= HAND_SHMEM ? 48 * MIB : 0;
}

unsigned long hand_work__piece_bytes(enum hand_work work) {
  return work == HAND_HUGE ? HUGE_BYTES : work <= HAND_SHMEM ? SMALL_BYTES : 0;
}

static double cpu_ns(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static struct rusage usage(void) {
  struct rusage usage;
  (void)getrusage(RUSAGE_THREAD, &usage);
  return usage;
}

/* A mapping in which no page is present, aligned for huge pages. */
struct region {
  char *map, *at;
  size_t map_bytes;
};

static int region__open(struct region *ret, enum hand_work work, size_t bytes) {
  int kind = work == HAND_SHMEM ? MAP_SHARED : MAP_PRIVATE;
  ret->map_bytes = bytes + HUGE_BYTES;
  ret->map = mmap(NULL, ret->map_bytes, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS, -1, 0);
  if (ret->map == MAP_FAILED)
    return -errno;
  ret->at = (char *)(((uintptr_t)ret->map + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1));
  (void)madvise(ret->map, ret->map_bytes, work == HAND_HUGE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  return 0;
}

static void touch(volatile char *at, size_t bytes, size_t step) {
  for (size_t i = 0; i < bytes; i += step)
    at[i] = 1;
}

static double faults(enum hand_work work, unsigned n) {
  size_t step = hand_work__piece_bytes(work), bytes = n * step;
  struct region region;
  if (region__open(&region, work, bytes))
    return -1;
  long before = usage().ru_minflt;
  double from = cpu_ns();
  touch(region.at, bytes, step);
  double cost = (cpu_ns() - from) / n;
  if (work == HAND_HUGE)
    touch(region.at + SMALL_BYTES, bytes, step); /* present already, if the page is a huge one */
  bool as_meant = usage().ru_minflt - before <= (long)n + 2;
  (void)munmap(region.map, region.map_bytes);
  return as_meant ? cost : -1;
}

static double locks(int fd, unsigned n) {
  double from = cpu_ns();
  for (unsigned i = 0; i < n; i++)
    if (flock(fd, LOCK_EX) || flock(fd, LOCK_UN))
      return -1;
  return (cpu_ns() - from) / n;
}

static void yields(unsigned n, double *ret_ns, long *ret_switches) {
  struct rusage before = usage();
  double from = cpu_ns();
  for (unsigned i = 0; i < n; i++)
    (void)sched_yield();
  *ret_ns = cpu_ns() - from;
  struct rusage after = usage();
  *ret_switches = after.ru_nvcsw - before.ru_nvcsw + after.ru_nivcsw - before.ru_nivcsw;
}

/* The other end of the yielding: a process on the same CPU, so that each switch changes the address space too. */
struct other {
  int to[2], from[2];
  pid_t pid;
};

static void other__live(struct other *other) {
  unsigned n;
  struct {
    double ns;
    long switches;
  } answer;
  while (read(other->to[0], &n, sizeof(n)) == sizeof(n)) {
    yields(n, &answer.ns, &answer.switches);
    if (write(other->from[1], &answer, sizeof(answer)) != sizeof(answer))
      break;
  }
  _exit(0);
}

static int other__start(struct other *other) {
  if (pipe2(other->to, O_CLOEXEC) || pipe2(other->from, O_CLOEXEC))
    return -errno;
  other->pid = fork();
  if (other->pid)
    return other->pid < 0 ? -errno : 0;
  (void)close(other->to[1]);
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  other__live(other);
  return 0;
}

static double switches(unsigned n) {
  static struct other other;
  double own_ns;
  long own;
  struct {
    double ns;
    long switches;
  } theirs;
  if (!other.pid && other__start(&other))
    return -1;
  if (write(other.to[1], &n, sizeof(n)) != sizeof(n))
    return -1;
  yields(n, &own_ns, &own);
  if (read(other.from[0], &theirs, sizeof(theirs)) != sizeof(theirs) || !(own + theirs.switches))
    return -1;
  return (own_ns + theirs.ns) / (double)(own + theirs.switches);
}

static double sleepers(unsigned n) {
  static pid_t first; /* they are one process group */
  if (first) {
    (void)kill(-first, SIGKILL);
    while (waitpid(-first, NULL, 0) > 0)
      ;
    first = 0;
  }
  for (unsigned i = 0; i < n; i++) {
    pid_t pid = fork();
    if (pid < 0)
      return -1;
    if (!pid) {
      (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
      (void)setpgid(0, first);
      for (;;)
        (void)pause();
    }
    first = first ? first : pid;
    (void)setpgid(pid, first);
  }
  return 0;
}

static double obey(enum hand_work work, int lease_fd, unsigned n) {
  if (work == HAND_LOCK)
    return locks(lease_fd, n);
  if (work == HAND_SWITCH)
    return switches(n);
  return work == HAND_SLEEP ? sleepers(n) : faults(work, n);
}

/* The last CPU that we may use: the first one gets most interrupts. */
static void stay_on_one_cpu(void) {
  cpu_set_t allowed, one;
  int cpu = CPU_SETSIZE - 1;
  (void)sched_getaffinity(0, sizeof(allowed), &allowed);
  while (cpu > 0 && !CPU_ISSET(cpu, &allowed))
    cpu--;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  (void)sched_setaffinity(0, sizeof(one), &one);
}

static void live(enum hand_work work, const char *lease_path, int orders, int answers) {
  struct region ballast;
  unsigned n;
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  stay_on_one_cpu();
  int lease_fd = open(lease_path, O_RDWR | O_CLOEXEC);
  size_t bytes = hand_work__ballast_bytes(work);
  if (lease_fd < 0 || (bytes && region__open(&ballast, work, bytes)))
    _exit(1);
  if (bytes)
    touch(ballast.at, bytes, SMALL_BYTES);
  while (read(orders, &n, sizeof(n)) == sizeof(n)) {
    double ns = obey(work, lease_fd, n);
    if (write(answers, &ns, sizeof(ns)) != sizeof(ns))
      break;
  }
  _exit(0);
}

static int make_lease(struct hand *hand) {
  const char *folder = getenv("TMPDIR");
  (void)snprintf(hand->lease_path, sizeof(hand->lease_path), "%s/ebb-bench-XXXXXX", folder ? folder : "/tmp");
  hand->lease_fd = mkostemp(hand->lease_path, O_CLOEXEC);
  return hand->lease_fd < 0 || ftruncate(hand->lease_fd, EBB_LEASE_BYTES) ? -errno : 0;
}

int hand__start(struct hand *ret, enum hand_work work) {
  int orders[2], answers[2];
  double ns;
  struct hand hand = {.work = work};
  int error = make_lease(&hand);
  if (error)
    return error;
  if (pipe2(orders, O_CLOEXEC) || pipe2(answers, O_CLOEXEC))
    return -errno;
  hand.pid = fork();
  if (hand.pid < 0)
    return -errno;
  if (!hand.pid) {
    (void)close(orders[1]);
    (void)close(answers[0]);
    live(work, hand.lease_path, orders[0], answers[1]);
  }
  (void)close(orders[0]);
  (void)close(answers[1]);
  hand.orders = orders[1];
  hand.answers = answers[0];
  *ret = hand;
  return hand__work(ret, work != HAND_SLEEP, &ns); /* its ballast is there once it answers */
}

int hand__work(struct hand *hand, unsigned n, double *ret_ns) {
  if (write(hand->orders, &n, sizeof(n)) != sizeof(n))
    return -EPIPE;
  return read(hand->answers, ret_ns, sizeof(*ret_ns)) == sizeof(*ret_ns) ? 0 : -EPIPE;
}

void hand__stop(struct hand *hand) {
  if (!hand || hand->pid <= 0)
    return;
  double ns;
  if (hand->work == HAND_SLEEP)
    (void)hand__work(hand, 0, &ns);
  (void)kill(hand->pid, SIGKILL);
  (void)waitpid(hand->pid, NULL, 0);
  (void)close(hand->orders);
  (void)close(hand->answers);
  (void)close(hand->lease_fd);
  (void)unlink(hand->lease_path);
  hand->pid = 0;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A worker on strings: a real process that grows, locks, forks and dies when the test tells it to, and answers when it is
 * done. Each test program follows puppets through a real sensor and compares with /proc.
 */
#ifndef TESTS_PUPPET_H
#define TESTS_PUPPET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "ebb/lease.h"
#include "lease.h"
#include "procenv.h"
#include "procstat.h"
#include "sensor.h"

#define MIB (1024ULL * 1024)
#define PUPPET_REGIONS 64
#define DEADLINE_NS (10 * NS_PER_SEC * puppet_patience())

/* An emulated machine is slow at all times. */
static inline uint64_t puppet_patience(void) {
  const char *times = getenv("EBB_PATIENCE");
  return times && atoi(times) > 0 ? (uint64_t)atoi(times) : 1;
}

enum puppet_verb {
  PUPPET_GROW,         /* anonymous bytes, touched */
  PUPPET_SHARE,        /* shared-memory bytes, touched */
  PUPPET_SHRINK,       /* give the newest region back, whatever it is */
  PUPPET_TOUCH,        /* write to each page of all regions */
  PUPPET_USE,          /* pages of the newest region, so many times; see next_page() */
  PUPPET_USE_AND_WORK, /* 50 us after each */
  PUPPET_USE_FILE,     /* read pages of <its lease's path>.data, so many times */
  PUPPET_SET_LIMIT,    /* write the number into <its lease's path>.limit */
  PUPPET_GROW_THREADS, /* as many anonymous bytes, by four threads at one time, which end then */
  PUPPET_EMPTY,        /* give the pages of the newest region back, and keep the region */
  PUPPET_PAGE_OUT,     /* into swap, as far as there is some */
  PUPPET_LOCK,         /* exclusively; waits */
  PUPPET_LOCK_SHARED,  /* through the same descriptor */
  PUPPET_UNLOCK,
  PUPPET_TURNS,          /* that many locks and unlocks, reporting at the end */
  PUPPET_FORK,           /* a child that sleeps; answers its pid */
  PUPPET_FORK_AWAY,      /* the same, double-forked into a session of its own */
  PUPPET_FORK_TWICE,     /* the same, double-forked within the group */
  PUPPET_FORK_GROWING,   /* a child that has that many bytes of its own */
  PUPPET_VFORK,          /* a child by vfork and exec */
  PUPPET_CLONE_VM,       /* a child with the same memory, that goes on living */
  PUPPET_CLONE_VM_TWICE, /* the same by a child that ends then, whose memory it keeps; that child grows so much first */
  PUPPET_CHURN,          /* that many children that end at once */
  PUPPET_UNSHARE_PIDS,   /* what it forks from now on is in a pid namespace below its own, and answers pids of that */
  PUPPET_END_LEADER,     /* the first thread ends; another one obeys from then on */
  PUPPET_EXEC,           /* itself, anew, if the program's main begins with puppet__reborn */
  PUPPET_EXEC_THREAD,    /* exec from a thread that is not the leader; never answers */
  PUPPET_KILL,           /* that child */
  PUPPET_HOLD_THREADS,   /* that many threads each lock shared through a descriptor of their own, and wait */
  PUPPET_DROP_THREADS,   /* let them unlock */
  PUPPET_LABEL,          /* keep that number as the label, in a private mapping of the lease; 0: none */
  PUPPET_LABELLED,       /* that many turns, of kinds 0, 1 and 2 in turn, each of which faults a page */
  PUPPET_CHILD_JOB,      /* a child with a descriptor of its own, that grows by that many bytes in a turn labelled 7 */
  PUPPET_QUIT,
};

struct puppet_order {
  enum puppet_verb verb;
  uint64_t argument;
};

struct puppet {
  pid_t pid;
  int orders, answers;
  int lease_fd; /* ours */
  char lease_path[64];
};

/* ---- inside the puppet ---- */

static struct {
  char *at;
  size_t bytes;
} regions[PUPPET_REGIONS];
static int n_regions;
static int own_lease = -1, orders_fd = -1, answers_fd = -1;
static char *own_label;
static unsigned own_sequence;
static pthread_barrier_t hold_barrier, drop_barrier;
static bool holding;
static unsigned n_holding;

/* Written, not read: where a read comes first, the page of zeros is mapped for it, and each page takes two faults. */
static inline void touch(char *at, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 4096)
    *(volatile char *)&at[i] = 1;
}

static inline int64_t puppet_grow(uint64_t bytes, int kind) {
  char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED || n_regions == PUPPET_REGIONS)
    return -ENOMEM;
  (void)madvise(at, bytes, MADV_NOHUGEPAGE);
  touch(at, bytes);
  regions[n_regions].at = at;
  regions[n_regions++].bytes = bytes;
  return 0;
}

static inline char *label_of(int lease) {
  char *map = mmap(NULL, EBB_LEASE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, lease, 0);
  if (map == MAP_FAILED)
    return NULL;
  *(uint32_t *)(void *)(map + EBB_LEASE_COPY_THREAD) = (uint32_t)syscall(SYS_gettid);
  return map + EBB_LEASE_LABEL_OFFSET(0);
}

static inline int64_t puppet_label(uint64_t n) {
  if (!own_label)
    own_label = label_of(own_lease);
  if (!own_label)
    return -errno;
  own_label[0] = 0;
  if (n)
    (void)snprintf(own_label, EBB_LEASE_LABEL_FIELD, "%u kind-%u\n", ++own_sequence, (unsigned)n);
  return 0;
}

static inline int64_t puppet_labelled(uint64_t n) {
  char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (uint64_t i = 0; i < n; i++) {
    if (flock(own_lease, LOCK_EX) || puppet_label(1 + i % 3))
      return -errno;
    page[0] = 1;
    (void)madvise(page, 4096, MADV_DONTNEED);
    if (flock(own_lease, LOCK_UN))
      return -errno;
  }
  return munmap(page, 4096);
}

/*
 * Pages as a program would use them that has too little memory: in no order that read-ahead would guess, the first ones
 * most often. Those that were in use before they were lost are what the kernel calls the workingset; waiting for others
 * is no stall to it.
 */
static inline uint64_t next_page(uint64_t pages) {
  static unsigned seed = 1;
  uint64_t a = (uint64_t)rand_r(&seed) % pages, b = (uint64_t)rand_r(&seed) % pages;
  return a < b ? a : b;
}

static inline int64_t puppet_use(uint64_t times, uint64_t work_ns) {
  char *at = regions[n_regions - 1].at;
  uint64_t pages = regions[n_regions - 1].bytes / 4096;
  for (uint64_t i = 0; i < times; i++) {
    at[next_page(pages) * 4096]++;
    for (uint64_t until_ns = clock__monotonic_ns() + work_ns; work_ns && clock__monotonic_ns() < until_ns;)
      ;
  }
  return 0;
}

#define PUPPET_FILE ".data"

static inline int64_t puppet_use_file(const char *lease_path, uint64_t times) {
  char path[80], page[4096];
  int64_t r = 0;
  (void)snprintf(path, sizeof(path), "%s" PUPPET_FILE, lease_path);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return -errno;
  uint64_t pages = (uint64_t)lseek(fd, 0, SEEK_END) / sizeof(page);
  (void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
  for (uint64_t i = 0; i < times && !r; i++)
    if (pread(fd, page, sizeof(page), (off_t)(next_page(pages) * sizeof(page))) != sizeof(page))
      r = -EIO;
  (void)close(fd);
  return r;
}

#define PUPPET_LIMIT ".limit"

static inline int64_t puppet_set_limit(const char *lease_path, uint64_t bytes) {
  char path[80];
  (void)snprintf(path, sizeof(path), "%s" PUPPET_LIMIT, lease_path);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  int64_t r = fd < 0 || dprintf(fd, "%llu", (unsigned long long)bytes) < 0 ? -errno : 0;
  (void)close(fd);
  return r;
}

static inline void sleep_for_ever(void) {
  for (;;)
    (void)pause();
}

/* By exec, so that /proc shows the environment as it is now. Nobody finds it again if the test fails: it must not live
 * long, nor keep the test's output open. */
static inline void exec_away(void) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  (void)dup2(null, STDOUT_FILENO);
  (void)dup2(null, STDERR_FILENO);
  (void)execl("/bin/sleep", "sleep", "60", (char *)NULL);
}

static inline pid_t puppet_fork(enum puppet_verb verb, uint64_t argument) {
  int answer[2];
  pid_t pid;
  if (pipe2(answer, O_CLOEXEC))
    return -errno;
  pid_t first = fork();
  if (first)
    goto parent;
  if (verb == PUPPET_FORK_AWAY)
    (void)setsid();
  if (verb == PUPPET_FORK_AWAY || verb == PUPPET_FORK_TWICE)
    if (fork())
      _exit(0);
  if (verb == PUPPET_FORK_GROWING)
    (void)puppet_grow(argument, MAP_PRIVATE);
  pid = getpid();
  (void)!write(answer[1], &pid, sizeof(pid));
  if (verb == PUPPET_FORK_AWAY)
    exec_away();
  (void)close(answer[1]);
  sleep_for_ever();
parent:
  (void)close(answer[1]);
  if (read(answer[0], &pid, sizeof(pid)) != sizeof(pid) || read(answer[0], &(char){0}, 1))
    pid = -EIO;
  if (verb == PUPPET_FORK_AWAY || verb == PUPPET_FORK_TWICE)
    (void)waitpid(first, NULL, 0);
  (void)close(answer[0]);
  return pid;
}

static inline pid_t puppet_child_job(const char *lease_path, uint64_t bytes) {
  int answer[2];
  if (pipe2(answer, O_CLOEXEC))
    return -errno;
  pid_t pid = fork();
  if (!pid) {
    int lease = open(lease_path, O_RDWR | O_CLOEXEC);
    char *label = label_of(lease);
    (void)flock(lease, LOCK_SH);
    (void)snprintf(label, EBB_LEASE_LABEL_FIELD, "1 kind-7\n");
    (void)puppet_grow(bytes, MAP_PRIVATE);
    (void)flock(lease, LOCK_UN);
    (void)!write(answer[1], "", 1);
    sleep_for_ever();
  }
  (void)close(answer[1]);
  int64_t r = read(answer[0], &(char){0}, 1) == 1 ? pid : -EIO;
  (void)close(answer[0]);
  return (pid_t)r;
}

static inline pid_t puppet_vfork(void) {
  pid_t pid = vfork();
  if (!pid) {
    (void)execl("/bin/sleep", "sleep", "1000", (char *)NULL);
    _exit(1);
  }
  return pid;
}

/* In a child on a borrowed stack: nothing but system calls. */
__attribute__((no_sanitize("address"))) static inline int pause_for_ever(void *argument) {
  (void)argument;
  while (syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0))
    ;
  return 0;
}

static inline pid_t puppet_clone_vm(void) {
  static char stack[64 * 1024] __attribute__((aligned(16)));
  touch(stack, sizeof(stack)); /* so that the child has nothing left to touch */
  return clone(pause_for_ever, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
}

static inline pid_t puppet_clone_vm_twice(uint64_t bytes) {
  int answer[2];
  pid_t pid = -EIO;
  if (pipe2(answer, O_CLOEXEC))
    return -errno;
  pid_t first = fork();
  if (!first) {
    (void)puppet_grow(bytes, MAP_PRIVATE);
    pid = puppet_clone_vm();
    (void)!write(answer[1], &pid, sizeof(pid));
    _exit(0);
  }
  (void)close(answer[1]);
  if (read(answer[0], &pid, sizeof(pid)) != sizeof(pid))
    pid = -EIO;
  (void)waitpid(first, NULL, 0);
  (void)close(answer[0]);
  return pid;
}

static inline int64_t puppet_churn(uint64_t n) {
  for (uint64_t i = 0; i < n; i++) {
    pid_t pid = fork();
    if (!pid)
      _exit(0);
    if (pid < 0 || waitpid(pid, NULL, 0) != pid)
      return -errno;
  }
  return 0;
}

#define GROW_THREADS 4

struct grow_part {
  char *at;
  size_t bytes;
};

static inline void *grow_thread(void *argument) {
  const struct grow_part *part = argument;
  touch(part->at, part->bytes);
  return NULL;
}

static inline int64_t puppet_grow_threads(uint64_t bytes) {
  pthread_t threads[GROW_THREADS];
  struct grow_part parts[GROW_THREADS];
  char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED || n_regions == PUPPET_REGIONS)
    return -ENOMEM;
  (void)madvise(at, bytes, MADV_NOHUGEPAGE);
  regions[n_regions].at = at;
  regions[n_regions++].bytes = bytes;
  for (int i = 0; i < GROW_THREADS; i++) {
    parts[i] = (struct grow_part){.at = at + bytes / GROW_THREADS * (size_t)i, .bytes = bytes / GROW_THREADS};
    if (pthread_create(&threads[i], NULL, grow_thread, &parts[i]))
      return -EAGAIN;
  }
  for (int i = 0; i < GROW_THREADS; i++)
    (void)pthread_join(threads[i], NULL);
  return 0;
}

static inline void *exec_thread(void *argument) {
  (void)argument;
  (void)execl("/bin/sleep", "sleep", "1000", (char *)NULL);
  _exit(1);
}

static inline void *hold_thread(void *argument) {
  int fd = open(argument, O_RDWR | O_CLOEXEC);
  (void)flock(fd, LOCK_SH);
  (void)pthread_barrier_wait(&hold_barrier);
  (void)pthread_barrier_wait(&drop_barrier);
  (void)flock(fd, LOCK_UN);
  (void)close(fd);
  (void)pthread_barrier_wait(&hold_barrier);
  return NULL;
}

static inline int64_t puppet_hold(const char *lease_path, uint64_t n) {
  (void)pthread_barrier_init(&hold_barrier, NULL, (unsigned)n + 1);
  (void)pthread_barrier_init(&drop_barrier, NULL, (unsigned)n + 1);
  for (n_holding = 0; n_holding < n; n_holding++) {
    pthread_t thread;
    (void)pthread_create(&thread, NULL, hold_thread, (void *)lease_path);
    (void)pthread_detach(thread);
  }
  (void)pthread_barrier_wait(&hold_barrier);
  holding = true;
  return 0;
}

static inline int64_t puppet_drop(void) {
  (void)pthread_barrier_wait(&drop_barrier);
  (void)pthread_barrier_wait(&hold_barrier);
  return 0;
}

static inline void puppet_serve(const char *lease_path, bool takes_over);

static inline void *serve_thread(void *lease_path) {
  puppet_serve(lease_path, true);
  return NULL;
}

/* Returns only when there can be no such thread. */
static inline int64_t puppet_end_leader(const char *lease_path) {
  pthread_t thread;
  int r = pthread_create(&thread, NULL, serve_thread, (void *)lease_path);
  if (r)
    return -r;
  /* Not pthread_exit, which runs what the sanitizer has to say at a thread's end on the program's whole stack. */
  for (;;)
    (void)syscall(SYS_exit, 0);
}

static inline int64_t puppet_exec(const char *lease_path) {
  char orders[16], answers[16];
  (void)snprintf(orders, sizeof(orders), "%d", orders_fd);
  (void)snprintf(answers, sizeof(answers), "%d", answers_fd);
  (void)fcntl(orders_fd, F_SETFD, 0);
  (void)fcntl(answers_fd, F_SETFD, 0);
  (void)execl("/proc/thread-self/exe", "puppet", orders, answers, lease_path, (char *)NULL);
  return -errno;
}

static inline int64_t puppet_obey(const struct puppet_order *order, const char *lease_path) {
  pthread_t thread;
  switch (order->verb) {
  case PUPPET_GROW:
    return puppet_grow(order->argument, MAP_PRIVATE);
  case PUPPET_SHARE:
    return puppet_grow(order->argument, MAP_SHARED);
  case PUPPET_GROW_THREADS:
    return puppet_grow_threads(order->argument);
  case PUPPET_EMPTY:
    return madvise(regions[n_regions - 1].at, regions[n_regions - 1].bytes, MADV_DONTNEED) ? -errno : 0;
  case PUPPET_SHRINK:
    n_regions--;
    return munmap(regions[n_regions].at, regions[n_regions].bytes);
  case PUPPET_TOUCH:
    for (int i = 0; i < n_regions; i++)
      touch(regions[i].at, regions[i].bytes);
    return 0;
  case PUPPET_USE:
    return puppet_use(order->argument, 0);
  case PUPPET_USE_AND_WORK:
    return puppet_use(order->argument, 50000);
  case PUPPET_USE_FILE:
    return puppet_use_file(lease_path, order->argument);
  case PUPPET_SET_LIMIT:
    return puppet_set_limit(lease_path, order->argument);
  case PUPPET_PAGE_OUT:
    for (int i = 0; i < n_regions; i++)
      if (madvise(regions[i].at, regions[i].bytes, MADV_PAGEOUT))
        return -errno;
    return 0;
  case PUPPET_LOCK:
    return flock(own_lease, LOCK_EX);
  case PUPPET_LOCK_SHARED:
    return flock(own_lease, LOCK_SH);
  case PUPPET_UNLOCK:
    return flock(own_lease, LOCK_UN);
  case PUPPET_TURNS:
    for (uint64_t i = 0; i < order->argument; i++)
      if (flock(own_lease, LOCK_EX) || flock(own_lease, LOCK_UN))
        return -errno;
    return 0;
  case PUPPET_LABEL:
    return puppet_label(order->argument);
  case PUPPET_LABELLED:
    return puppet_labelled(order->argument);
  case PUPPET_CHILD_JOB:
    return puppet_child_job(lease_path, order->argument);
  case PUPPET_FORK:
  case PUPPET_FORK_AWAY:
  case PUPPET_FORK_TWICE:
  case PUPPET_FORK_GROWING:
    return puppet_fork(order->verb, order->argument);
  case PUPPET_VFORK:
    return puppet_vfork();
  case PUPPET_CLONE_VM:
    return puppet_clone_vm();
  case PUPPET_CLONE_VM_TWICE:
    return puppet_clone_vm_twice(order->argument);
  case PUPPET_CHURN:
    return puppet_churn(order->argument);
  case PUPPET_UNSHARE_PIDS:
    return unshare(CLONE_NEWPID) ? -errno : 0;
  case PUPPET_END_LEADER:
    return puppet_end_leader(lease_path);
  case PUPPET_EXEC:
    return puppet_exec(lease_path);
  case PUPPET_EXEC_THREAD:
    (void)pthread_create(&thread, NULL, exec_thread, NULL);
    sleep_for_ever();
    return 0;
  case PUPPET_KILL:
    return kill((pid_t)order->argument, SIGKILL) || waitpid((pid_t)order->argument, NULL, 0) < 0 ? -errno : 0;
  case PUPPET_HOLD_THREADS:
    return puppet_hold(lease_path, order->argument);
  case PUPPET_DROP_THREADS:
    return puppet_drop();
  case PUPPET_QUIT:
    break;
  }
  _exit(0);
}

/* Whoever takes over in the middle of an order answers it. */
static inline void puppet_serve(const char *lease_path, bool takes_over) {
  struct puppet_order order;
  int64_t answer = 0;
  if (takes_over && write(answers_fd, &answer, sizeof(answer)) != sizeof(answer))
    _exit(1);
  while (read(orders_fd, &order, sizeof(order)) == sizeof(order)) {
    answer = puppet_obey(&order, lease_path);
    if (write(answers_fd, &answer, sizeof(answer)) != sizeof(answer))
      break;
  }
  _exit(0);
}

static inline void puppet_live(int orders, int answers, const char *lease_path, bool takes_over) {
  (void)setsid();
  (void)setenv(EBB_LEASE_ENV, lease_path, 1);
  own_lease = open(lease_path, O_RDWR | O_CLOEXEC);
  orders_fd = orders;
  answers_fd = answers;
  (void)fcntl(orders_fd, F_SETFD, FD_CLOEXEC);
  (void)fcntl(answers_fd, F_SETFD, FD_CLOEXEC);
  puppet_serve(lease_path, takes_over);
}

/* First thing in the main of a program whose puppets exec. */
static inline void puppet__reborn(int argc, char **argv) {
  if (argc == 4 && !strcmp(argv[0], "puppet"))
    puppet_live(atoi(argv[1]), atoi(argv[2]), argv[3], true);
}

/* ---- in the test's hands ---- */

static inline void puppet__send(struct puppet *puppet, enum puppet_verb verb, uint64_t argument) {
  struct puppet_order order = {.verb = verb, .argument = argument};
  assert_int_equal(write(puppet->orders, &order, sizeof(order)), sizeof(order));
}

static inline int64_t puppet__answer(struct puppet *puppet) {
  struct pollfd poll_fd = {.fd = puppet->answers, .events = POLLIN};
  int64_t answer;
  assert_int_equal(poll(&poll_fd, 1, (int)(DEADLINE_NS / NS_PER_MS)), 1);
  assert_int_equal(read(puppet->answers, &answer, sizeof(answer)), sizeof(answer));
  return answer;
}

static inline int64_t puppet__do(struct puppet *puppet, enum puppet_verb verb, uint64_t argument) {
  puppet__send(puppet, verb, argument);
  return puppet__answer(puppet);
}

/* `flags` of clone(2): CLONE_NEWPID makes it the first process of a pid namespace of its own. */
/* A program stays attached for as long as anybody has its link open. */
static inline void puppet_close_others(int a, int b) {
  int low = a < b ? a : b, high = a < b ? b : a;
  for (int fd = STDERR_FILENO + 1; fd < 1024; fd++)
    if (fd != low && fd != high)
      (void)close(fd);
}

static inline void puppet__start_in(struct puppet *puppet, unsigned long flags) {
  int orders[2], answers[2];
  (void)snprintf(puppet->lease_path, sizeof(puppet->lease_path), "/tmp/ebb-puppet-XXXXXX");
  puppet->lease_fd = mkostemp(puppet->lease_path, O_CLOEXEC);
  assert_true(puppet->lease_fd >= 0);
  assert_int_equal(ftruncate(puppet->lease_fd, EBB_LEASE_BYTES), 0);
  assert_int_equal(pipe2(orders, O_CLOEXEC), 0);
  assert_int_equal(pipe2(answers, O_CLOEXEC), 0);
  puppet->pid = flags ? (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0) : fork();
  assert_true(puppet->pid >= 0);
  if (!puppet->pid) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that is killed tidies nothing up */
    puppet_close_others(orders[0], answers[1]);
    puppet_live(orders[0], answers[1], puppet->lease_path, false);
  }
  (void)close(orders[0]);
  (void)close(answers[1]);
  puppet->orders = orders[1];
  puppet->answers = answers[0];
  /* It lives in its own session once it has answered; fork of an unlocked shared order would do as well. */
  assert_int_equal(puppet__do(puppet, PUPPET_TOUCH, 0), 0);
}

static inline void puppet__start(struct puppet *puppet) {
  puppet__start_in(puppet, 0);
}

/* With everything that is left of its session; reaped. */
static inline void puppet__stop(struct puppet *puppet) {
  if (puppet->pid > 0) {
    (void)kill(-puppet->pid, SIGKILL);
    (void)kill(puppet->pid, SIGKILL);
    (void)waitpid(puppet->pid, NULL, 0);
  }
  (void)close(puppet->orders);
  (void)close(puppet->answers);
  (void)close(puppet->lease_fd);
  (void)unlink(puppet->lease_path);
  puppet->pid = 0;
}

static inline int puppet__follow(struct puppet *puppet, struct sensor *sensor, uint32_t worker) {
  return sensor->ops->add(sensor, &(struct sensor_target){.worker = worker,
                                                          .generation = 7,
                                                          .pid = puppet->pid,
                                                          .lease_fd = puppet->lease_fd,
                                                          .lease_path = puppet->lease_path});
}

/* Wait for a condition, not for a time. What was seen once is enough: it may not last. */
#define await(condition)                                                                                               \
  do {                                                                                                                 \
    uint64_t deadline_ns = clock__monotonic_ns() + DEADLINE_NS;                                                        \
    bool met;                                                                                                          \
    while (!(met = (condition)) && clock__monotonic_ns() < deadline_ns)                                                \
      (void)usleep(1000);                                                                                              \
    if (!met)                                                                                                          \
      fail_msg("never true: %s", #condition);                                                                          \
  } while (0)

/* A child in a session of its own, once its environment can be seen: it answers before its exec is done. */
static inline pid_t puppet__fork_away(struct puppet *puppet) {
  char lease[sizeof(puppet->lease_path)];
  pid_t pid = (pid_t)puppet__do(puppet, PUPPET_FORK_AWAY, 0);
  assert_true(pid > 0);
  await(!procenv__read(pid, EBB_LEASE_ENV, lease, sizeof(lease)));
  return pid;
}

/* The next event that wakes a reader; fails at the deadline. */
static inline struct sensor_event next_event(struct sensor *sensor) {
  struct sensor_event event;
  struct pollfd poll_fd = {.fd = sensor->ops->fd(sensor), .events = POLLIN};
  uint64_t deadline_ns = clock__monotonic_ns() + DEADLINE_NS;
  while (!sensor->ops->events(sensor, &event, 1)) {
    assert_true(clock__monotonic_ns() < deadline_ns);
    (void)poll(&poll_fd, 1, 1000);
  }
  return event;
}

static inline bool is_woken(struct sensor *sensor) {
  struct pollfd poll_fd = {.fd = sensor->ops->fd(sensor), .events = POLLIN};
  return poll(&poll_fd, 1, 0) == 1;
}

/* Sleep until the sensor wakes us. */
static inline void await_wake(struct sensor *sensor) {
  struct pollfd poll_fd = {.fd = sensor->ops->fd(sensor), .events = POLLIN};
  assert_int_equal(poll(&poll_fd, 1, (int)(DEADLINE_NS / NS_PER_MS)), 1);
}

static inline unsigned threads_of(pid_t pid) {
  struct procstat stat;
  return procstat__read(pid, &stat) ? 0 : (unsigned)stat.threads;
}

/* Within 2 % and the error of the per-CPU counters. */
static inline void assert_near(uint64_t bytes, uint64_t expected) {
  uint64_t slack = expected / 50 + 2 * MIB;
  assert_in_range(bytes, expected > slack ? expected - slack : 0, expected + slack);
}

/* The sensor on BPF, or NULL with the reason printed: the test is then skipped. */
static inline struct sensor *open_bpf(void) {
  struct sensor *sensor = NULL;
  char why[200];
  int r = sensor__open("bpf", false, &sensor, why, sizeof(why));
  if (r)
    print_message("skipped: %s (%s)\n", why, strerror(-r));
  return r ? NULL : sensor;
}

#endif

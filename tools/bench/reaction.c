/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * How far past a threshold does a process come before somebody knows? One that grows as fast as it can, a page at a time, against
 * the sensor that ebb-watch uses, and against reading statm every so often.
 *
 *   reaction [--quick]
 *
 * Prints "pages,method,run,ms,bytes" for each run: from the page that crossed to the moment when the method was sure. The
 * process ends its growth some way past the threshold, for the machine's sake; what it would have reached is then its rate
 * times the time.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "ebb/lease.h"
#include "feed.h"
#include "selfprotect.h"

#define MIB (1024UL * 1024)
#define SMALL_BYTES 4096UL
#define HUGE_BYTES (2 * MIB)
#define CROSS_BYTES (64 * MIB)              /* growth up to the threshold */
#define END_BYTES (CROSS_BYTES + 192 * MIB) /* and to its end */
#define GIVE_UP_MS 10000
#define BUSY_MAX 64

enum method_kind { BY_SENSOR, BY_STATM };

static const struct method {
  const char *name;
  enum method_kind kind;
  unsigned every_ms; /* BY_STATM */
  bool busy;         /* each CPU has a process beside that computes all the time */
  unsigned runs, quick_runs;
} methods[] = {
    {"sensor", BY_SENSOR, 0, false, 300, 3},
    {"sensor, CPUs busy", BY_SENSOR, 0, true, 300, 3},
    {"statm each 1 ms", BY_STATM, 1, false, 100, 2},
    {"statm each 10 ms", BY_STATM, 10, false, 100, 2},
    {"statm each 100 ms", BY_STATM, 100, false, 40, 1},
    {"statm each 1000 ms", BY_STATM, 1000, false, 15, 0},
};
#define N_METHODS (sizeof(methods) / sizeof(methods[0]))

/* Between the process that grows and the one that looks on. */
struct progress {
  atomic_ulong bytes; /* of this run's growth */
  atomic_ulong crossed_ns, ended_ns;
  atomic_bool stop;
};

struct grower {
  pid_t pid;
  int orders, answers, statm;
  unsigned long page_bytes;
  struct progress *progress;
  char lease_path[32];
  int lease_fd;
};

static void fail(const char *what, int error) {
  (void)fprintf(stderr, "reaction: %s: %s\n", what, strerror(error < 0 ? -error : error));
  exit(1);
}

static void grow(struct progress *progress, unsigned long page_bytes) {
  char *map = mmap(NULL, END_BYTES + HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED)
    return;
  volatile char *at = (char *)(((uintptr_t)map + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1));
  (void)madvise(map, END_BYTES + HUGE_BYTES, page_bytes == HUGE_BYTES ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  for (unsigned long bytes = 0; bytes < END_BYTES && !atomic_load_explicit(&progress->stop, memory_order_relaxed);) {
    at[bytes] = 1;
    bytes += page_bytes;
    if (bytes == CROSS_BYTES)
      atomic_store(&progress->crossed_ns, clock__monotonic_ns());
    atomic_store_explicit(&progress->bytes, bytes, memory_order_relaxed);
  }
  atomic_store(&progress->ended_ns, clock__monotonic_ns());
  while (!atomic_load(&progress->stop))
    (void)usleep(200);
  (void)munmap(map, END_BYTES + HUGE_BYTES);
}

static void grower__live(const struct grower *grower, int orders, int answers) {
  char order;
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  (void)setsid(); /* as workers have: the scheduler may treat each session as one */
  while (read(orders, &order, 1) == 1) {
    grow(grower->progress, grower->page_bytes);
    if (write(answers, &order, 1) != 1)
      break;
  }
  _exit(0);
}

static void grower__start(struct grower *ret, unsigned long page_bytes) {
  int orders[2], answers[2];
  char path[64];
  struct grower grower = {.page_bytes = page_bytes, .lease_path = "/tmp/ebb-bench-XXXXXX"};
  grower.progress = mmap(NULL, sizeof(struct progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  grower.lease_fd = mkostemp(grower.lease_path, O_CLOEXEC);
  if (grower.progress == MAP_FAILED || grower.lease_fd < 0 || ftruncate(grower.lease_fd, EBB_LEASE_BYTES) ||
      pipe2(orders, O_CLOEXEC) || pipe2(answers, O_CLOEXEC))
    fail("set-up", errno);
  grower.pid = fork();
  if (grower.pid < 0)
    fail("fork", errno);
  if (!grower.pid) {
    (void)close(orders[1]);
    grower__live(&grower, orders[0], answers[1]);
  }
  (void)close(orders[0]);
  (void)close(answers[1]);
  grower.orders = orders[1];
  grower.answers = answers[0];
  (void)snprintf(path, sizeof(path), "/proc/%d/statm", grower.pid);
  grower.statm = open(path, O_RDONLY | O_CLOEXEC);
  *ret = grower;
}

static void grower__stop(struct grower *grower) {
  (void)kill(grower->pid, SIGKILL);
  (void)waitpid(grower->pid, NULL, 0);
  (void)close(grower->orders);
  (void)close(grower->answers);
  (void)close(grower->statm);
  (void)close(grower->lease_fd);
  (void)unlink(grower->lease_path);
}

static void grower__go(struct grower *grower) {
  atomic_store(&grower->progress->stop, false);
  atomic_store(&grower->progress->bytes, 0);
  atomic_store(&grower->progress->crossed_ns, 0);
  atomic_store(&grower->progress->ended_ns, 0);
  if (write(grower->orders, "g", 1) != 1)
    fail("the growing process has gone", EPIPE);
}

static void grower__rest(struct grower *grower) {
  char answer;
  atomic_store(&grower->progress->stop, true);
  if (read(grower->answers, &answer, 1) != 1)
    fail("the growing process has gone", EPIPE);
}

static uint64_t resident_bytes(const struct grower *grower) {
  char text[128] = "";
  unsigned long pages = 0;
  if (pread(grower->statm, text, sizeof(text) - 1, 0) <= 0 || sscanf(text, "%*u %lu", &pages) != 1)
    fail("statm", EIO);
  return pages * SMALL_BYTES;
}

/* The watch's own way: sleep on the sensor's descriptor, and take what it has confirmed. */
static void wait_for_sensor(struct sensor *sensor, struct grower *grower) {
  struct sensor_reading r;
  struct sensor_event event = {0};
  int error = sensor->ops->sweep(sensor);
  if (!error)
    error = sensor->ops->read(sensor, 0, true, &r);
  if (error)
    fail("sensor", error);
  sensor->ops->arm(sensor, 0, r.anon_bytes + r.shmem_bytes + r.swap_bytes + CROSS_BYTES);
  grower__go(grower);
  do {
    struct pollfd to_poll = {.fd = sensor->ops->fd(sensor), .events = POLLIN};
    if (poll(&to_poll, 1, GIVE_UP_MS) <= 0)
      fail("no event", ETIME);
  } while (!sensor->ops->events(sensor, &event, 1) || event.kind != SENSOR_CROSSED);
}

static void sleep_until(uint64_t at_ns) {
  struct timespec at = {.tv_sec = (time_t)(at_ns / NS_PER_SEC), .tv_nsec = (long)(at_ns % NS_PER_SEC)};
  (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static void wait_for_statm(const struct method *method, struct grower *grower) {
  uint64_t threshold = resident_bytes(grower) + CROSS_BYTES, every_ns = method->every_ms * NS_PER_MS;
  grower__go(grower);
  /* Growth begins at any time between two looks. */
  uint64_t at_ns = clock__monotonic_ns() + (uint64_t)rand() % every_ns;
  do {
    sleep_until(at_ns);
    at_ns += every_ns;
  } while (resident_bytes(grower) < threshold);
}

static void print_run(const struct grower *grower, const struct method *method, unsigned run, uint64_t now_ns) {
  struct progress *progress = grower->progress;
  uint64_t bytes = atomic_load(&progress->bytes), crossed_ns = atomic_load(&progress->crossed_ns);
  double ms = crossed_ns && now_ns > crossed_ns ? (double)(now_ns - crossed_ns) / 1e6 : 0;
  double over = bytes > CROSS_BYTES ? (double)(bytes - CROSS_BYTES) : 0;
  uint64_t ended_ns = atomic_load(&progress->ended_ns);
  if (bytes == END_BYTES && ended_ns && now_ns > ended_ns)
    over *= ms * 1e6 / (double)(ended_ns - crossed_ns);
  printf("%s,\"%s\",%u,%.4f,%.0f\n", grower->page_bytes == HUGE_BYTES ? "2m" : "4k", method->name, run, ms, over);
  (void)fflush(stdout);
}

static unsigned spin(pid_t *pids, bool busy) {
  unsigned n = busy ? (unsigned)sysconf(_SC_NPROCESSORS_ONLN) : 0;
  n = n < BUSY_MAX ? n : BUSY_MAX;
  for (unsigned i = 0; i < n; i++) {
    pids[i] = fork();
    if (!pids[i]) {
      (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
      (void)setsid();
      for (volatile unsigned sink = 0;;)
        sink++;
    }
  }
  return n;
}

static void run_once(struct sensor *sensor, struct grower *grower, const struct method *method, unsigned run) {
  pid_t busy[BUSY_MAX];
  unsigned n = spin(busy, method->busy);
  if (method->kind == BY_SENSOR)
    wait_for_sensor(sensor, grower);
  else
    wait_for_statm(method, grower);
  uint64_t now_ns = clock__monotonic_ns();
  print_run(grower, method, run, now_ns);
  grower__rest(grower);
  for (unsigned i = 0; i < n; i++) {
    (void)kill(busy[i], SIGKILL);
    (void)waitpid(busy[i], NULL, 0);
  }
}

static void react(struct sensor *sensor, unsigned long page_bytes, bool quick) {
  struct grower grower;
  grower__start(&grower, page_bytes);
  int error = sensor->ops->add(sensor, &(struct sensor_target){.worker = 0,
                                                               .generation = 1,
                                                               .pid = grower.pid,
                                                               .lease_fd = grower.lease_fd,
                                                               .lease_path = grower.lease_path});
  if (error)
    fail("sensor", error);
  for (unsigned run = 0; run < methods[0].runs; run++)
    for (size_t i = 0; i < N_METHODS; i++)
      if (run < (quick ? methods[i].quick_runs : methods[i].runs))
        run_once(sensor, &grower, &methods[i], run);
  grower__stop(&grower);
}

int main(int argc, char **argv) {
  struct sensor *sensor;
  char why[200] = "";
  bool quick = argc > 1 && !strcmp(argv[1], "--quick");
  int error = sensor__open("bpf", false, &sensor, why, sizeof(why));
  if (error) {
    printf("# %s\n", why);
    return 0;
  }
  (void)selfprotect__run_soon(); /* as ebb-watch does; the others gain by it as well */
  srand((unsigned)clock__monotonic_ns());
  printf("pages,method,run,ms,bytes\n");
  react(sensor, SMALL_BYTES, quick);
  react(sensor, HUGE_BYTES, quick);
  sensor->ops->close(sensor);
  return 0;
}

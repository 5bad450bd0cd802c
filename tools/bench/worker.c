/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A worker that writes down when things happened to it, one line each: "<what> <CLOCK_MONOTONIC ns> <slot> <pid>".
 *
 *   worker idle                      ready, then nothing
 *   worker job LOG MIB               one job that takes so much and keeps it
 *   worker creep LOG MIB STEP_KIB    no job: grows in small steps past so much; "crossed" when it is
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "ebb/worker.h"

static int log_fd = -1;

static void note(const char *what) {
  struct timespec t;
  char line[128];
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  const char *slot = getenv(EBB_SLOT_ENV);
  int n = snprintf(line, sizeof(line), "%s %lld %s %d\n", what, (long long)t.tv_sec * 1000000000LL + t.tv_nsec,
                   slot ? slot : "-", (int)getpid());
  (void)!write(log_fd, line, (size_t)n);
}

static void on_term(int signal) {
  (void)signal;
  note("term"); /* snprintf of numbers is safe enough for a benchmark */
  _exit(0);
}

static void wait_for_end(void) {
  for (;;)
    (void)pause();
}

static void take(size_t bytes) {
  char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory != MAP_FAILED)
    memset(memory, 1, bytes);
}

static void creep(size_t limit, size_t step) {
  for (size_t bytes = 0;; bytes += step) {
    const struct timespec pace = {.tv_nsec = 200000};
    take(step);
    if (bytes < limit && bytes + step >= limit)
      note("crossed");
    (void)nanosleep(&pace, NULL);
    if (bytes > 2 * limit)
      wait_for_end();
  }
}

int main(int argc, char **argv) {
  struct ebb_worker worker;
  if (argc > 2)
    log_fd = open(argv[2], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  note("exec");
  (void)signal(SIGTERM, on_term);
  if (argc < 2 || ebb_worker_open(&worker, EBB_WORKER_ALONE) < 0 || ebb_worker_ready(&worker) != EBB_WORKER_RUN)
    return 1;
  if (argc > 4 && !strcmp(argv[1], "creep"))
    creep((size_t)atol(argv[3]) << 20, (size_t)atol(argv[4]) << 10);
  if (argc > 3 && !strcmp(argv[1], "job")) {
    if (ebb_worker_begin(&worker, "grow") != EBB_WORKER_RUN)
      return 0;
    take((size_t)atol(argv[3]) << 20);
    note("release");
    (void)ebb_worker_end(&worker);
  }
  wait_for_end();
}

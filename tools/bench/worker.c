/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A worker that writes down when things happened to it, one line each: "<what> <CLOCK_MONOTONIC ns> <slot> <pid>".
 *
 *   worker idle                      ready, then nothing
 *   worker job LOG MIB               one job that takes so much and keeps it
 *   worker creep LOG MIB STEP_KIB    no job: grows in small steps past so much; "crossed" when it is
 *   worker burst LOG MIB PAGE_KIB    no job: after a while grows past so much as fast as it can, by 4 KiB or 2 MiB pages; at its
 *                                    end "past <ns> <bytes> <pid>" says how far it came
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "ebb/worker.h"

#define BURST_PAST_BYTES (192UL << 20)
#define HUGE_BYTES (2UL << 20)

static int log_fd = -1;
static volatile size_t past_bytes; /* of a burst */
static volatile sig_atomic_t bursting;

static void note_of(const char *what, const char *of) {
  struct timespec t;
  char line[128];
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  int n = snprintf(line, sizeof(line), "%s %lld %s %d\n", what, (long long)t.tv_sec * 1000000000LL + t.tv_nsec, of,
                   (int)getpid());
  (void)!write(log_fd, line, (size_t)n);
}

static void note(const char *what) {
  const char *slot = getenv(EBB_SLOT_ENV);
  note_of(what, slot ? slot : "-");
}

static void note_past(void) {
  char bytes[32];
  (void)snprintf(bytes, sizeof(bytes), "%zu", past_bytes);
  note_of("past", bytes);
}

static void on_term(int signal) {
  (void)signal;
  if (bursting)
    note_past();
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

/* The limit is on all that it holds, and it holds something before. */
static size_t held_bytes(void) {
  size_t pages = 0, files = 0;
  FILE *file = fopen("/proc/self/statm", "re");
  if (!file || fscanf(file, "%*u %zu %zu", &pages, &files) != 2)
    exit(1);
  (void)fclose(file);
  return (pages - files) * 4096;
}

static void burst(size_t limit, size_t page) {
  size_t most = limit + BURST_PAST_BYTES;
  /* Until it is watched, and then at any time between two of the watch's regular looks. */
  (void)usleep(500000 + (unsigned)getpid() * 7919 % 1000000);
  char *map = mmap(NULL, most + HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED)
    exit(1);
  volatile char *at = (char *)(((uintptr_t)map + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1));
  (void)madvise(map, most + HUGE_BYTES, page == HUGE_BYTES ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  size_t cross = limit - held_bytes();
  bursting = 1;
  for (size_t bytes = 0; past_bytes < BURST_PAST_BYTES;) {
    at[bytes] = 1;
    bytes += page;
    if (bytes >= cross && !past_bytes)
      note("crossed");
    past_bytes = bytes >= cross ? bytes - cross + 1 : 0;
  }
  bursting = 0;
  note_past();
  wait_for_end();
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
  if (argc > 4 && !strcmp(argv[1], "burst"))
    burst((size_t)atol(argv[3]) << 20, (size_t)atol(argv[4]) << 10);
  if (argc > 3 && !strcmp(argv[1], "job")) {
    if (ebb_worker_begin(&worker, "grow") != EBB_WORKER_RUN)
      return 0;
    take((size_t)atol(argv[3]) << 20);
    note("release");
    (void)ebb_worker_end(&worker);
  }
  wait_for_end();
}

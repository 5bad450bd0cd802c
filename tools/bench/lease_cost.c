/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the lease costs a worker per job, in C: turns of a 1 µs job with and without the lease, in alternating chunks.
 * Prints "<variant> <median ns per turn>" for: none, lease, label.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ebb/worker.h"

#define CHUNKS 301
#define TURNS 2000

enum variant { NONE, LEASE, LABEL, VARIANTS };

static double now_ns(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static volatile unsigned sink;

static void job(void) {
  for (unsigned i = 0; i < 300; i++)
    sink += i;
}

static double chunk(struct ebb_worker *worker, enum variant variant) {
  double from = now_ns();
  for (int i = 0; i < TURNS; i++) {
    if (variant != NONE && ebb_worker_begin(worker, variant == LABEL ? "report 17" : NULL) != EBB_WORKER_RUN)
      exit(0);
    job();
    if (variant != NONE)
      (void)ebb_worker_end(worker);
  }
  return (now_ns() - from) / TURNS;
}

static int by_value(const void *a, const void *b) {
  const double *one = a, *other = b;
  return (*one > *other) - (*one < *other);
}

int main(void) {
  static const char *const names[VARIANTS] = {"none", "lease", "label"};
  static double costs[VARIANTS][CHUNKS];
  struct ebb_worker worker;
  if (ebb_worker_open(&worker, EBB_WORKER_ALONE) < 0 || ebb_worker_ready(&worker) != EBB_WORKER_RUN)
    return 1;
  for (int i = 0; i < CHUNKS; i++)
    for (int variant = 0; variant < VARIANTS; variant++)
      costs[variant][i] = chunk(&worker, (enum variant)variant);
  for (int variant = 0; variant < VARIANTS; variant++) {
    qsort(costs[variant], CHUNKS, sizeof(double), by_value);
    printf("%s %.1f\n", names[variant], costs[variant][CHUNKS / 2]);
  }
  return 0;
}

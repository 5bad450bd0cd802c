/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What our programs cost those who pass them: page faults, leases, switches between processes; and what a sweep costs us. Each
 * cycle measures all variants in random order, so that what changes slowly on this machine changes all of them; what is
 * compared later are ratios within one cycle.
 *
 *   cost [--quick] fault|lease|switch|sweep
 *
 * Prints "part,work,variant,cycle,ns" for each measurement, and "# part,variant,reason" for what cannot be measured.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "feed.h"
#include "setting.h"

#define CHUNKS_MAX 9
#define L0 .level = 0
#define L1 .level = 1
#define L2 .level = 2

/* tools/bench/fault.py knows the first three of each part by name. */
static const struct variant variants[] = {
    {"fault", "nothing A", .kind = SETTING_NOTHING},
    {"fault", "nothing B", .kind = SETTING_NOTHING},
    {"fault", "empty program", .kind = SETTING_EMPTY},
    {"fault", "L0", .kind = SETTING_OURS, L0, .tracked = true},
    {"fault", "L1, untracked", .kind = SETTING_OURS, L1},
    {"fault", "L1, tracked, far", .kind = SETTING_OURS, L1, .tracked = true},
    {"fault", "L1, tracked, near", .kind = SETTING_OURS, L1, .tracked = true, .near = true},
    {"fault", "bpftrace, count by pid", .kind = SETTING_BPFTRACE, .every = 5},
    {"lease", "nothing A", .kind = SETTING_NOTHING},
    {"lease", "nothing B", .kind = SETTING_NOTHING},
    {"lease", "empty program", .kind = SETTING_EMPTY},
    {"lease", "L0, another's file", .kind = SETTING_OURS, L0},
    {"lease", "L0, a worker's lease", .kind = SETTING_OURS, L0, .tracked = true},
    {"switch", "nothing A", .kind = SETTING_NOTHING},
    {"switch", "nothing B", .kind = SETTING_NOTHING},
    {"switch", "empty program", .kind = SETTING_EMPTY},
    {"switch", "L0", .kind = SETTING_OURS, L0, .tracked = true},
    {"switch", "L2", .kind = SETTING_OURS, L2, .tracked = true},
};
#define N_VARIANTS (sizeof(variants) / sizeof(variants[0]))

struct part {
  const char *name;
  unsigned cycles, n_hands;
  enum hand_work works[3];
  unsigned n_pieces[3];
};

static const struct part parts[] = {
    {"fault", 60, 3, {HAND_ANON, HAND_SHMEM, HAND_HUGE}, {1024, 1024, 16}},
    {"lease", 60, 1, {HAND_LOCK}, {1000}},
    {"switch", 60, 1, {HAND_SWITCH}, {1000}},
    {"sweep", 8, 1, {HAND_SLEEP}, {0}},
};

struct bench {
  const struct part *part;
  unsigned cycles, chunks, n_processes;
  struct hand hands[3], stranger;
  struct setting setting;
  bool skipped[N_VARIANTS]; /* said already */
};

static void fail(const char *what, int error) {
  (void)fprintf(stderr, "cost: %s: %s\n", what, strerror(error < 0 ? -error : error));
  exit(1);
}

static void print(const struct bench *bench, enum hand_work work, const char *variant, unsigned cycle, double ns) {
  printf("%s,%s,\"%s\",%u,%.1f\n", bench->part->name, hand_work__name(work), variant, cycle, ns);
  (void)fflush(stdout);
}

static int by_value(const void *a, const void *b) {
  const double *one = a, *other = b;
  return (*one > *other) - (*one < *other);
}

static void shuffle(unsigned *order, unsigned n) {
  for (unsigned i = 0; i < n; i++)
    order[i] = i;
  for (unsigned i = n; i > 1; i--) {
    unsigned j = (unsigned)rand() % i, kept = order[i - 1];
    order[i - 1] = order[j];
    order[j] = kept;
  }
}

/* Median over a few chunks, after one that brings the programs into the caches. Negative: none was good. */
static double measure_hand(struct bench *bench, unsigned index) {
  double costs[CHUNKS_MAX];
  unsigned n = 0;
  for (unsigned i = 0; i <= bench->chunks; i++) {
    double ns;
    int error = hand__work(&bench->hands[index], bench->part->n_pieces[index], &ns);
    if (error)
      fail("a measured process has gone", error);
    if (setting__settle(&bench->setting, bench->part->n_hands) && i && ns >= 0)
      costs[n++] = ns;
  }
  qsort(costs, n, sizeof(costs[0]), by_value);
  return n ? costs[n / 2] : -1;
}

static void measure(struct bench *bench, const struct variant *variant, unsigned cycle) {
  char why[200] = "";
  unsigned order[3], n = bench->part->n_hands;
  bool *skipped = &bench->skipped[variant - variants];
  if (*skipped || (variant->every && cycle % variant->every))
    return;
  if (setting__open(&bench->setting, variant, bench->hands, n, bench->part->n_pieces, &bench->stranger, why,
                    sizeof(why))) {
    printf("# %s,\"%s\",\"%s\"\n", variant->part, variant->name, why);
    *skipped = true;
    return;
  }
  shuffle(order, n);
  for (unsigned i = 0; i < n; i++) {
    double ns = measure_hand(bench, order[i]);
    if (ns >= 0)
      print(bench, bench->part->works[order[i]], variant->name, cycle, ns);
  }
  setting__close(&bench->setting);
}

static void compare(struct bench *bench) {
  unsigned chosen[N_VARIANTS], order[N_VARIANTS], n = 0;
  for (unsigned i = 0; i < N_VARIANTS; i++)
    if (!strcmp(variants[i].part, bench->part->name))
      chosen[n++] = i;
  for (unsigned cycle = 0; cycle < bench->cycles; cycle++) {
    shuffle(order, n);
    for (unsigned i = 0; i < n; i++)
      measure(bench, &variants[chosen[order[i]]], cycle);
  }
}

static void measure_sweeps(struct bench *bench, const char *what, unsigned cycle) {
  double costs[CHUNKS_MAX];
  struct sensor *sensor = bench->setting.sensor;
  (void)sensor->ops->sweep(sensor); /* finds who is new */
  for (unsigned i = 0; i < bench->chunks; i++) {
    uint64_t from_ns = clock__monotonic_ns();
    int error = sensor->ops->sweep(sensor);
    costs[i] = (double)(clock__monotonic_ns() - from_ns);
    if (error)
      fail("sweep", error);
  }
  qsort(costs, bench->chunks, sizeof(costs[0]), by_value);
  print(bench, HAND_SLEEP, what, cycle, costs[bench->chunks / 2]);
}

static void people(struct hand *hand, unsigned n) {
  double ns;
  int error = hand__work(hand, n, &ns);
  if (error || ns < 0)
    fail("processes cannot be started", error);
}

/* One sensor, which follows the hand: without further processes, with many strangers, with many of the worker's. */
static void sweep(struct bench *bench) {
  static const struct variant variant = {"sweep", "L0", .kind = SETTING_OURS, L0, .tracked = true};
  char why[200] = "";
  int error = setting__open(&bench->setting, &variant, bench->hands, 1, bench->part->n_pieces, &bench->stranger, why,
                            sizeof(why));
  if (error) {
    printf("# sweep,\"L0\",\"%s\"\n", why);
    return;
  }
  for (unsigned cycle = 0; cycle < bench->cycles; cycle++) {
    measure_sweeps(bench, "none", cycle);
    people(&bench->stranger, bench->n_processes);
    measure_sweeps(bench, "strangers", cycle);
    people(&bench->stranger, 0);
    people(&bench->hands[0], bench->n_processes);
    measure_sweeps(bench, "members", cycle);
    people(&bench->hands[0], 0);
  }
}

static void run(struct bench *bench) {
  int error = hand__start(&bench->stranger, HAND_SLEEP);
  for (unsigned i = 0; i < bench->part->n_hands && !error; i++)
    error = hand__start(&bench->hands[i], bench->part->works[i]);
  if (error)
    fail("a process to measure", error);
  printf("part,work,variant,cycle,ns\n");
  if (bench->part->works[0] == HAND_SLEEP)
    sweep(bench);
  else
    compare(bench);
  setting__done(&bench->setting);
  for (unsigned i = 0; i < bench->part->n_hands; i++)
    hand__stop(&bench->hands[i]);
  hand__stop(&bench->stranger);
}

int main(int argc, char **argv) {
  static struct bench bench;
  bool quick = argc > 1 && !strcmp(argv[1], "--quick");
  const char *name = argc > 1 + quick ? argv[1 + quick] : "";
  for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
    if (!strcmp(parts[i].name, name))
      bench.part = &parts[i];
  if (!bench.part) {
    (void)fprintf(stderr, "usage: cost [--quick] fault|lease|switch|sweep\n");
    return 2;
  }
  bench.cycles = quick ? 1 : bench.part->cycles;
  bench.chunks = quick ? 1 : CHUNKS_MAX;
  bench.n_processes = quick ? 100 : 1000;
  srand((unsigned)clock__monotonic_ns());
  run(&bench);
  return 0;
}

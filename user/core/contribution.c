/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "contribution.h"

#include <stddef.h>
#include <string.h>

#include "units.h"

#define WINDOW_MS (CONTRIBUTION_WINDOW_NS / NS_PER_MS)
/* One sum never holds more: so nothing below can overflow, whatever nonsense is looked at. */
#define SUM_MOST (1ULL << 50)

_Static_assert(SUM_MOST < UINT64_MAX / WINDOW_MS, "a fading sum fits");
_Static_assert(2 * SUM_MOST < UINT64_MAX / (EBB_SLOTS_MAX + 1), "the sum of all sums fits");

static uint64_t least(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

/* Sums. */

static void add(struct contribution_sum *sum, uint64_t more) {
  sum->now = least(sum->now + least(more, SUM_MOST), SUM_MOST);
}

static void add_all(struct contribution_sum *sum, const struct contribution_sum *more) {
  sum->now = least(sum->now + more->now, SUM_MOST);
  sum->before = least(sum->before + more->before, SUM_MOST);
}

static uint64_t sum_of(const struct contribution *contribution, const struct contribution_sum *sum) {
  uint64_t passed_ms = (contribution->looked_ns - contribution->turned_ns) / NS_PER_MS;
  return sum->now + sum->before * (WINDOW_MS - least(passed_ms, WINDOW_MS)) / WINDOW_MS;
}

static void turn_sum(struct contribution_sum *sum, bool all_old) {
  sum->before = all_old ? 0 : sum->now;
  sum->now = 0;
}

/* Into the part of the window that `now` is in. */
static void turn(struct contribution *contribution, uint64_t now_ns) {
  uint64_t parts = (now_ns - contribution->turned_ns) / CONTRIBUTION_WINDOW_NS;
  if (parts == 0)
    return;
  contribution->turned_ns += parts * CONTRIBUTION_WINDOW_NS;
  for (uint32_t i = 0; i < contribution->n_workers; i++) {
    turn_sum(&contribution->workers[i].demand_bytes, parts > 1);
    turn_sum(&contribution->workers[i].suffered_us, parts > 1);
  }
  turn_sum(&contribution->gone_demand_bytes, parts > 1);
  turn_sum(&contribution->gone_suffered_us, parts > 1);
}

/* Workers that come and go. */

static void begin(struct contribution *contribution, uint32_t index, uint32_t generation, int32_t pid) {
  struct contribution_worker *worker = &contribution->workers[index];
  add_all(&contribution->gone_demand_bytes, &worker->demand_bytes);
  add_all(&contribution->gone_suffered_us, &worker->suffered_us);
  *worker = (struct contribution_worker){
      .generation = generation,
      .pid = pid,
      .footprint_bytes = EBB_UNKNOWN,
      .anon_bytes = EBB_UNKNOWN,
      .swap_bytes = EBB_UNKNOWN,
      .major_faults = EBB_UNKNOWN,
      .stall_us = EBB_UNKNOWN,
  };
}

static void settle(struct contribution *contribution, uint32_t index, const struct ebb_worker_facts *facts) {
  const struct contribution_worker *worker = &contribution->workers[index];
  bool there = facts && facts->generation > 0 && facts->pid > 0;
  uint32_t generation = there ? facts->generation : 0;
  int32_t pid = there ? facts->pid : 0;
  if (worker->generation != generation || worker->pid != pid)
    begin(contribution, index, generation, pid);
}

/* Differences. */

static uint64_t rise(uint64_t before, uint64_t now) {
  return before != EBB_UNKNOWN && now != EBB_UNKNOWN && now > before ? now - before : 0;
}

static void keep(uint64_t *before, uint64_t now) {
  if (now != EBB_UNKNOWN)
    *before = now;
}

/* As many bytes as both tell at least. */
static uint64_t came_back(const struct contribution_worker *worker, const struct ebb_worker_facts *facts,
                          uint32_t page_bytes) {
  uint64_t swapped_in = least(rise(facts->swap_bytes, worker->swap_bytes), rise(worker->anon_bytes, facts->anon_bytes));
  uint64_t faulted_in = least(rise(worker->major_faults, facts->major_faults), SUM_MOST / page_bytes) * page_bytes;
  return faulted_in > swapped_in ? faulted_in : swapped_in;
}

static void take(struct contribution_worker *worker, const struct ebb_worker_facts *facts, uint32_t page_bytes) {
  add(&worker->demand_bytes, rise(worker->footprint_bytes, facts->footprint_bytes));
  add(&worker->demand_bytes, came_back(worker, facts, page_bytes));
  add(&worker->suffered_us, rise(worker->stall_us, facts->stall_us));
  keep(&worker->footprint_bytes, facts->footprint_bytes);
  keep(&worker->anon_bytes, facts->anon_bytes);
  keep(&worker->swap_bytes, facts->swap_bytes);
  keep(&worker->major_faults, facts->major_faults);
  keep(&worker->stall_us, facts->stall_us);
}

static void add_up(struct contribution *contribution) {
  contribution->demand_bytes = sum_of(contribution, &contribution->gone_demand_bytes);
  contribution->suffered_us = sum_of(contribution, &contribution->gone_suffered_us);
  for (uint32_t i = 0; i < contribution->n_workers; i++) {
    contribution->demand_bytes += sum_of(contribution, &contribution->workers[i].demand_bytes);
    contribution->suffered_us += sum_of(contribution, &contribution->workers[i].suffered_us);
  }
}

void contribution__init(struct contribution *contribution, uint32_t page_bytes) {
  memset(contribution, 0, offsetof(struct contribution, workers)); /* those begin as they are first looked at */
  contribution->page_bytes = page_bytes;
}

void contribution__look(struct contribution *contribution, const struct ebb_worker_facts *workers, uint32_t n_workers,
                        uint64_t now_ns) {
  n_workers = n_workers < EBB_SLOTS_MAX ? n_workers : EBB_SLOTS_MAX;
  if (now_ns < contribution->looked_ns)
    return;
  while (contribution->n_workers < n_workers)
    contribution->workers[contribution->n_workers++] = (struct contribution_worker){0};
  turn(contribution, now_ns);
  contribution->looked_ns = now_ns;
  for (uint32_t i = 0; i < contribution->n_workers; i++) {
    settle(contribution, i, i < n_workers ? &workers[i] : NULL);
    if (contribution->workers[i].generation)
      take(&contribution->workers[i], &workers[i], contribution->page_bytes);
  }
  add_up(contribution);
}

static uint64_t share(uint64_t part, uint64_t all) {
  return part * 1000 / all;
}

uint64_t contribution__permille(const struct contribution *contribution, uint32_t index) {
  if (index >= contribution->n_workers || !contribution->workers[index].generation)
    return EBB_UNKNOWN;
  const struct contribution_worker *worker = &contribution->workers[index];
  uint64_t demand_bytes = sum_of(contribution, &worker->demand_bytes);
  uint64_t suffered_us = sum_of(contribution, &worker->suffered_us);
  bool demanded = contribution->demand_bytes >= CONTRIBUTION_LEAST_BYTES;
  bool suffered = contribution->suffered_us >= CONTRIBUTION_LEAST_STALL_US && worker->stall_us != EBB_UNKNOWN;
  if (demanded && suffered)
    return (share(demand_bytes, contribution->demand_bytes) + share(suffered_us, contribution->suffered_us)) / 2;
  if (demanded)
    return share(demand_bytes, contribution->demand_bytes);
  return suffered ? share(suffered_us, contribution->suffered_us) : EBB_UNKNOWN;
}

void contribution__tell(struct contribution *contribution, struct ebb_worker_facts *workers, uint32_t n_workers,
                        bool pressed, uint64_t now_ns) {
  contribution__look(contribution, workers, n_workers, now_ns);
  for (uint32_t i = 0; i < n_workers; i++)
    workers[i].contribution_permille = pressed ? contribution__permille(contribution, i) : EBB_UNKNOWN;
}

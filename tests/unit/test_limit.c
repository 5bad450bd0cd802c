/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What do a pool's limits mean for one worker, and does jitter spread a pool out, but never over its limit? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "limit.h"
#include "piece.h"

#define MIB (1ULL << 20)
#define HOUR (3600ULL * 1000000000ULL)

static struct ebb_pool_rules rules;
static struct ebb_worker_facts worker;

static int set_up(void **state) {
  (void)state;
  rules = (struct ebb_pool_rules){.footprint_limit_bytes = 1000 * MIB,
                                  .retained_limit_bytes = 100 * MIB,
                                  .max_jobs = EBB_UNKNOWN,
                                  .max_lifetime_ns = EBB_UNKNOWN};
  worker = (struct ebb_worker_facts){.fresh_bytes = 300 * MIB, .footprint_bytes = 350 * MIB, .rest_bytes = 350 * MIB};
  return 0;
}

static void the_lowest_limit_is_waited_for(void **state) {
  (void)state;
  assert_true(limit__lowest_bytes(&rules, &worker) == 400 * MIB);
  assert_true(limit__next_bytes(&rules, &worker) == 400 * MIB);
  worker.footprint_bytes = 400 * MIB; /* reached: the other one is next */
  assert_true(limit__next_bytes(&rules, &worker) == 1000 * MIB);
  worker.footprint_bytes = 1000 * MIB;
  assert_true(limit__next_bytes(&rules, &worker) == EBB_UNKNOWN);
  worker.footprint_bytes = 100 * MIB;
  worker.fresh_bytes = 950 * MIB;
  assert_true(limit__lowest_bytes(&rules, &worker) == 1000 * MIB);
}

static void what_is_not_known_is_no_limit(void **state) {
  (void)state;
  worker.fresh_bytes = EBB_UNKNOWN;
  assert_true(limit__lowest_bytes(&rules, &worker) == 1000 * MIB);
  assert_true(limit__retained_bytes(&worker) == EBB_UNKNOWN);
  worker.fresh_bytes = EBB_UNKNOWN - MIB; /* no sum */
  assert_true(limit__lowest_bytes(&rules, &worker) == 1000 * MIB);
  rules.footprint_limit_bytes = EBB_UNKNOWN;
  assert_true(limit__lowest_bytes(&rules, &worker) == EBB_UNKNOWN);
  assert_false(limit__is_near(&rules, &worker));
  worker.footprint_bytes = EBB_UNKNOWN;
  assert_true(limit__next_bytes(&rules, &worker) == EBB_UNKNOWN);
  assert_false(limit__is_exceeded(&rules, &worker));
  assert_false(limit__is_near(&rules, &worker));
}

static void what_a_job_takes_is_not_retained(void **state) {
  (void)state;
  worker.footprint_bytes = 900 * MIB;
  worker.busy = 1;
  assert_true(limit__retained_bytes(&worker) == 50 * MIB);
  assert_false(limit__is_exceeded(&rules, &worker));
  assert_true(limit__is_near(&rules, &worker)); /* but it is looked at closely */
  worker.busy = 0;
  assert_true(limit__retained_bytes(&worker) == 600 * MIB);
  assert_true(limit__is_exceeded(&rules, &worker));
  worker.footprint_bytes = 400 * MIB;
  assert_false(limit__is_exceeded(&rules, &worker));
  worker.footprint_bytes = 100 * MIB; /* less than it began with */
  assert_true(limit__retained_bytes(&worker) == 0);
}

static void pieces_of_work_are_held_to_none(void **state) {
  (void)state;
  worker.footprint_bytes = 2000 * MIB;
  rules.max_jobs = 1;
  rules.max_lifetime_ns = 1;
  rules.mode = EBB_MODE_ONESHOT;
  assert_true(limit__lowest_bytes(&rules, &worker) == EBB_UNKNOWN);
  assert_true(limit__next_bytes(&rules, &worker) == EBB_UNKNOWN);
  assert_false(limit__is_exceeded(&rules, &worker));
  assert_false(limit__is_near(&rules, &worker));
  assert_true(limit__jobs(&rules, &worker) == EBB_UNKNOWN);
  assert_true(limit__lifetime_ns(&rules, &worker) == EBB_UNKNOWN);
}

static void few_jobs_have_no_jitter(void **state) {
  (void)state;
  assert_true(limit__jobs(&rules, &worker) == EBB_UNKNOWN);
  for (uint64_t jobs = 1; jobs < 8; jobs++)
    for (worker.generation = 1; worker.generation < 50; worker.generation++) {
      rules.max_jobs = jobs;
      assert_true(limit__jobs(&rules, &worker) == jobs);
    }
}

/* All within the last eighth, each part of it in use, and the same worker always gets the same. */
static void jitter_spreads_over_the_last_eighth(void **state) {
  (void)state;
  uint32_t of_slots[8] = {0}, of_generations[8] = {0};
  rules.max_lifetime_ns = 8 * HOUR;
  for (uint32_t i = 0; i < 800; i++) {
    worker.slot = i, worker.generation = 1;
    uint64_t limit_ns = limit__lifetime_ns(&rules, &worker);
    assert_true(limit_ns > 7 * HOUR && limit_ns <= 8 * HOUR && limit_ns == limit__lifetime_ns(&rules, &worker));
    of_slots[(8 * HOUR - limit_ns) * 8 / HOUR % 8]++;
    worker.slot = 0, worker.generation = i;
    of_generations[(8 * HOUR - limit__lifetime_ns(&rules, &worker)) * 8 / HOUR % 8]++;
  }
  for (int i = 0; i < 8; i++)
    assert_true(of_slots[i] > 60 && of_slots[i] < 140 && of_generations[i] > 60 && of_generations[i] < 140);
  rules.max_jobs = 8;
  uint32_t sevens = 0;
  for (worker.slot = 0; worker.slot < 100; worker.slot++) {
    uint64_t jobs = limit__jobs(&rules, &worker);
    assert_true(jobs == 7 || jobs == 8);
    sevens += jobs == 7;
  }
  assert_true(sevens > 20 && sevens < 80);
  rules.max_jobs = EBB_UNKNOWN - 1;
  assert_true(limit__jobs(&rules, &worker) < EBB_UNKNOWN);
}

static void the_most_of_the_last_pieces(void **state) {
  (void)state;
  struct piece piece = {.next = 0};
  assert_true(piece__most(&piece) == EBB_UNKNOWN);
  piece__ended(&piece, 0);
  piece__ended(&piece, EBB_UNKNOWN);
  assert_true(piece__most(&piece) == EBB_UNKNOWN);
  piece__ended(&piece, 500);
  for (uint32_t i = 0; i < PIECE_SAMPLES - 1; i++) {
    piece__ended(&piece, 100 + i);
    assert_true(piece__most(&piece) == 500);
  }
  piece__ended(&piece, 90); /* the large one is forgotten */
  assert_true(piece__most(&piece) == 100 + PIECE_SAMPLES - 2);
}

int main(void) {
#define T(name) cmocka_unit_test_setup(name, set_up)
  const struct CMUnitTest tests[] = {
      T(the_lowest_limit_is_waited_for),  T(what_is_not_known_is_no_limit), T(what_a_job_takes_is_not_retained),
      T(pieces_of_work_are_held_to_none), T(few_jobs_have_no_jitter),       T(jitter_spreads_over_the_last_eighth),
      T(the_most_of_the_last_pieces),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

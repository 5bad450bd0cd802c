/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Does the kernel side look as closely as it must, at once, and no longer than it must? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "level.h"

#define SEC 1000000000ULL
#define MIB (1ULL << 20)

static struct ebb_host_facts host;
static struct ebb_pool_rules rules[2];
static struct ebb_worker_facts workers[3];
static struct level level;
static bool live;

static int set_up(void **state) {
  (void)state;
  host = (struct ebb_host_facts){.level = EBB_PRESSURE_CALM};
  rules[0] = (struct ebb_pool_rules){.footprint_limit_bytes = 100 * MIB, .retained_limit_bytes = EBB_UNKNOWN};
  rules[1] = (struct ebb_pool_rules){.footprint_limit_bytes = EBB_UNKNOWN, .retained_limit_bytes = EBB_UNKNOWN};
  for (uint32_t i = 0; i < 3; i++)
    workers[i] = (struct ebb_worker_facts){.pool = i == 2, .pid = (int)i + 10, .footprint_bytes = 10 * MIB};
  level = (struct level){0};
  live = false;
  return 0;
}

static uint32_t at(uint64_t now_s) {
  const struct level_input in = {
      .host = &host,
      .pool_rules = rules,
      .workers = workers,
      .n_workers = 3,
      .live = live,
      .now_ns = now_s * SEC,
  };
  return level__decide(&level, &in);
}

static void test_small_workers_need_nothing(void **state) {
  (void)state;
  assert_int_equal(at(1), 0);
  workers[1].footprint_bytes = 50 * MIB;
  assert_int_equal(at(2), 0);
}

static void test_over_half_of_a_limit(void **state) {
  (void)state;
  workers[1].footprint_bytes = 50 * MIB + 1;
  assert_int_equal(at(1), 1);
}

static void test_over_half_of_what_may_be_retained(void **state) {
  (void)state;
  rules[1].retained_limit_bytes = 40 * MIB;
  workers[2].fresh_bytes = 500 * MIB;
  workers[2].footprint_bytes = 520 * MIB;
  assert_int_equal(at(1), 0);
  workers[2].footprint_bytes = 520 * MIB + 1;
  assert_int_equal(at(2), 1);
}

static void test_what_has_no_limit_or_is_unknown_or_gone_is_near_none(void **state) {
  (void)state;
  workers[2].footprint_bytes = 900 * MIB;
  workers[0].footprint_bytes = EBB_UNKNOWN;
  workers[1].footprint_bytes = 90 * MIB;
  workers[1].pid = 0;
  assert_int_equal(at(1), 0);
}

static void test_somebody_looks_on(void **state) {
  (void)state;
  live = true;
  assert_int_equal(at(1), 1);
}

static void test_pressure(void **state) {
  (void)state;
  host.level = EBB_PRESSURE_UNKNOWN;
  assert_int_equal(at(1), 0);
  host.level = EBB_PRESSURE_ELEVATED;
  assert_int_equal(at(2), 2);
  host.level = EBB_PRESSURE_CRITICAL;
  assert_int_equal(at(3), 2);
}

static void test_down_only_after_a_while(void **state) {
  (void)state;
  host.level = EBB_PRESSURE_CRITICAL;
  assert_int_equal(at(100), 2);
  host.level = EBB_PRESSURE_CALM;
  live = true;
  assert_int_equal(at(101), 2);
  assert_int_equal(at(110), 2);
  assert_int_equal(at(111), 1);
  live = false;
  assert_int_equal(at(112), 1);
  live = true; /* needed again meanwhile: the wait begins anew */
  assert_int_equal(at(121), 1);
  live = false;
  assert_int_equal(at(122), 1);
  assert_int_equal(at(131), 1);
  assert_int_equal(at(132), 0);
}

int main(void) {
#define T(name) cmocka_unit_test_setup(name, set_up)
  const struct CMUnitTest tests[] = {
      T(test_small_workers_need_nothing),
      T(test_over_half_of_a_limit),
      T(test_over_half_of_what_may_be_retained),
      T(test_what_has_no_limit_or_is_unknown_or_gone_is_near_none),
      T(test_somebody_looks_on),
      T(test_pressure),
      T(test_down_only_after_a_while),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

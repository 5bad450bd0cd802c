/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Is a host said to reclaim while it does, and for a few seconds after, but not for the pages that always move? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "moved.h"

#define SEC 1000000000ULL
#define START (100 * SEC)

static void what_moved_before_the_first_look_says_nothing(void **state) {
  (void)state;
  struct moved moved = {0};
  assert_false(moved__sample(&moved, START, 1000000));
  assert_false(moved__sample(&moved, START + SEC, 1000000));
}

static void a_rate_counts(void **state) {
  (void)state;
  struct moved moved = {0};
  (void)moved__sample(&moved, START, 0);
  assert_false(moved__sample(&moved, START + 10 * SEC, 10 * MOVED_PAGES_PER_S - 1));
  assert_true(moved__sample(&moved, START + 11 * SEC, 11 * MOVED_PAGES_PER_S));
}

static void looks_that_are_close_together_are_one(void **state) {
  (void)state;
  struct moved moved = {0};
  (void)moved__sample(&moved, START, 0);
  /* A page in a millisecond would be a thousand a second. */
  for (uint64_t i = 1; i < MOVED_WINDOW_NS / 1000000; i++)
    assert_false(moved__sample(&moved, START + i * 1000000, i / 10));
}

static void it_is_remembered_for_some_seconds(void **state) {
  (void)state;
  struct moved moved = {0};
  (void)moved__sample(&moved, START, 0);
  assert_true(moved__sample(&moved, START + SEC, 100000));
  assert_true(moved__sample(&moved, START + SEC + MOVED_NS - 1, 100000));
  assert_false(moved__sample(&moved, START + SEC + MOVED_NS, 100000));
}

static void counters_that_went_back_are_no_movement(void **state) {
  (void)state;
  struct moved moved = {0};
  (void)moved__sample(&moved, START, UINT64_MAX);
  assert_false(moved__sample(&moved, START + SEC, 5));
  assert_true(moved__sample(&moved, START + 2 * SEC, UINT64_MAX));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_moved_before_the_first_look_says_nothing),
      cmocka_unit_test(a_rate_counts),
      cmocka_unit_test(looks_that_are_close_together_are_one),
      cmocka_unit_test(it_is_remembered_for_some_seconds),
      cmocka_unit_test(counters_that_went_back_are_no_movement),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

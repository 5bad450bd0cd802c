/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Is the baseline the median of the last eight fresh workers? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "baseline.h"
#include "ebb/bounds.h"

struct row {
  const char *name;
  uint64_t samples[12]; /* up to the first 0 */
  uint64_t median;
};

static void medians(void **state) {
  (void)state;
  static const struct row rows[] = {
      {"nothing yet", {0}, EBB_UNKNOWN},
      {"one", {7}, 7},
      {"two: between them", {10, 20}, 15},
      {"three, unsorted", {30, 10, 20}, 20},
      {"four", {40, 10, 30, 20}, 25},
      {"one freak does not matter", {10, 11, 12, 900000}, 11},
      {"equal ones", {5, 5, 5, 5, 5}, 5},
      {"unknown ones are no samples", {EBB_UNKNOWN, 10, EBB_UNKNOWN}, 10},
      {"the ninth pushes out the first", {1000, 1, 1, 1, 9, 9, 9, 9, 9}, 9},
      {"only the last eight count", {1, 1, 1, 1, 8, 8, 8, 8, 8, 8, 8, 8}, 8},
      {"large ones do not overflow", {EBB_UNKNOWN - 1, EBB_UNKNOWN - 3}, EBB_UNKNOWN - 2},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    struct baseline baseline = {0};
    for (size_t j = 0; j < 12 && rows[i].samples[j]; j++)
      baseline__add(&baseline, rows[i].samples[j]);
    uint64_t median = baseline__median(&baseline);
    if (median != rows[i].median)
      fail_msg("%s: %llu instead of %llu", rows[i].name, (unsigned long long)median,
               (unsigned long long)rows[i].median);
  }
}

static void a_footprint_of_zero_is_no_sample(void **state) {
  (void)state;
  struct baseline baseline = {0};
  baseline__add(&baseline, 0);
  assert_true(baseline__median(&baseline) == EBB_UNKNOWN);
}

static void the_count_of_samples_may_wrap(void **state) {
  (void)state;
  struct baseline baseline = {.bytes = {1, 2, 3, 4, 5, 6, 7, 8}, .n = UINT32_MAX};
  baseline__add(&baseline, 80); /* takes the place of 8 */
  assert_true(baseline__median(&baseline) == 4);
  baseline__add(&baseline, 90); /* of 1 */
  assert_true(baseline__median(&baseline) == 5);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(medians),
      cmocka_unit_test(a_footprint_of_zero_is_no_sample),
      cmocka_unit_test(the_count_of_samples_may_wrap),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

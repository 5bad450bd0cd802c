/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Do differences of total= become levels that neither lag nor flutter, whatever the rhythm of the readings? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pressure.h"

#define MS 1000000ULL
#define SEC (1000 * MS)
#define START (1000 * SEC)

/* 10 % and 5 %. */
static const struct ebb_host_rules rules = {.pressure_some_permille = 100, .pressure_full_permille = 50};

struct reading {
  uint64_t at_ms;
  uint64_t some_ms, full_ms; /* totals */
  enum ebb_pressure_level level;
  uint32_t some_permille;
  bool growing;
};

static bool sample(struct pressure *pressure, uint64_t at_ms, uint64_t some_ms, uint64_t full_ms) {
  return pressure__sample(pressure, &rules, START + at_ms * MS, some_ms * 1000, full_ms * 1000);
}

static void replay(const char *name, const struct reading *readings, size_t n) {
  struct pressure pressure;
  pressure__init(&pressure);
  for (size_t i = 0; i < n; i++) {
    enum ebb_pressure_level before = pressure.level;
    bool changed = sample(&pressure, readings[i].at_ms, readings[i].some_ms, readings[i].full_ms);
    if (pressure.level != readings[i].level || pressure.some_permille != readings[i].some_permille ||
        pressure.growing != readings[i].growing || changed != (pressure.level != before))
      fail_msg("%s, reading %zu: %s, some %u per mille, growing %d, changed %d", name, i,
               pressure__level_name(pressure.level), pressure.some_permille, pressure.growing, changed);
  }
}
#define REPLAY(name, ...)                                                                                              \
  replay(name, (const struct reading[]){__VA_ARGS__},                                                                  \
         sizeof((const struct reading[]){__VA_ARGS__}) / sizeof(struct reading))

#define UNKNOWN EBB_PRESSURE_UNKNOWN
#define CALM EBB_PRESSURE_CALM
#define ELEVATED EBB_PRESSURE_ELEVATED
#define CRITICAL EBB_PRESSURE_CRITICAL

static void levels(void **state) {
  (void)state;
  REPLAY("one reading says nothing", {0, 5000, 5000, UNKNOWN, 0, false});
  REPLAY("what was there before the first reading does not count", {0, 90000, 0, UNKNOWN, 0, false},
         {1000, 90000, 0, CALM, 0, false});
  REPLAY("up at once, at the threshold", {0, 0, 0, UNKNOWN, 0, false}, {1000, 199, 0, CALM, 99, true},
         {2000, 200, 0, ELEVATED, 100, true});
  REPLAY("full makes it critical", {0, 0, 0, UNKNOWN, 0, false}, {1000, 100, 99, CALM, 50, true},
         {2000, 100, 100, CRITICAL, 50, false});
  REPLAY("all of the window", {0, 0, 0, UNKNOWN, 0, false}, {1000, 1000, 0, ELEVATED, 500, true},
         {2000, 2000, 0, ELEVATED, 1000, true}, {3000, 3000, 0, ELEVATED, 1000, true});
  REPLAY("more than time can hold", {0, 0, 0, UNKNOWN, 0, false}, {1000, 50000, 0, ELEVATED, 1000, true});
}

static void a_level_is_left_after_five_calm_seconds(void **state) {
  (void)state;
  REPLAY("elevated", {0, 0, 0, UNKNOWN, 0, false}, {1000, 400, 0, ELEVATED, 200, true},
         {2000, 400, 0, ELEVATED, 200, false}, {3000, 400, 0, ELEVATED, 0, false}, /* calm from here */
         {7999, 400, 0, ELEVATED, 0, false}, {8000, 400, 0, CALM, 0, false});
  REPLAY("between half and whole is not calm", {0, 0, 0, UNKNOWN, 0, false}, {1000, 400, 0, ELEVATED, 200, true},
         {3000, 500, 0, ELEVATED, 50, true}, {9000, 800, 0, ELEVATED, 50, true}, {15000, 1100, 0, ELEVATED, 50, true});
  REPLAY("a new stall begins the five seconds again", {0, 0, 0, UNKNOWN, 0, false}, {1000, 400, 0, ELEVATED, 200, true},
         {3000, 400, 0, ELEVATED, 0, false}, {7000, 400, 0, ELEVATED, 0, false}, {7500, 520, 0, ELEVATED, 60, true},
         {10000, 520, 0, ELEVATED, 0, false}, {14900, 520, 0, ELEVATED, 0, false}, {15000, 520, 0, CALM, 0, false});
  REPLAY("critical goes by way of elevated", {0, 0, 0, UNKNOWN, 0, false}, {1000, 400, 400, CRITICAL, 200, true},
         {3000, 400, 400, CRITICAL, 0, false}, {8000, 400, 400, ELEVATED, 0, false},
         {9000, 400, 400, ELEVATED, 0, false}, {13999, 400, 400, ELEVATED, 0, false},
         {14000, 400, 400, CALM, 0, false});
  REPLAY("critical stays while full is over half", {0, 0, 0, UNKNOWN, 0, false}, {1000, 400, 400, CRITICAL, 200, true},
         {3000, 450, 450, CRITICAL, 25, true}, {9000, 600, 600, CRITICAL, 25, true});
}

/* The quiet time before a stall must not dilute it. */
static void a_stall_after_a_long_gap_counts_for_now(void **state) {
  (void)state;
  REPLAY("a minute's gap", {0, 0, 0, UNKNOWN, 0, false}, {60000, 0, 0, CALM, 0, false},
         {60300, 250, 0, ELEVATED, 125, true});
}

static void readings_may_come_in_any_rhythm(void **state) {
  (void)state;
  static const uint64_t steps_ms[] = {1, 10, 50, 99, 100, 333, 400, 1000, 1300, 2000, 5000};
  for (size_t i = 0; i < sizeof(steps_ms) / sizeof(*steps_ms); i++) {
    struct pressure pressure;
    pressure__init(&pressure);
    /* 30 % of the time, evenly. */
    for (uint64_t at_ms = 0; at_ms <= 20000; at_ms += steps_ms[i])
      (void)pressure__sample(&pressure, &rules, START + at_ms * MS, at_ms * 300, 0);
    if (abs((int)pressure.some_permille - 300) > 1 || pressure.level != ELEVATED || !pressure.growing)
      fail_msg("every %llu ms: %u per mille, %s", (unsigned long long)steps_ms[i], pressure.some_permille,
               pressure__level_name(pressure.level));
  }
}

static void time_that_does_not_move_is_no_reading(void **state) {
  (void)state;
  struct pressure pressure;
  pressure__init(&pressure);
  (void)sample(&pressure, 0, 0, 0);
  (void)sample(&pressure, 1000, 100, 0);
  assert_false(sample(&pressure, 1000, 1000, 1000));
  assert_false(sample(&pressure, 500, 1000, 1000));
  assert_int_equal(pressure.level, CALM);
  assert_int_equal(pressure.some_permille, 50);
}

/* Another cgroup under the same name: its totals begin at 0. */
static void totals_that_go_back_start_over(void **state) {
  (void)state;
  REPLAY("cgroup replaced while calm", {0, 5000, 0, UNKNOWN, 0, false}, {1000, 5000, 0, CALM, 0, false},
         {2000, 10, 0, CALM, 0, false}, {3000, 15, 0, CALM, 2, true});
  REPLAY("the level is left in its own time", {0, 5000, 0, UNKNOWN, 0, false}, {1000, 6000, 0, ELEVATED, 500, true},
         {2000, 0, 0, ELEVATED, 0, false}, {3000, 0, 0, ELEVATED, 0, false}, {7999, 0, 0, ELEVATED, 0, false},
         {8000, 0, 0, CALM, 0, false});
  REPLAY("full alone", {0, 5000, 900, UNKNOWN, 0, false}, {1000, 5000, 800, UNKNOWN, 0, false},
         {2000, 5000, 800, CALM, 0, false});
}

static void without_psi_the_level_is_unknown(void **state) {
  (void)state;
  struct pressure pressure;
  pressure__init(&pressure);
  (void)sample(&pressure, 0, 0, 0);
  assert_true(sample(&pressure, 1000, 1000, 1000));
  assert_true(pressure__sample(&pressure, &rules, START + 2 * SEC, EBB_UNKNOWN, EBB_UNKNOWN));
  assert_int_equal(pressure.level, UNKNOWN);
  assert_int_equal(pressure.some_permille, 0);
  assert_false(pressure__sample(&pressure, &rules, START + 3 * SEC, EBB_UNKNOWN, EBB_UNKNOWN));
  assert_false(sample(&pressure, 4000, 9000, 9000));
  assert_true(sample(&pressure, 5000, 9000, 9000));
  assert_int_equal(pressure.level, CALM);
}

static void thresholds_that_are_off_are_never_reached(void **state) {
  (void)state;
  const struct ebb_host_rules off = {.pressure_some_permille = UINT32_MAX, .pressure_full_permille = UINT32_MAX};
  struct pressure pressure;
  pressure__init(&pressure);
  for (uint64_t second = 0; second < 10; second++)
    (void)pressure__sample(&pressure, &off, START + second * SEC, second * 1000000, second * 1000000);
  assert_int_equal(pressure.some_permille, 1000);
  assert_int_equal(pressure.level, CALM);
}

static void absurd_totals_do_no_harm(void **state) {
  (void)state;
  struct pressure pressure;
  pressure__init(&pressure);
  (void)pressure__sample(&pressure, &rules, 1, 0, 0);
  (void)pressure__sample(&pressure, &rules, UINT64_MAX - 1, EBB_UNKNOWN - 1, EBB_UNKNOWN - 1);
  (void)pressure__sample(&pressure, &rules, UINT64_MAX, EBB_UNKNOWN - 1, EBB_UNKNOWN - 1);
  assert_true(pressure.some_permille <= 1000 && pressure.full_permille <= 1000);
}

static void a_new_stall_waits_for_no_cooldown(void **state) {
  (void)state;
  struct ebb_host_facts host = {.last_act_ns = 7};
  struct pressure pressure = {.level = CRITICAL, .some_permille = 300, .full_permille = 200, .growing = true};
  pressure__tell(&pressure, &host);
  assert_int_equal(host.level, CRITICAL);
  assert_int_equal(host.some_permille, 300);
  assert_int_equal(host.full_permille, 200);
  assert_int_equal(host.stall_growing, 1);
  assert_int_equal(host.last_act_ns, 7);
  pressure.growing = false;
  pressure__tell(&pressure, &host);
  assert_int_equal(host.stall_growing, 0);
  assert_int_equal(host.last_act_ns, 0);
}

static void level_names(void **state) {
  (void)state;
  assert_string_equal(pressure__level_name(CRITICAL), "critical");
  assert_string_equal(pressure__level_name((enum ebb_pressure_level)99), "unknown");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(levels),
      cmocka_unit_test(a_level_is_left_after_five_calm_seconds),
      cmocka_unit_test(a_stall_after_a_long_gap_counts_for_now),
      cmocka_unit_test(readings_may_come_in_any_rhythm),
      cmocka_unit_test(time_that_does_not_move_is_no_reading),
      cmocka_unit_test(totals_that_go_back_start_over),
      cmocka_unit_test(without_psi_the_level_is_unknown),
      cmocka_unit_test(thresholds_that_are_off_are_never_reached),
      cmocka_unit_test(absurd_totals_do_no_harm),
      cmocka_unit_test(a_new_stall_waits_for_no_cooldown),
      cmocka_unit_test(level_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

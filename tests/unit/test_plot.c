/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/cli/plot.c"

#define SEC 1000000ULL
#define START (1700000000ULL * SEC) /* 22:13:20 UTC */
#define MIB (1024ULL * 1024)

static const struct plot_point three[] = {
    {START + 2 * SEC, 10, 1},
    {START + 3 * SEC, 30, 1},
    {START + 7 * SEC, 20, 2},
};

static struct plot_series series_of(const struct plot_point *points, size_t n, uint64_t seconds) {
  return (struct plot_series){
      .points = points, .n = n, .from_us = START, .to_us = START + seconds * SEC, .hold_us = 2 * SEC};
}

static void a_point_counts_until_the_next_but_not_for_ever(void **unused) {
  (void)unused;
  struct plot_series series = series_of(three, 3, 10);
  struct plot_column columns[10];
  const uint64_t expected[10] = {EBB_UNKNOWN, EBB_UNKNOWN, 10, 30, 30, EBB_UNKNOWN, EBB_UNKNOWN, 20, 20, EBB_UNKNOWN};
  plot__columns(&series, columns, 10);
  for (int i = 0; i < 10; i++)
    assert_int_equal(columns[i].value, expected[i]);
  assert_int_equal(columns[4].generation, 1);
  assert_int_equal(columns[7].generation, 2);
}

static void a_column_has_the_largest_value_and_the_newest_generation(void **unused) {
  (void)unused;
  struct plot_series series = series_of(three, 3, 10);
  struct plot_column columns[2], one;
  plot__columns(&series, columns, 2);
  assert_int_equal(columns[0].value, 30);
  assert_int_equal(columns[1].value, 20);
  plot__columns(&series, &one, 1);
  assert_int_equal(one.value, 30);
  assert_int_equal(one.generation, 2);
}

static void points_outside_the_time_are_left_out(void **unused) {
  (void)unused;
  const struct plot_point points[] = {
      {START - 9 * SEC, 99, 1}, {START - SEC, 5, 1}, {START + SEC, EBB_UNKNOWN, 1}, {START + 4 * SEC, 77, 1}};
  struct plot_series series = series_of(points, 4, 4);
  struct plot_column columns[4];
  plot__columns(&series, columns, 4);
  assert_int_equal(columns[0].value, 5); /* still held */
  for (int i = 1; i < 4; i++)
    assert_int_equal(columns[i].value, EBB_UNKNOWN);
  series.to_us = series.from_us;
  plot__columns(&series, columns, 4);
  assert_int_equal(columns[0].value, EBB_UNKNOWN);
}

static void a_spark_is_as_high_as_its_value(void **unused) {
  (void)unused;
  const struct plot_column columns[] = {{0, 1}, {1, 1}, {50, 1}, {100, 1}, {400, 1}, {EBB_UNKNOWN, 1}};
  char line[64], cut[4];
  assert_string_equal(plot__spark(columns, 6, 100, true, line, sizeof(line)), " _-## ");
  assert_string_equal(plot__spark(columns, 6, 100, false, line, sizeof(line)), " ▁▄██ ");
  assert_string_equal(plot__spark(columns, 6, 100, true, cut, sizeof(cut)), " _-");
  assert_string_equal(plot__spark(columns, 2, 0, true, line, sizeof(line)), "  ");
}

static void an_axis_holds_its_value_and_is_marked_with_short_numbers(void **unused) {
  (void)unused;
  for (uint64_t value = 1; value < 1ULL << 50; value = value * 5 / 4 + 1) {
    uint64_t top = plot__axis_top(value);
    char quarter[16];
    assert_true(top >= value);
    assert_true(top <= 4096 || top <= 2 * value);
    assert_int_equal(top % 4, 0);
    assert_true(strlen(text__size(quarter, sizeof(quarter), top / 4)) <= 4);
  }
  assert_true(plot__axis_top(UINT64_MAX) > 0); /* and it ends */
}

static char *drawn(const struct plot_series *series, const struct plot_frame *frame) {
  char *data = NULL;
  size_t n = 0;
  FILE *to = open_memstream(&data, &n);
  assert_non_null(to);
  plot__draw(series, frame, to);
  assert_int_equal(fclose(to), 0);
  return data;
}

/* Half a minute: the footprint climbs to 64 MiB, and again in the next generation. */
static size_t sawtooth(struct plot_point *to) {
  for (uint64_t i = 0; i < 32; i++)
    to[i] = (struct plot_point){START + i * SEC, (i % 16 + 1) * 4 * MIB, i < 16 ? 3 : 4};
  return 32;
}

static void a_plot_shows_a_sawtooth(void **unused) {
  (void)unused;
  struct plot_point points[32];
  struct plot_series series = series_of(points, sawtooth(points), 32);
  struct plot_frame frame = {.width = 32, .height = 4, .limit_bytes = 60 * MIB, .ascii = true};
  static const char expected[] = "    64M |-------------###-------------###\n"
                                 "    48M |         #######         #######\n"
                                 "    32M |     ###########     ###########\n"
                                 "    16M |################################\n"
                                 "      0 +--------------------------------\n"
                                 "         22:13:20    22:13:36    22:13:52\n"
                                 "    gen  ^3              ^4              \n";
  char *plot = drawn(&series, &frame);
  assert_string_equal(plot, expected);
  free(plot);
}

static void a_limit_far_away_does_not_press_it_flat(void **unused) {
  (void)unused;
  struct plot_point points[32];
  struct plot_series series = series_of(points, sawtooth(points), 32);
  struct plot_frame frame = {.width = 32, .height = 4, .ascii = true, .limit_bytes = 300 * MIB};
  char *far = drawn(&series, &frame);
  frame.limit_bytes = EBB_UNKNOWN;
  char *none = drawn(&series, &frame);
  assert_string_equal(far, none);
  free(far);
  free(none);
}

static void generations_that_crowd_lose_their_numbers_only(void **unused) {
  (void)unused;
  struct plot_point points[20];
  for (uint64_t i = 0; i < 20; i++)
    points[i] = (struct plot_point){START + i * SEC, MIB, i < 4 ? 100 : (uint32_t)(100 + i / 2)};
  struct plot_series series = series_of(points, 20, 20);
  struct plot_frame frame = {.width = 20, .height = 4, .ascii = true, .limit_bytes = EBB_UNKNOWN};
  char *plot = drawn(&series, &frame);
  assert_non_null(strstr(plot, "\n    gen  ^   ^ ^ ^ ^ ^ ^ ^ ^ \n"));
  free(plot);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_point_counts_until_the_next_but_not_for_ever),
      cmocka_unit_test(a_column_has_the_largest_value_and_the_newest_generation),
      cmocka_unit_test(points_outside_the_time_are_left_out),
      cmocka_unit_test(a_spark_is_as_high_as_its_value),
      cmocka_unit_test(an_axis_holds_its_value_and_is_marked_with_short_numbers),
      cmocka_unit_test(a_plot_shows_a_sawtooth),
      cmocka_unit_test(a_limit_far_away_does_not_press_it_flat),
      cmocka_unit_test(generations_that_crowd_lose_their_numbers_only),
  };
  (void)setenv("TZ", "UTC", 1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}

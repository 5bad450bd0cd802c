/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Do numbers, sizes, times and shares come out as people mean them, and is everything else refused? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "parse.h"

#define UNTOUCHED 0xabcdefULL

struct row {
  const char *text;
  int answer;
  uint64_t value; /* when the answer is 0 */
};

static void check(const struct row *row, int answer, uint64_t value) {
  uint64_t expected = row->answer == 0 ? row->value : UNTOUCHED;
  if (answer != row->answer || value != expected)
    fail_msg("\"%s\": answer %d, value %llu; expected %d, %llu", row->text, answer, (unsigned long long)value,
             row->answer, (unsigned long long)expected);
}

#define EACH(row, rows) (const struct row *row = (rows); row->text; row++)

static void numbers(void **state) {
  (void)state;
  static const struct row rows[] = {
      {"0", 0, 0},
      {"7", 0, 7},
      {"007", 0, 7},
      {"999", 0, 999},
      {"1000", -ERANGE, 0},
      {"", -EINVAL, 0},
      {"-1", -EINVAL, 0},
      {"+1", -EINVAL, 0},
      {" 1", -EINVAL, 0},
      {"1 ", -EINVAL, 0},
      {"1x", -EINVAL, 0},
      {"0x1", -EINVAL, 0},
      {"18446744073709551616", -ERANGE, 0},
      {"99999999999999999999999", -ERANGE, 0},
      {"36893488147419103242", -ERANGE, 0}, /* 2^65 + 10 */
      {"\xd9\xa1", -EINVAL, 0},
      {0},
  };
  for
    EACH(row, rows) {
      uint64_t value = UNTOUCHED;
      int answer = parse__number(row->text, 999, &value);
      check(row, answer, value);
    }
  uint64_t value = UNTOUCHED;
  assert_int_equal(parse__number("18446744073709551615", UINT64_MAX, &value), 0);
  assert_true(value == UINT64_MAX);
}

static void sizes(void **state) {
  (void)state;
  static const struct row rows[] = {
      {"0", 0, 0},
      {"4096", 0, 4096},
      {"1K", 0, 1024},
      {"512M", 0, 512ULL << 20},
      {"1G", 0, 1ULL << 30},
      {"3T", 0, 3ULL << 40},
      {"25%", 0, 250},
      {"0%", 0, 0},
      {"100%", 0, 1000},
      {"101%", -ERANGE, 0},
      {"16777216T", -ERANGE, 0},
      {"16777215T", 0, 16777215ULL << 40},
      {"18446744073709551615", -ERANGE, 0}, /* would mean: off */
      {"18446744073709551614", 0, UINT64_MAX - 1},
      {"1k", -EINVAL, 0},
      {"1KB", -EINVAL, 0},
      {"1 K", -EINVAL, 0},
      {"1.5G", -EINVAL, 0},
      {"K", -EINVAL, 0},
      {"%", -EINVAL, 0},
      {"25%%", -EINVAL, 0},
      {"-1M", -EINVAL, 0},
      {"off", -EINVAL, 0},
      {"", -EINVAL, 0},
      {0},
  };
  for
    EACH(row, rows) {
      uint64_t value = UNTOUCHED;
      int answer = parse__size(row->text, 1000, &value);
      check(row, answer, value);
    }
}

static void shares_of_ram(void **state) {
  (void)state;
  uint64_t value = UNTOUCHED;
  assert_int_equal(parse__size("25%", 0, &value), -EINVAL);
  assert_true(value == UNTOUCHED);
  assert_int_equal(parse__size("99%", UINT64_MAX - 1, &value), 0);
  assert_true(value == (uint64_t)((unsigned __int128)(UINT64_MAX - 1) * 99 / 100));
  assert_int_equal(parse__size("50%", 3, &value), 0);
  assert_true(value == 1);
}

static void times(void **state) {
  (void)state;
  static const struct row rows[] = {
      {"0", 0, 0},
      {"0s", 0, 0},
      {"250ms", 0, 250000000ULL},
      {"15s", 0, 15000000000ULL},
      {"10m", 0, 600000000000ULL},
      {"2h", 0, 7200000000000ULL},
      {"1d", 0, 86400000000000ULL},
      {"213503d", 0, 213503ULL * 86400000000000ULL},
      {"213504d", -ERANGE, 0},
      {"15", -EINVAL, 0},
      {"15 s", -EINVAL, 0},
      {"1.5s", -EINVAL, 0},
      {"15S", -EINVAL, 0},
      {"15sec", -EINVAL, 0},
      {"s", -EINVAL, 0},
      {"-1s", -EINVAL, 0},
      {"", -EINVAL, 0},
      {0},
  };
  for
    EACH(row, rows) {
      uint64_t value = UNTOUCHED;
      int answer = parse__time(row->text, &value);
      check(row, answer, value);
    }
}

static void permille(void **state) {
  (void)state;
  static const struct row rows[] = {
      {"0%", 0, 0},
      {"10%", 0, 100},
      {"2.5%", 0, 25},
      {"0.1%", 0, 1},
      {"100%", 0, 1000},
      {"100.0%", 0, 1000},
      {"100.1%", -ERANGE, 0},
      {"101%", -ERANGE, 0},
      {"2.55%", -EINVAL, 0},
      {"2.%", -EINVAL, 0},
      {".5%", -EINVAL, 0},
      {"2./%", -EINVAL, 0},
      {"10", -EINVAL, 0},
      {"10 %", -EINVAL, 0},
      {"%", -EINVAL, 0},
      {"-1%", -EINVAL, 0},
      {"1844674407370955162%", -ERANGE, 0},
      {"", -EINVAL, 0},
      {0},
  };
  for
    EACH(row, rows) {
      uint32_t value = UNTOUCHED;
      int answer = parse__permille(row->text, &value);
      check(row, answer, value);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers), cmocka_unit_test(sizes),    cmocka_unit_test(shares_of_ram),
      cmocka_unit_test(times),   cmocka_unit_test(permille),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

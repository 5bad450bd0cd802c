/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ebb/bounds.h"
#include "headroom.h"

static void more_than_the_reserve_is_left(void **unused) {
  (void)unused;
  const struct {
    uint64_t available, needed, reserve;
    bool has;
  } rows[] = {
      {100, 40, 59, true},
      {100, 40, 60, false}, /* just the reserve is a shortage */
      {100, 40, 61, false},
      {100, 99, 0, true},
      {100, 100, 0, false},
      {100, 101, 0, false},            /* and not a huge number */
      {100, UINT64_MAX - 1, 0, false}, /* nor here */
      {100, 1, UINT64_MAX - 1, false},
      {UINT64_MAX - 1, 1, 1, true},
      {EBB_UNKNOWN, 1, 1, false},
      {100, EBB_UNKNOWN, 1, false},
      {100, 1, EBB_UNKNOWN, false},
      {0, 0, 0, false},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
    assert_int_equal(headroom__has(rows[i].available, rows[i].needed, rows[i].reserve), rows[i].has);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(more_than_the_reserve_is_left)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

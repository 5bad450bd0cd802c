/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Does each worker get its own processes back, in order, and does nothing overflow? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "roster.h"

static struct roster roster;

static void test_sorts_by_worker(void **state) {
  (void)state;
  static const struct {
    uint32_t worker;
    pid_t pid;
  } noted[] = {{2, 10}, {0, 11}, {2, 12}, {4, 13}, {0, 14}, {2, 15}};
  for (int round = 0; round < 2; round++) { /* the second one proves that clearing clears */
    roster__clear(&roster, 5);
    for (size_t i = 0; i < sizeof(noted) / sizeof(noted[0]); i++)
      assert_true(roster__note(&roster, noted[i].worker, noted[i].pid));
    roster__sort(&roster, 5);
    struct roster_crew crew = roster__crew(&roster, 2);
    assert_int_equal(crew.n, 3);
    assert_memory_equal(crew.pids, ((pid_t[]){10, 12, 15}), 3 * sizeof(pid_t));
    crew = roster__crew(&roster, 0);
    assert_int_equal(crew.n, 2);
    assert_memory_equal(crew.pids, ((pid_t[]){11, 14}), 2 * sizeof(pid_t));
    assert_int_equal(roster__crew(&roster, 1).n, 0);
    assert_int_equal(roster__crew(&roster, 3).n, 0);
    assert_int_equal(roster__crew(&roster, 4).n, 1);
  }
}

static void test_full(void **state) {
  (void)state;
  roster__clear(&roster, EBB_SLOTS_MAX);
  for (int i = 0; i < EBB_PROCS_MAX; i++)
    assert_true(roster__note(&roster, EBB_SLOTS_MAX - 1, i));
  assert_false(roster__note(&roster, EBB_SLOTS_MAX - 1, 1));
  roster__sort(&roster, EBB_SLOTS_MAX);
  assert_int_equal(roster__crew(&roster, EBB_SLOTS_MAX - 1).n, EBB_PROCS_MAX);
  assert_int_equal(roster__crew(&roster, EBB_SLOTS_MAX - 1).pids[EBB_PROCS_MAX - 1], EBB_PROCS_MAX - 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sorts_by_worker),
      cmocka_unit_test(test_full),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

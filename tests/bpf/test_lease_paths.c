/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lease_paths.h"

static struct lease_paths paths;

static void compose(char *to, size_t size, size_t directory, const char *name) {
  char long_one[PATH_MAX];
  memset(long_one, 'd', sizeof(long_one));
  (void)snprintf(to, size, "/%.*s/%s", (int)directory, long_one, name);
}

/* Each worker's is its own, whatever the others' are, up to the longest names in the longest directory. */
static void keep_apart(size_t directory) {
  const char *const longest = "abcdefghijklmnopqrstuvwxyz12345.4294967295.4294967295";
  char path[2 * PATH_MAX], first[2 * PATH_MAX];
  memset(&paths, 0, sizeof(paths));
  compose(first, sizeof(first), directory, "a.0.1");
  compose(path, sizeof(path), directory, longest);
  const char *kept = lease_paths__put(&paths, 1, first);
  for (uint32_t worker = 0; worker < EBB_SLOTS_MAX; worker += EBB_SLOTS_MAX - 1) {
    const char *other = lease_paths__put(&paths, worker, path);
    assert_non_null(other);
    assert_string_equal(other, path);
    assert_string_equal(kept, first);
  }
  assert_ptr_equal(lease_paths__put(&paths, 1, path), kept);
}

static void test_they_are_kept_apart(void **state) {
  (void)state;
  keep_apart(1);
  keep_apart(100);
  keep_apart(PATH_MAX - 3);
}

static void test_no_room(void **state) {
  (void)state;
  memset(&paths, 0, sizeof(paths));
  assert_non_null(lease_paths__put(&paths, 0, "/run/ebb/lease/a.0.1"));
  assert_null(
      lease_paths__put(&paths, 1, "/run/ebb/lease/abcdefghijklmnopqrstuvwxyz123456789abcdefghijklmnopqrstuvwxyz"));
  assert_null(lease_paths__put(&paths, EBB_SLOTS_MAX * 1000, "/run/ebb/lease/a.0.1"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_they_are_kept_apart), cmocka_unit_test(test_no_room)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Is everything released at the end of its scope, once, and only what is owned? */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cleanup.h"

static bool is_open(int fd) {
  return fcntl(fd, F_GETFD) >= 0;
}

static void descriptors(void **state) {
  (void)state;
  int seen;
  {
    _cleanup_fd_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    seen = fd;
    assert_true(is_open(seen));
  }
  assert_false(is_open(seen));
}

static int open_stolen(void) {
  _cleanup_fd_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  int taken = steal_fd(&fd);
  assert_int_equal(fd, -1);
  return taken;
}

static void stealing(void **state) {
  (void)state;
  int fd = open_stolen();
  assert_true(is_open(fd));
  assert_int_equal(close(fd), 0);
}

static void streams(void **state) {
  (void)state;
  int file_fd, dir_fd;
  {
    _cleanup_file_ FILE *file = fopen("/dev/null", "re");
    _cleanup_dir_ DIR *dir = opendir("/");
    assert_non_null(file);
    assert_non_null(dir);
    file_fd = fileno(file);
    dir_fd = dirfd(dir);
  }
  assert_false(is_open(file_fd));
  assert_false(is_open(dir_fd));
}

/* Standard input must survive a variable that owns nothing. */
static void nothing_owned(void **state) {
  (void)state;
  {
    _cleanup_fd_ int fd = -1;
    _cleanup_free_ char *memory = NULL;
    _cleanup_file_ FILE *file = NULL;
    _cleanup_dir_ DIR *dir = NULL;
    (void)fd, (void)memory, (void)file, (void)dir;
    errno = 0;
  }
  assert_int_equal(errno, 0);
}

/* Freed once: the sanitizers report a leak, or the second time. */
static void heap(void **state) {
  (void)state;
  _cleanup_free_ char *memory = malloc(16);
  assert_non_null(memory);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(descriptors),   cmocka_unit_test(stealing), cmocka_unit_test(streams),
      cmocka_unit_test(nothing_owned), cmocka_unit_test(heap),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

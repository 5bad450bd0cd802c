/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* What happens between two system calls of the reader: once, before its next look at a name, or opening of one. */
static void (*before_look)(void);
static void (*before_opening)(void);

static void let_happen(void (**what)(void)) {
  void (*happen)(void) = *what;
  *what = NULL;
  if (happen)
    happen();
}

static int watched_fstatat(int dirfd, const char *name, struct stat *ret, int flags) {
  let_happen(&before_look);
  return fstatat(dirfd, name, ret, flags);
}

static int watched_openat(int dirfd, const char *name, int flags) {
  let_happen(&before_opening);
  return openat(dirfd, name, flags);
}
#define fstatat watched_fstatat
#define openat watched_openat
#include "../../user/cli/tail.c"
#undef fstatat
#undef openat

static int dirfd_of_test = -1;
static char directory[64];

static void append(const char *name, const char *text) {
  int fd = openat(dirfd_of_test, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
  assert_int_equal(close(fd), 0);
}

static void rotate(void) {
  (void)renameat(dirfd_of_test, "log.2", dirfd_of_test, "log.3");
  (void)renameat(dirfd_of_test, "log.1", dirfd_of_test, "log.2");
  assert_int_equal(renameat(dirfd_of_test, "log", dirfd_of_test, "log.1"), 0);
}

static int set_up(void **unused) {
  (void)unused;
  (void)snprintf(directory, sizeof(directory), "%s/ebbt-tail-XXXXXX", getenv("TMPDIR") ?: "/tmp");
  before_look = before_opening = NULL;
  if (!mkdtemp(directory))
    return -1;
  dirfd_of_test = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return dirfd_of_test < 0 ? -1 : 0;
}

static int tear_down(void **unused) {
  (void)unused;
  for (int i = 0; i <= 3; i++) {
    char name[16];
    (void)snprintf(name, sizeof(name), i ? "log.%d" : "log", i);
    if (unlinkat(dirfd_of_test, name, 0))
      (void)unlinkat(dirfd_of_test, name, AT_REMOVEDIR);
  }
  (void)unlinkat(dirfd_of_test, "other", 0);
  (void)close(dirfd_of_test);
  return rmdir(directory);
}

static void expect(struct tail *tail, const char *expected) {
  char *line = NULL;
  size_t n = 0;
  assert_int_equal(tail__next(tail, &line, &n), 1);
  assert_int_equal(n, strlen(expected));
  assert_memory_equal(line, expected, n);
}

static void expect_nothing(struct tail *tail) {
  char *line;
  size_t n;
  assert_int_equal(tail__next(tail, &line, &n), 0);
}

static bool wakes(struct tail *tail) {
  struct pollfd wait = {.fd = tail__fd(tail), .events = POLLIN};
  bool woken = poll(&wait, 1, 0) == 1;
  tail__drain(tail);
  return woken;
}

static void all_files_are_read_from_the_oldest_on(void **unused) {
  (void)unused;
  struct tail tail;
  append("log.2", "one\ntwo\n");
  append("log.1", "three\n");
  append("log", "four\nfi");
  assert_int_equal(tail__open(&tail, dirfd_of_test, "log", false), 0);
  expect(&tail, "one");
  expect(&tail, "two");
  expect(&tail, "three");
  expect(&tail, "four");
  expect_nothing(&tail);
  append("log", "ve\n");
  expect(&tail, "five");
  expect_nothing(&tail);
  tail__close(&tail);
}

static void from_the_end_only_the_new_is_read(void **unused) {
  (void)unused;
  struct tail tail;
  append("log.1", "older\n");
  append("log", "old\n");
  assert_int_equal(tail__open(&tail, dirfd_of_test, "log", true), 0);
  expect_nothing(&tail);
  append("log", "new\n");
  expect(&tail, "new");
  tail__close(&tail);
}

static void a_log_may_come_later(void **unused) {
  (void)unused;
  struct tail tail;
  assert_int_equal(tail__open(&tail, dirfd_of_test, "log", true), 0);
  expect_nothing(&tail);
  assert_false(wakes(&tail));
  append("log", "first\n");
  assert_true(wakes(&tail));
  expect(&tail, "first");
  tail__close(&tail);
}

static void rotations_lose_nothing(void **unused) {
  (void)unused;
  struct tail tail;
  append("log", "1\n");
  assert_int_equal(tail__open(&tail, dirfd_of_test, "log", false), 0);
  expect(&tail, "1");
  expect_nothing(&tail);
  append("log", "2\n");
  rotate();
  append("log", "3\n");
  rotate();
  append("log", "4\n");
  assert_true(wakes(&tail));
  expect(&tail, "2");
  expect(&tail, "3");
  expect(&tail, "4");
  expect_nothing(&tail);
  tail__close(&tail);
}

static void write_and_rotate(void) {
  append("log", "last\n");
  rotate();
  append("log", "next\n");
}

/* The reader has seen the end of the file, and only then looks whether there is another. */
static void a_line_written_just_before_the_rotation_is_seen(void **unused) {
  (void)unused;
  struct tail tail;
  append("log", "first\n");
  assert_int_equal(tail__open(&tail, dirfd_of_test, "log", false), 0);
  expect(&tail, "first");
  before_look = write_and_rotate;
  expect(&tail, "last");
  expect(&tail, "next");
  expect_nothing(&tail);
  tail__close(&tail);
}

static void rotate_again(void) {
  rotate();
  append("log", "four\n");
}

/* It opens what was the next file when it looked; by then that one has another name. */
static void a_rotation_between_looking_and_opening_skips_nothing(void **unused) {
  (void)unused;
  struct tail tail;
  append("log.2", "one\n");
  append("log.1", "two\n");
  append("log", "three\n");
  assert_int_equal(tail__open(&tail, dirfd_of_test, "log", false), 0);
  expect(&tail, "one");
  before_opening = rotate_again;
  expect(&tail, "two");
  expect(&tail, "three");
  expect(&tail, "four");
  expect_nothing(&tail);
  tail__close(&tail);
}

static void half_a_line_is_not_the_beginning_of_another(void **unused) {
  (void)unused;
  struct tail tail;
  append("log.1", "{\"cut\":");
  append("log", "{}\n");
  assert_int_equal(tail__open(&tail, dirfd_of_test, "log", false), 0);
  expect(&tail, "{\"cut\":");
  expect(&tail, "{}");
  tail__close(&tail);
}

static void what_is_left_can_be_taken(void **unused) {
  (void)unused;
  struct tail tail;
  char *rest;
  append("log", "whole\npart");
  assert_int_equal(tail__open(&tail, dirfd_of_test, "log", false), 0);
  expect(&tail, "whole");
  expect_nothing(&tail);
  assert_int_equal(tail__rest(&tail, &rest), 4);
  assert_memory_equal(rest, "part", 4);
  assert_int_equal(tail__rest(&tail, &rest), 0);
  tail__close(&tail);
}

static void a_line_without_end_comes_in_pieces(void **unused) {
  (void)unused;
  struct tail tail;
  static char text[TAIL_LINE_BYTES + 8];
  char *line;
  size_t n;
  memset(text, 'x', TAIL_LINE_BYTES + 4);
  text[TAIL_LINE_BYTES + 4] = '\n';
  append("log", text);
  append("log", "after\n");
  assert_int_equal(tail__open(&tail, dirfd_of_test, "log", false), 0);
  assert_int_equal(tail__next(&tail, &line, &n), 1);
  assert_int_equal(n, TAIL_LINE_BYTES);
  expect(&tail, "xxxx");
  expect(&tail, "after");
  tail__close(&tail);
}

static void something_else_under_that_name_is_refused(void **unused) {
  (void)unused;
  struct tail tail;
  assert_int_equal(mkfifoat(dirfd_of_test, "log", 0600), 0);
  assert_int_equal(tail__open(&tail, dirfd_of_test, "log", true), -EPROTO);
  assert_int_equal(unlinkat(dirfd_of_test, "log", 0), 0);
  assert_int_equal(mkdirat(dirfd_of_test, "log", 0700), 0);
  assert_int_equal(tail__open(&tail, dirfd_of_test, "log", false), -EPROTO);
  tail__close(&tail);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(all_files_are_read_from_the_oldest_on),
      TEST(from_the_end_only_the_new_is_read),
      TEST(a_log_may_come_later),
      TEST(rotations_lose_nothing),
      TEST(a_line_written_just_before_the_rotation_is_seen),
      TEST(a_rotation_between_looking_and_opening_skips_nothing),
      TEST(half_a_line_is_not_the_beginning_of_another),
      TEST(what_is_left_can_be_taken),
      TEST(a_line_without_end_comes_in_pieces),
      TEST(something_else_under_that_name_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Leases in a directory of somebody else's: is a file taken only if it is one, and nothing else touched? */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "adoptdir.h"
#include "ebb/lease.h"

#define POOL "reports"

/* The pool's user: somebody else where we can make files of theirs. */
static uid_t user(void) {
  return geteuid() ? geteuid() : 65534;
}

static char path[64];
static int run_dirfd = -1, leases = -1, folder = -1;

static int set_up(void **unused) {
  (void)unused;
  strcpy(path, "/tmp/ebb-adoptdir.XXXXXX");
  assert_non_null(mkdtemp(path));
  run_dirfd = open(path, O_RDONLY | O_DIRECTORY);
  assert_int_equal(mkdirat(run_dirfd, "lease", 0711), 0);
  leases = openat(run_dirfd, "lease", O_RDONLY | O_DIRECTORY);
  assert_int_equal(adoptdir__make(run_dirfd, POOL, user(), getegid()), 0);
  folder = openat(run_dirfd, "adopt/" POOL, O_RDONLY | O_DIRECTORY);
  assert_true(folder >= 0);
  return 0;
}

static int tear_down(void **unused) {
  (void)unused;
  char command[96];
  (void)snprintf(command, sizeof(command), "rm -rf %s", path);
  (void)close(folder), (void)close(leases), (void)close(run_dirfd);
  return system(command);
}

static void put(const char *name, uid_t uid, mode_t mode, const char *content) {
  int fd = openat(folder, name, O_CREAT | O_EXCL | O_WRONLY, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, content, strlen(content)), strlen(content));
  assert_int_equal(fchmod(fd, mode), 0);
  assert_int_equal(fchown(fd, uid, (gid_t)-1), 0);
  (void)close(fd);
}

static int try_open(const char *name) {
  int fd = adoptdir__open(run_dirfd, POOL, name, user(), getegid());
  if (fd >= 0)
    (void)close(fd);
  return fd < 0 ? fd : 0;
}

static void the_directory(void **unused) {
  (void)unused;
  struct stat st;
  for (int i = 0; i < 2; i++) { /* made, then found, then set right */
    assert_int_equal(fstat(folder, &st), 0);
    assert_int_equal(st.st_uid, user());
    assert_int_equal(st.st_gid, getegid());
    assert_int_equal(st.st_mode & 07777, 0770);
    assert_int_equal(fchmod(folder, 0777), 0);
    assert_int_equal(adoptdir__make(run_dirfd, POOL, user(), getegid()), 0);
  }
  assert_int_equal(symlinkat("/tmp", run_dirfd, "adopt/link"), 0);
  assert_int_equal(adoptdir__make(run_dirfd, "link", user(), getegid()), -ENOTDIR);
}

static void one_that_is_good(void **unused) {
  (void)unused;
  char lease[EBB_LEASE_BYTES + 1];
  struct stat st;
  put("good", user(), 0600, "X");
  int fd = adoptdir__open(run_dirfd, POOL, "good", user(), getegid());
  assert_true(fd >= 0);
  assert_int_equal(fstat(fd, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0660);
  assert_int_equal(st.st_gid, getegid());
  assert_int_equal(st.st_uid, user());
  assert_int_equal(pread(fd, lease, sizeof(lease), 0), EBB_LEASE_BYTES);
  assert_int_equal(lease[0], 'X');
  assert_int_equal(adoptdir__link(fd, leases, POOL ".0.1"), 0);
  assert_int_equal(adoptdir__link(fd, leases, POOL ".0.1"), -EEXIST);
  assert_int_equal(unlinkat(folder, "good", 0), 0); /* its own name may go, and another file come */
  put("good", user(), 0600, "another");
  assert_int_equal(adoptdir__link(fd, leases, POOL ".0.2"), 0);
  assert_int_equal(fstatat(leases, POOL ".0.2", &st, 0), 0);
  assert_int_equal(st.st_size, EBB_LEASE_BYTES);
  (void)close(fd);
}

static void what_is_none(void **unused) {
  (void)unused;
  struct stat st;
  put("two", user(), 0600, "R");
  assert_int_equal(linkat(folder, "two", folder, "names", 0), 0);
  assert_int_equal(symlinkat("two", folder, "link"), 0);
  assert_int_equal(mkfifoat(folder, "fifo", 0666), 0);
  assert_int_equal(fchownat(folder, "fifo", user(), (gid_t)-1, 0), 0);
  assert_int_equal(mkdirat(folder, "folder", 0777), 0);
  if (!geteuid()) {
    put("roots", 0, 0666, "R");
    put("readable", 0, 0644, "R");
    assert_int_equal(try_open("roots"), -EPROTO);
    assert_int_equal(try_open("readable"), -EACCES);
  }
  assert_int_equal(try_open("two"), -EPROTO);
  assert_int_equal(try_open("link"), -ELOOP);
  assert_int_equal(try_open("fifo"), -EPROTO);
  assert_int_equal(try_open("folder"), -EPROTO);
  assert_int_equal(try_open("missing"), -ENOENT);
  assert_int_equal(fstatat(folder, "two", &st, 0), 0);
  assert_int_equal(st.st_mode & 07777, 0600);
  assert_int_equal(st.st_size, 1);
}

static void names(void **unused) {
  (void)unused;
  const struct {
    const char *path, *name;
  } cases[] = {
      {"/run/ebb/adopt/reports/w1", "w1"},
      {"/run/ebb/adopt/reports/..x", "..x"},
      {"/run/ebb/adopt/reports/", NULL},
      {"/run/ebb/adopt/reports", NULL},
      {"/run/ebb/adopt/reports/.", NULL},
      {"/run/ebb/adopt/reports/..", NULL},
      {"/run/ebb/adopt/reports/a/b", NULL},
      {"/run/ebb/adopt/other/w1", NULL},
      {"/run/ebb/lease/reports/w1", NULL},
      {"adopt/reports/w1", NULL},
      {"", NULL},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
    const char *name = adoptdir__name(cases[i].path, "/run/ebb", "reports");
    if (cases[i].name ? !name || strcmp(name, cases[i].name) != 0 : !!name)
      fail_msg("%s is %s", cases[i].path, name ? name : "none");
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(the_directory), TEST(one_that_is_good), TEST(what_is_none),
                                     cmocka_unit_test(names)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

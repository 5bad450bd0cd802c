/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Is the run directory ours alone, and is there ever only one ebbd in it? */
#include "scene.h"

#include <sys/file.h>

#include "rundir.h"

static mode_t mode_of(const char *path) {
  struct stat st;

  assert_int_equal(lstat(path, &st), 0);
  return st.st_mode;
}

static void option_goes_before_environment_before_default(void **state) {
  (void)state;
  assert_int_equal(setenv(RUNDIR_ENV, "/from/environment", 1), 0);
  assert_string_equal(rundir__path("/from/option"), "/from/option");
  assert_string_equal(rundir__path(NULL), "/from/environment");
  assert_string_equal(rundir__path(""), "/from/environment");
  assert_int_equal(setenv(RUNDIR_ENV, "", 1), 0);
  assert_string_equal(rundir__path(NULL), RUNDIR_DEFAULT);
  assert_int_equal(unsetenv(RUNDIR_ENV), 0);
  assert_string_equal(rundir__path(NULL), RUNDIR_DEFAULT);
}

static void made_with_the_right_modes_whatever_the_umask(void **state) {
  mode_t before = umask(0277);
  int fd = rundir__make(in_scene("run"));

  (void)state;
  (void)umask(before);
  assert_true(fd >= 0);
  assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  assert_int_equal(mode_of(in_scene("run")), S_IFDIR | 0755);
  assert_int_equal(mode_of(in_scene("run/lease")), S_IFDIR | 0711);
  assert_int_equal(faccessat(fd, "lease", F_OK, 0), 0);
  (void)close(fd);

  fd = rundir__make(in_scene("run")); /* again */
  assert_true(fd >= 0);
  (void)close(fd);
  fd = rundir__open(in_scene("run"));
  assert_true(fd >= 0);
  assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  (void)close(fd);
}

static void directory_that_others_can_fill_is_refused(void **state) {
  static const mode_t modes[] = {0775, 0757, 01777};

  (void)state;
  assert_int_equal(mkdirat(scene_dirfd, "run", 0700), 0);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(fchmodat(scene_dirfd, "run", modes[i], 0), 0);
    assert_int_equal(rundir__make(in_scene("run")), -EPERM);
  }
  assert_int_equal(fchmodat(scene_dirfd, "run", 0700, 0), 0);
  assert_int_equal(mkdirat(scene_dirfd, "run/lease", 0700), 0);
  assert_int_equal(fchmodat(scene_dirfd, "run/lease", 0777, 0), 0);
  assert_int_equal(rundir__make(in_scene("run")), -EPERM);
  if (geteuid() != 0)
    SKIP("only root gives directories away");
  assert_int_equal(fchmodat(scene_dirfd, "run/lease", 0711, 0), 0);
  assert_int_equal(chown(in_scene("run"), NOBODY, 0), 0);
  assert_int_equal(rundir__make(in_scene("run")), -EPERM);
}

static void what_is_no_directory_is_refused(void **state) {
  (void)state;
  assert_int_equal(rundir__make(in_scene("missing/run")), -ENOENT);
  assert_int_equal(rundir__open(in_scene("missing")), -ENOENT);
  put_file(in_scene("file"), "", 0600);
  assert_int_equal(rundir__make(in_scene("file")), -ENOTDIR);
  assert_int_equal(mkdirat(scene_dirfd, "real", 0700), 0);
  assert_int_equal(symlinkat("real", scene_dirfd, "link"), 0);
  assert_int_equal(rundir__make(in_scene("link")), -ENOTDIR);
}

static void second_one_is_kept_out_and_told_by_whom(void **state) {
  int ends[2], fd, second;
  pid_t holder = -7, child;
  char text[32] = {0};

  (void)state;
  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  child = fork_child();
  if (child == 0) {
    if (rundir__lock(scene_dirfd, &holder) < 0 || write(ends[1], "", 1) != 1)
      _exit(1);
    pause_for_ever();
  }
  assert_int_equal(read(ends[0], text, 1), 1);
  (void)close(ends[0]);
  (void)close(ends[1]);
  assert_int_equal(rundir__lock(scene_dirfd, &holder), -EBUSY);
  assert_int_equal(holder, child);
  assert_int_equal(mode_of(in_scene("lock")), S_IFREG | 0600); /* whoever can read it can lock it */
  end_child(child);

  holder = -7;
  fd = rundir__lock(scene_dirfd, &holder); /* the lock died with its holder */
  assert_true(fd >= 0);
  assert_int_equal(holder, -7);
  assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  assert_int_equal(pread(fd, text, sizeof(text) - 1, 0) > 0, 1);
  assert_int_equal(atoi(text), getpid());
  second = rundir__lock(scene_dirfd, &holder);
  assert_int_equal(second, -EBUSY);
  assert_int_equal(holder, getpid());
  (void)close(fd);
}

static void nonsense_in_the_lock_names_nobody(void **state) {
  static const char *const texts[] = {"", "x\n", "-1\n", "12 13\n", "99999999999999\n", "\xff\xff"};
  char text[32] = {0}, expected[32];
  int fd;

  (void)state;
  for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
    pid_t holder = -7;

    put_file(in_scene("lock"), texts[i], 0644);
    fd = open(in_scene("lock"), O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(rundir__lock(scene_dirfd, &holder), -EBUSY);
    assert_int_equal(holder, 0);
    (void)close(fd);
  }
  put_file(in_scene("lock"), "99999999999999\n", 0644);
  fd = rundir__lock(scene_dirfd, &(pid_t){0});
  assert_true(fd >= 0);
  (void)snprintf(expected, sizeof(expected), "%d\n", (int)getpid());
  assert_int_equal(pread(fd, text, sizeof(text) - 1, 0), (ssize_t)strlen(expected));
  assert_string_equal(text, expected);
  (void)close(fd);
  assert_int_equal(unlinkat(scene_dirfd, "lock", 0), 0);
  assert_int_equal(symlinkat("elsewhere", scene_dirfd, "lock"), 0);
  assert_int_equal(rundir__lock(scene_dirfd, &(pid_t){0}), -ELOOP);
}

int main(void) {
#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, scene__open, scene__close)
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(option_goes_before_environment_before_default),
      IN_SCENE(made_with_the_right_modes_whatever_the_umask),
      IN_SCENE(directory_that_others_can_fill_is_refused),
      IN_SCENE(what_is_no_directory_is_refused),
      IN_SCENE(second_one_is_kept_out_and_told_by_whom),
      IN_SCENE(nonsense_in_the_lock_names_nobody),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

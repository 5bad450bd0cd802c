/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What tests of user/os share: a directory of their own, processes that cannot outlive them, a deadline. */
#ifndef UNIT_SCENE_H
#define UNIT_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

#define SCENE_DEADLINE_NS (20 * NS_PER_SEC)
#define NOBODY 65534

/* Wait for a condition; a test that waits in vain fails. */
#define UNTIL(condition)                                                                                               \
  do {                                                                                                                 \
    uint64_t end_ns_ = clock__monotonic_ns() + SCENE_DEADLINE_NS;                                                      \
    while (!(condition)) {                                                                                             \
      if (clock__monotonic_ns() > end_ns_)                                                                             \
        fail_msg("never came true: %s", #condition);                                                                   \
      (void)usleep(2000);                                                                                              \
    }                                                                                                                  \
  } while (0)

#define SKIP(...)                                                                                                      \
  do {                                                                                                                 \
    print_message("skipped: " __VA_ARGS__);                                                                            \
    print_message("\n");                                                                                               \
    skip();                                                                                                            \
  } while (0)

static char scene_path[64];
static int scene_dirfd = -1;

static int scene__remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
  (void)st, (void)kind, (void)ftw;
  return remove(path);
}

/* A cmocka setup and teardown: scene_path is an empty directory, and open as scene_dirfd. */
__attribute__((unused)) static int scene__open(void **state) {
  (void)state;
  (void)snprintf(scene_path, sizeof(scene_path), "/tmp/ebb-unit-XXXXXX");
  if (!mkdtemp(scene_path) || chmod(scene_path, 0755))
    return -1;
  scene_dirfd = open(scene_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return scene_dirfd < 0 ? -1 : 0;
}

__attribute__((unused)) static int scene__close(void **state) {
  (void)state;
  (void)close(scene_dirfd);
  return nftw(scene_path, scene__remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Path of a file in it; good until the fourth call after. */
__attribute__((unused)) static const char *in_scene(const char *name) {
  static char paths[4][192];
  static unsigned int turn;
  char *path = paths[turn++ % 4];

  (void)snprintf(path, sizeof(paths[0]), "%s/%s", scene_path, name);
  return path;
}

__attribute__((unused)) static void put_file(const char *path, const char *text, mode_t mode) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
  assert_int_equal(fchmod(fd, mode), 0);
  assert_int_equal(close(fd), 0);
}

/* Files there are no page cache that could be dropped. */
__attribute__((unused)) static bool scene_is_in_memory(void) {
  struct statfs fs;

  return fstatfs(scene_dirfd, &fs) || fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC;
}

/* fork(2); the child dies with us, whatever becomes of the test. It must end by _exit. */
__attribute__((unused)) static pid_t fork_child(void) {
  pid_t parent = getpid(), pid = fork();

  if (pid == 0) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
      _exit(127);
    return 0;
  }
  assert_true(pid > 0);
  return pid;
}

/* How a child ended: its exit code, or 1000 and the signal. */
__attribute__((unused)) static int reap_child(pid_t pid) {
  int status;

  assert_int_equal(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

__attribute__((unused)) static void end_child(pid_t pid) {
  assert_int_equal(kill(pid, SIGKILL), 0);
  (void)reap_child(pid);
}

__attribute__((unused)) static void pause_for_ever(void) {
  for (;;)
    (void)pause();
}

#endif

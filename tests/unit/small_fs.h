/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A file system that soon has no room left, for a forked child alone: it goes away with the child. */
#ifndef UNIT_SMALL_FS_H
#define UNIT_SMALL_FS_H

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SMALL_FS_NONE 77

static inline int small_fs__open(const char *dir, const char *options) {
  if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
      mount("tmpfs", dir, "tmpfs", 0, options) < 0)
    return -1;
  return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* `act` answers 0 when all was well; options such as "size=64k". A SIGBUS is only an answer. */
static inline void small_fs__run(const char *dir, const char *options, int (*act)(int dirfd)) {
  int status;
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGBUS, SIG_DFL);
    int dirfd = small_fs__open(dir, options);
    _exit(dirfd < 0 ? SMALL_FS_NONE : act(dirfd));
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  if (WIFEXITED(status) && WEXITSTATUS(status) == SMALL_FS_NONE) {
    print_message("cannot mount a small tmpfs here\n");
    skip();
  }
  assert_int_equal(status, 0);
}

#endif

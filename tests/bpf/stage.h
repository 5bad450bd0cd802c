/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a test sets up around its puppets: swap space, a small memory cgroup, processes with a pid of the test's choice.
 * What cannot be had here answers false or a negative errno; what was set up is taken down again by stage__clear.
 */
#ifndef TESTS_STAGE_H
#define TESTS_STAGE_H

#include <linux/sched.h>
#include <sys/swap.h>

#include "puppet.h"

static struct {
  char swap[64];
  char cgroup[96];
} stage;

static inline bool stage_write(const char *directory, const char *file, const char *text) {
  char path[200];
  (void)snprintf(path, sizeof(path), "%s/%s", directory, file);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  if (fd >= 0)
    (void)close(fd);
  return ok;
}

/* In a file, which /tmp may have no place for. False: no swap can be made here; errno says why. */
static inline bool stage__swap(size_t bytes) {
  char command[200];
  (void)snprintf(stage.swap, sizeof(stage.swap), "/var/tmp/ebb-test-swap.%d", getpid());
  int fd = open(stage.swap, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  bool ok = fd >= 0 && !posix_fallocate(fd, 0, (off_t)bytes);
  if (fd >= 0)
    (void)close(fd);
  (void)snprintf(command, sizeof(command), "mkswap %s >/dev/null 2>&1", stage.swap);
  if (ok && !system(command) && !swapon(stage.swap, 0))
    return true;
  int error = errno;
  (void)unlink(stage.swap);
  stage.swap[0] = 0;
  errno = error;
  return false;
}

/* Whose processes together get that much memory; the rest goes to swap. False: no such controller here. */
static inline bool stage__cgroup(uint64_t bytes) {
  char limit[24];
  (void)snprintf(limit, sizeof(limit), "%llu", (unsigned long long)bytes);
  (void)snprintf(stage.cgroup, sizeof(stage.cgroup), "/sys/fs/cgroup/memory/ebb-test-%d", getpid());
  if (!mkdir(stage.cgroup, 0755) && stage_write(stage.cgroup, "memory.limit_in_bytes", limit))
    return true;
  (void)rmdir(stage.cgroup);
  (void)stage_write("/sys/fs/cgroup", "cgroup.subtree_control", "+memory");
  (void)snprintf(stage.cgroup, sizeof(stage.cgroup), "/sys/fs/cgroup/ebb-test-%d", getpid());
  if (!mkdir(stage.cgroup, 0755) && stage_write(stage.cgroup, "memory.max", limit))
    return true;
  (void)rmdir(stage.cgroup);
  stage.cgroup[0] = 0;
  return false;
}

static inline bool stage__enter(pid_t pid) {
  char text[16];
  (void)snprintf(text, sizeof(text), "%d", pid);
  return stage_write(stage.cgroup, "cgroup.procs", text);
}

/* After the puppets are gone. */
static inline void stage__clear(void) {
  for (int i = 0; stage.cgroup[0] && i < 1000 && rmdir(stage.cgroup) && errno == EBUSY; i++)
    (void)usleep(1000);
  if (stage.swap[0]) {
    (void)swapoff(stage.swap);
    (void)unlink(stage.swap);
  }
  stage.swap[0] = stage.cgroup[0] = 0;
}

/* As fork, and the child gets this pid, which must be free. The kernel lets it be chosen from 5.5 on. */
static inline pid_t stage__fork_as(pid_t pid) {
  pid_t wanted = pid;
  struct clone_args arguments = {
      .exit_signal = SIGCHLD,
      .set_tid = (uintptr_t)&wanted,
      .set_tid_size = 1,
  };
  long r = syscall(SYS_clone3, &arguments, sizeof(arguments));
  return r < 0 ? -errno : (pid_t)r;
}

#endif

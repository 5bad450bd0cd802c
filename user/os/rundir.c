/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "parse.h"

#define LOCK_NAME "lock"
#define LEASE_DIRECTORY "lease"

const char *rundir__path(const char *option) {
  const char *environment = getenv(RUNDIR_ENV);

  if (option && *option)
    return option;
  return environment && *environment ? environment : RUNDIR_DEFAULT;
}

/* A directory in which only we can make files, made with the mode when it is missing. Descriptor or negative errno. */
static int own_directory(int dirfd, const char *path, mode_t mode) {
  bool made = !mkdirat(dirfd, path, mode);
  _cleanup_fd_ int fd = -1;
  struct stat st;

  if (!made && errno != EEXIST)
    return -errno;
  fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &st))
    return -errno;
  if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
    return -EPERM;
  if (made && fchmod(fd, mode)) /* whatever the umask is */
    return -errno;
  return steal_fd(&fd);
}

int rundir__make(const char *path) {
  _cleanup_fd_ int fd = own_directory(AT_FDCWD, path, 0755), lease = -1;

  if (fd < 0)
    return steal_fd(&fd);
  lease = own_directory(fd, LEASE_DIRECTORY, 0711);
  return lease < 0 ? lease : steal_fd(&fd);
}

int rundir__open(const char *path) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  return fd < 0 ? -errno : fd;
}

static pid_t read_holder(int fd) {
  char text[32] = {0};
  uint64_t pid;

  if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
    return 0;
  text[strcspn(text, "\n")] = '\0';
  return parse__number(text, INT_MAX, &pid) ? 0 : (pid_t)pid;
}

/* The pid is for people only; the lock is what counts, and it goes with its process. */
static int write_holder(int fd) {
  char text[32];
  int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

  if (ftruncate(fd, 0) || pwrite(fd, text, (size_t)n, 0) < 0)
    return -errno;
  return 0;
}

int rundir__lock(int dirfd, pid_t *ret_holder) {
  /* Not readable for others: flock takes no more than that. */
  _cleanup_fd_ int fd = openat(dirfd, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  int err;

  if (fd < 0)
    return -errno;
  if (flock(fd, LOCK_EX | LOCK_NB)) {
    if (errno != EWOULDBLOCK)
      return -errno;
    *ret_holder = read_holder(fd);
    return -EBUSY;
  }
  err = write_holder(fd);
  return err ? err : steal_fd(&fd);
}

int rundir__tag(int dirfd, char *to, size_t size) {
  struct stat st;

  if (fstat(dirfd, &st))
    return -errno;
  (void)snprintf(to, size, "ebb-%llx-%llx", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
  return 0;
}

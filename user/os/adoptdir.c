/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "adoptdir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "ebb/lease.h"

#define ADOPT_DIRECTORY "adopt"

static int open_directory(int dirfd, const char *name) {
  int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

  return fd < 0 ? -errno : fd;
}

/* The mode before the owner: to change the mode of somebody else's directory would take CAP_FOWNER. */
static int give(int fd, uid_t uid, gid_t gid) {
  struct stat st;

  if (fstat(fd, &st))
    return -errno;
  if (st.st_uid == uid && st.st_gid == gid && (st.st_mode & 07777) == 0770)
    return 0;
  if (st.st_uid != geteuid() && fchown(fd, geteuid(), gid))
    return -errno;
  return fchmod(fd, 0770) || fchown(fd, uid, gid) ? -errno : 0;
}

int adoptdir__make(int run_dirfd, const char *pool, uid_t uid, gid_t gid) {
  _cleanup_fd_ int all = -1, one = -1;

  if (!mkdirat(run_dirfd, ADOPT_DIRECTORY, 0711))
    (void)fchmodat(run_dirfd, ADOPT_DIRECTORY, 0711, 0); /* whatever the umask is */
  all = open_directory(run_dirfd, ADOPT_DIRECTORY);
  if (all < 0)
    return all;
  if (mkdirat(all, pool, 0700) && errno != EEXIST)
    return -errno;
  one = open_directory(all, pool);
  return one < 0 ? one : give(one, uid, gid);
}

const char *adoptdir__name(const char *path, const char *run_path, const char *pool) {
  char directory[PATH_MAX + 64];
  size_t n = (size_t)snprintf(directory, sizeof(directory), "%s/" ADOPT_DIRECTORY "/%s/", run_path, pool);
  const char *name = path + n;

  if (n >= sizeof(directory) || strncmp(path, directory, n) != 0)
    return NULL;
  return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 ? name : NULL;
}

/* As its user: what that one may not open is not opened for them, and the mode is theirs to change. O_NONBLOCK: should it be a
 * FIFO, opening it must not hang. */
static int open_as(int dirfd, const char *name, uid_t uid, struct stat *st) {
  int before = setfsuid(uid), err = 0;
  _cleanup_fd_ int fd = openat(dirfd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

  if (fd < 0 || fstat(fd, st))
    err = -errno;
  else if (!S_ISREG(st->st_mode) || st->st_uid != uid || st->st_nlink != 1)
    err = -EPROTO;
  else if (fchmod(fd, 0660))
    err = -errno;
  (void)setfsuid((uid_t)before);
  return err ? err : steal_fd(&fd);
}

int adoptdir__open(int run_dirfd, const char *pool, const char *name, uid_t uid, gid_t gid) {
  _cleanup_fd_ int all = open_directory(run_dirfd, ADOPT_DIRECTORY), one = -1, fd = -1;
  struct stat st;

  if (all < 0)
    return all;
  one = open_directory(all, pool);
  if (one < 0)
    return one;
  fd = open_as(one, name, uid, &st);
  if (fd < 0)
    return fd == -EISDIR || fd == -ENXIO ? -EPROTO : steal_fd(&fd);
  if ((st.st_gid != gid && fchown(fd, (uid_t)-1, gid)) ||
      (st.st_size < EBB_LEASE_BYTES && ftruncate(fd, EBB_LEASE_BYTES)))
    return -errno;
  return steal_fd(&fd);
}

/* By the descriptor, since its own name may be another file's by now. */
int adoptdir__link(int fd, int lease_dirfd, const char *name) {
  char path[48];

  (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
  return linkat(AT_FDCWD, path, lease_dirfd, name, AT_SYMLINK_FOLLOW) ? -errno : 0;
}

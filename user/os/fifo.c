/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "fifo.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

/* Whatever else lies there (link, directory, socket) fails to open in a way of its own; all mean: not ours. */
static int taken(int err) {
  switch (err) {
  case ELOOP:
  case EISDIR:
  case ENXIO:
  case ENODEV:
    return -EEXIST;
  default:
    return -err;
  }
}

static bool is_ours(int fd) {
  struct stat st;

  return !fstat(fd, &st) && S_ISFIFO(st.st_mode) && st.st_uid == geteuid();
}

/* The group before the mode: no other group may write in between. */
int fifo__serve(int dirfd, const char *name, gid_t gid) {
  _cleanup_fd_ int fd = -1;

  if (mkfifoat(dirfd, name, 0600) && errno != EEXIST)
    return -errno;
  fd = openat(dirfd, name, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
  if (fd < 0)
    return taken(errno);
  if (!is_ours(fd))
    return -EEXIST;
  if (fchown(fd, (uid_t)-1, gid) || fchmod(fd, 0620))
    return -errno;
  return steal_fd(&fd);
}

int fifo__open(int dirfd, const char *name) {
  _cleanup_fd_ int fd = openat(dirfd, name, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
  struct stat st;

  if (fd < 0)
    return errno == ELOOP || errno == EISDIR ? -ENOTSUP : -errno;
  if (fstat(fd, &st))
    return -errno;
  if (!S_ISFIFO(st.st_mode))
    return -ENOTSUP;
  return steal_fd(&fd);
}

int fifo__send(int fd, const char *line, size_t n) {
  ssize_t written;

  if (n > PIPE_BUF) /* the kernel might cut it */
    return -EMSGSIZE;
  do
    written = write(fd, line, n);
  while (written < 0 && errno == EINTR);
  if (written < 0)
    return -errno;
  return (size_t)written == n ? 0 : -EIO;
}

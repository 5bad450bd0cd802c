/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

static int put(void *arg, const char *bytes, size_t n) {
  struct recorder *recorder = arg;
  if (n > recorder->most_bytes - recorder->used_bytes)
    return -EFBIG;
  while (n > 0) {
    ssize_t written = write(recorder->fd, bytes, n);
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return written < 0 ? -errno : -EIO;
    recorder->used_bytes += (uint64_t)written;
    bytes += written;
    n -= (size_t)written;
  }
  return 0;
}

/* A watch that was killed may have left a line unfinished: what follows is a line of its own. */
static int end_last_line(struct recorder *recorder) {
  char last;
  if (recorder->used_bytes == 0)
    return 0;
  if (pread(recorder->fd, &last, 1, (off_t)recorder->used_bytes - 1) != 1)
    return -EIO;
  return last == '\n' ? 0 : put(recorder, "\n", 1);
}

/* A FIFO or a terminal would stop the loop. */
static int open_regular(const char *path, uint64_t *ret_bytes) {
  struct stat status;
  _cleanup_fd_ int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
  if (fd < 0 || fstat(fd, &status))
    return -errno;
  if (!S_ISREG(status.st_mode))
    return -ENOTSUP;
  if (flock(fd, LOCK_EX | LOCK_NB))
    return -EBUSY;
  *ret_bytes = (uint64_t)status.st_size;
  return steal_fd(&fd);
}

int recorder__open(struct recorder *recorder, const char *path, uint64_t most_bytes) {
  *recorder = (struct recorder){.fd = -1, .most_bytes = most_bytes};
  int fd = open_regular(path, &recorder->used_bytes);
  if (fd < 0)
    return fd;
  recorder->fd = fd;
  recorder->tape = calloc(1, sizeof(*recorder->tape));
  int error = !recorder->tape ? -ENOMEM : recorder->used_bytes >= most_bytes ? -EFBIG : end_last_line(recorder);
  if (error)
    recorder__close(recorder);
  return error;
}

void recorder__take(struct recorder *recorder, const struct policy_input *in, const struct plan *plan,
                    const char *const names[EBB_POOLS_MAX]) {
  if (recorder->fd >= 0)
    tape__take(recorder->tape, in, plan, names);
}

int recorder__write(struct recorder *recorder) {
  if (recorder->fd < 0)
    return 0;
  uint64_t whole_bytes = recorder->used_bytes;
  int error = tape__write(recorder->tape, put, recorder);
  if (!error)
    return 0;
  (void)ftruncate(recorder->fd, (off_t)whole_bytes);
  recorder__close(recorder);
  return error;
}

void recorder__close(struct recorder *recorder) {
  if (recorder->fd >= 0)
    (void)close(recorder->fd);
  free(recorder->tape);
  *recorder = (struct recorder){.fd = -1};
}

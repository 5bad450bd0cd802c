/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "tail.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

static void name_of(const struct tail *tail, int number, char *to, size_t size) {
  if (number == 0)
    (void)snprintf(to, size, "%s", tail->name);
  else
    (void)snprintf(to, size, "%s.%d", tail->name, number);
}

static int open_number(const struct tail *tail, int number) {
  char name[NAME_MAX];
  name_of(tail, number, name, sizeof(name));
  /* Non-blocking: whatever lies under that name must not stop us. */
  int fd = openat(tail->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  struct stat status;
  if (fd < 0)
    return -errno;
  if (!fstat(fd, &status) && S_ISREG(status.st_mode))
    return fd;
  (void)close(fd);
  return -EPROTO;
}

static bool is_number(const struct tail *tail, const struct stat *file, int number) {
  char name[NAME_MAX];
  struct stat status;
  name_of(tail, number, name, sizeof(name));
  return !fstatat(tail->dirfd, name, &status, 0) && status.st_ino == file->st_ino && status.st_dev == file->st_dev;
}

/* Files only move to higher numbers, so going up cannot miss ours. -1: it is no longer there. */
static int number_of(const struct tail *tail, const struct stat *file) {
  for (int i = 0; i < TAIL_FILES_MAX; i++)
    if (is_number(tail, file, i))
      return i;
  return -1;
}

static int open_oldest(const struct tail *tail) {
  for (int i = TAIL_FILES_MAX - 1; i > 0; i--) {
    int fd = open_number(tail, i);
    if (fd != -ENOENT)
      return fd;
  }
  return open_number(tail, 0);
}

/* The file that came after ours; -ENOENT: ours is the newest. */
static int open_successor(const struct tail *tail) {
  struct stat file;
  if (fstat(tail->fd, &file))
    return -errno;
  for (;;) {
    int number = number_of(tail, &file);
    if (number <= 0)
      return number < 0 ? open_oldest(tail) : -ENOENT;
    _cleanup_fd_ int fd = open_number(tail, number - 1);
    /* Renaming goes from the oldest to the newest: while ours has not moved, neither had the one that we opened. */
    if (is_number(tail, &file, number))
      return fd < 0 ? fd : steal_fd(&fd);
  }
}

static int start(struct tail *tail, bool from_end) {
  tail->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  char path[64];
  (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", tail->dirfd);
  /* The directory, since files come and go: a few turns for nothing are the price. */
  if (tail->inotify_fd < 0 || inotify_add_watch(tail->inotify_fd, path, IN_MODIFY | IN_MOVED_TO | IN_ONLYDIR) < 0)
    return -errno;
  tail->buffer = malloc(TAIL_LINE_BYTES);
  if (!tail->buffer)
    return -ENOMEM;
  int fd = from_end ? open_number(tail, 0) : open_oldest(tail);
  if (fd < 0)
    return fd == -ENOENT ? 0 : fd;
  tail->fd = fd;
  return from_end && lseek(fd, 0, SEEK_END) < 0 ? -errno : 0;
}

int tail__open(struct tail *tail, int dirfd, const char *name, bool from_end) {
  *tail = (struct tail){.dirfd = dirfd, .name = name, .inotify_fd = -1, .fd = -1};
  int r = start(tail, from_end);
  if (r < 0)
    tail__close(tail);
  return r;
}

void tail__close(struct tail *tail) {
  if (tail->fd >= 0)
    (void)close(tail->fd);
  if (tail->inotify_fd >= 0)
    (void)close(tail->inotify_fd);
  free(tail->buffer);
  *tail = (struct tail){.dirfd = -1, .inotify_fd = -1, .fd = -1};
}

/* More bytes into the buffer: how many, 0 at the end of the file. */
static ssize_t fill(struct tail *tail) {
  memmove(tail->buffer, tail->buffer + tail->from, tail->to - tail->from);
  tail->to -= tail->from;
  tail->from = 0;
  ssize_t n;
  do
    n = read(tail->fd, tail->buffer + tail->to, TAIL_LINE_BYTES - tail->to);
  while (n < 0 && errno == EINTR);
  if (n > 0)
    tail->to += (size_t)n;
  return n < 0 ? -errno : n;
}

/* A whole line, or a full buffer of one. */
static bool take(struct tail *tail, char **ret_line, size_t *ret_n) {
  char *line = tail->buffer + tail->from;
  size_t left = tail->to - tail->from;
  char *newline = memchr(line, '\n', left);
  if (!newline && left < TAIL_LINE_BYTES)
    return false;
  *ret_line = line;
  *ret_n = newline ? (size_t)(newline - line) : left;
  tail->from += newline ? *ret_n + 1 : left;
  return true;
}

size_t tail__rest(struct tail *tail, char **ret_line) {
  size_t n = tail->to - tail->from;
  *ret_line = tail->buffer + tail->from;
  tail->from = tail->to;
  return n;
}

/* At the end of a file. 1: there is more, in this file or in the next one; 0: not yet. */
static int go_on(struct tail *tail) {
  _cleanup_fd_ int next = tail->fd < 0 ? open_number(tail, 0) : open_successor(tail);
  if (next < 0)
    return next == -ENOENT ? 0 : next;
  /* It may have been written to between our last look and its renaming; from now on it cannot. */
  ssize_t n = tail->fd < 0 ? 0 : fill(tail);
  if (n != 0)
    return n < 0 ? (int)n : 1;
  if (tail->fd >= 0)
    (void)close(tail->fd);
  tail->fd = steal_fd(&next);
  return 1;
}

int tail__next(struct tail *tail, char **ret_line, size_t *ret_n) {
  while (!take(tail, ret_line, ret_n)) {
    ssize_t n = tail->fd < 0 ? 0 : fill(tail);
    if (n < 0)
      return (int)n;
    if (n > 0)
      continue;
    int old = tail->fd, r = go_on(tail);
    if (r <= 0)
      return r;
    /* Half a line at the end of a file that is done with is not the beginning of one in the next. */
    if (tail->fd != old && tail->to > tail->from) {
      *ret_n = tail__rest(tail, ret_line);
      return 1;
    }
  }
  return 1;
}

int tail__fd(const struct tail *tail) {
  return tail->inotify_fd;
}

void tail__drain(struct tail *tail) {
  char events[4096];
  while (read(tail->inotify_fd, events, sizeof(events)) > 0)
    ;
}

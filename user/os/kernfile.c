/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "kernfile.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cleanup.h"

#define LINES_BYTES (16 * 1024)

static ssize_t read_again(int fd, char *to, size_t n) {
  ssize_t got;

  do
    got = read(fd, to, n);
  while (got < 0 && errno == EINTR);
  return got < 0 ? -errno : got;
}

/* A seq_file gives at most a page with each read, so one read is never taken for the whole. */
int kernfile__read(const char *path, char *to, size_t size) {
  _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
  size_t used = 0;
  ssize_t got;

  if (fd < 0)
    return -errno;
  do {
    got = read_again(fd, to + used, size - used);
    if (got < 0)
      return (int)got;
    used += (size_t)got;
    if (used == size)
      return -EFBIG;
  } while (got > 0);
  to[used] = '\0';
  return 0;
}

/* Hand over the whole lines of text[0..n); returns how many bytes they took, or -1 when take() has enough. */
static ssize_t take_lines(char *text, size_t n, bool *skipping, bool (*take)(const char *, void *), void *arg) {
  char *line = text, *newline;

  while ((newline = memchr(line, '\n', n - (size_t)(line - text)))) {
    *newline = '\0';
    if (!*skipping && !take(line, arg))
      return -1;
    *skipping = false;
    line = newline + 1;
  }
  return line - text;
}

int kernfile__each_line(const char *path, bool (*take)(const char *line, void *arg), void *arg) {
  _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
  char text[LINES_BYTES];
  bool skipping = false;
  size_t used = 0;

  if (fd < 0)
    return -errno;
  for (;;) {
    ssize_t got = read_again(fd, text + used, sizeof(text) - used), taken;

    if (got <= 0)
      return (int)got;
    used += (size_t)got;
    taken = take_lines(text, used, &skipping, take, arg);
    if (taken < 0)
      return 0;
    used -= (size_t)taken;
    memmove(text, text + taken, used);
    if (used == sizeof(text)) {
      skipping = true;
      used = 0;
    }
  }
}

int kernfile__each_number(int fd, int (*take)(uint64_t number, void *arg), void *arg) {
  char text[4096];
  uint64_t number = 0;
  bool within = false;
  ssize_t got;

  while ((got = read_again(fd, text, sizeof(text))) > 0)
    for (ssize_t i = 0; i < got; i++) {
      bool digit = isdigit((unsigned char)text[i]);
      int end = within && !digit ? take(number, arg) : 0;

      if (end)
        return end;
      number = digit ? number * 10 + (uint64_t)(text[i] - '0') : 0;
      within = digit;
    }
  return (int)got;
}

/* Not readdir, which allocates. */
int kernfile__each_name(int dirfd, int (*take)(const char *name, void *arg), void *arg) {
  _Alignas(struct dirent64) char entries[8 * 1024];
  ssize_t got;

  while ((got = getdents64(dirfd, entries, sizeof(entries))) > 0)
    for (char *at = entries; at < entries + got; at += ((struct dirent64 *)(void *)at)->d_reclen) {
      int end = take(((struct dirent64 *)(void *)at)->d_name, arg);

      if (end)
        return end;
    }
  return got < 0 ? -errno : 0;
}

int kernfile__write(const char *path, const char *value) {
  _cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
  size_t n = strlen(value);
  ssize_t written;

  if (fd < 0)
    return -errno;
  written = write(fd, value, n);
  if (written < 0)
    return -errno;
  return (size_t)written == n ? 0 : -EIO;
}

/* What follows `key` at the start of a line, blanks skipped. */
static const char *after_key(const char *text, const char *key) {
  size_t n = strlen(key);

  for (const char *line = text; line; line = strchr(line, '\n')) {
    line += *line == '\n';
    if (strncmp(line, key, n))
      continue;
    line += n;
    if (n && key[n - 1] != ':' && *line != ' ')
      continue; /* a longer key that begins like this one */
    return line + strspn(line, " \t");
  }
  return NULL;
}

static int number_at(const char **at, uint64_t *ret) {
  char *end;

  if (!isdigit((unsigned char)**at))
    return -EPROTO;
  errno = 0;
  *ret = strtoull(*at, &end, 10);
  if (errno)
    return -EPROTO;
  *at = end;
  return 0;
}

int kernfile__number(const char *text, const char *key, uint64_t *ret) {
  const char *at = after_key(text, key);
  uint64_t number;

  if (!at)
    return -ENOENT;
  if (number_at(&at, &number))
    return -EPROTO;
  *ret = number;
  return 0;
}

int kernfile__kib(const char *text, const char *key, uint64_t *ret_bytes) {
  const char *at = after_key(text, key);
  uint64_t kib;

  if (!at)
    return -ENOENT;
  if (number_at(&at, &kib) || kib > UINT64_MAX / 1024 || strncmp(at, " kB", 3))
    return -EPROTO;
  *ret_bytes = kib * 1024;
  return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "procenv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cleanup.h"
#include "kernfile.h"
#include "procstat.h"

/* An environment is read piece by piece: it may be long, and a process may put anything in the place of its own. */
#define ENV_BYTES_MAX (4 * 1024 * 1024)

static void *address(unsigned long at) {
  return (void *)at; // NOLINT(performance-no-int-to-ptr): of another process
}

struct env_search {
  const char *name;
  size_t matched; /* bytes of the name, or NO_MATCH until the next string */
  bool found;
  char *to;
  size_t used, size;
};

#define NO_MATCH SIZE_MAX

/* Take one byte. 1: the value is whole. */
static int env_byte(struct env_search *search, char byte) {
  if (search->found) {
    if (search->used == search->size)
      return -ENAMETOOLONG;
    search->to[search->used++] = byte;
    return byte == '\0';
  }
  if (byte == '\0')
    search->matched = 0;
  else if (search->matched != NO_MATCH && search->name[search->matched] == '\0' && byte == '=')
    search->found = true;
  else if (search->matched != NO_MATCH && search->name[search->matched] == byte)
    search->matched++;
  else
    search->matched = NO_MATCH;
  return 0;
}

/* A piece of it. 1: the value is whole. */
static int take_piece(struct env_search *search, const char *text, size_t n) {
  int whole = 0;

  for (size_t i = 0; i < n && !whole; i++)
    whole = env_byte(search, text[i]);
  return whole;
}

/* -ESRCH: no such process or thread, or there is nothing at all, as of one that has no memory any more. */
static int search_file(const char *path, struct env_search *search) {
  _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
  size_t left = ENV_BYTES_MAX;
  char text[4096];
  ssize_t got;

  if (fd < 0)
    return errno == ENOENT ? -ESRCH : -errno;
  while ((got = read(fd, text, sizeof(text))) > 0 && (size_t)got <= left) {
    int whole = take_piece(search, text, (size_t)got);

    if (whole)
      return whole < 0 ? whole : 0;
    left -= (size_t)got;
  }
  return got < 0 ? -errno : left == ENV_BYTES_MAX ? -ESRCH : -ENOENT;
}

/* Fields of stat by their numbers in proc(5), from the first one after the command. */
enum { STATE = 3, ENV_START = 50, ENV_END };

int procenv__range(const char *stat_text, unsigned long *ret_start, unsigned long *ret_end) {
  const char *at = strrchr(stat_text, ')');
  unsigned long start, end;

  if (!at || at[1] != ' ')
    return -EPROTO;
  at += 2;
  for (int field = STATE; field < ENV_START; field++) {
    at = strchr(at, ' ');
    if (!at)
      return -EPROTO;
    at++;
  }
  if (sscanf(at, "%lu %lu ", &start, &end) != 2)
    return -EPROTO;
  *ret_start = start;
  *ret_end = end > start && end - start <= ENV_BYTES_MAX ? end : start;
  return 0;
}

/* By a thread's number, its process's memory. */
static int search_memory(const char *stat_path, int thread, struct env_search *search) {
  unsigned long at, end;
  char text[4096];
  int err = kernfile__read(stat_path, text, sizeof(text));

  if (err || procenv__range(text, &at, &end))
    return err && err != -ENOENT ? err : -ESRCH;
  if (at == end)
    return -EACCES;
  while (at < end) {
    struct iovec to = {text, sizeof(text) < end - at ? sizeof(text) : end - at}, from = {address(at), to.iov_len};
    ssize_t got = process_vm_readv(thread, &to, 1, &from, 1, 0);
    int whole = got > 0 ? take_piece(search, text, (size_t)got) : 0;

    if (whole)
      return whole < 0 ? whole : 0;
    if (got <= 0)
      return got < 0 && errno != EFAULT ? -errno : -ENOENT;
    at += (unsigned long)got;
  }
  return -ENOENT;
}

static int search_env(const char *directory, int thread, struct env_search *search) {
  char path[80];
  int err;

  (void)snprintf(path, sizeof(path), "%s/environ", directory);
  err = search_file(path, search);
  if (err != -EACCES)
    return err;
  (void)snprintf(path, sizeof(path), "%s/stat", directory);
  err = search_memory(path, thread, search);
  return err == -EPERM ? -EACCES : err;
}

static int search_env_of_thread(pid_t pid, int thread, void *arg) {
  char directory[64];

  (void)snprintf(directory, sizeof(directory), "/proc/%d/task/%d", pid, thread);
  return search_env(directory, thread, arg);
}

int procenv__read(pid_t pid, const char *name, char *to, size_t size) {
  struct env_search search = {.name = name, .to = to, .size = size};
  char directory[64];
  int err;

  (void)snprintf(directory, sizeof(directory), "/proc/%d", pid);
  err = search_env(directory, pid, &search);
  if (err == -ESRCH)
    err = procstat__ask_others(pid, search_env_of_thread, &search);
  return err == -ESRCH && !access(directory, F_OK) ? -ENOENT : err;
}

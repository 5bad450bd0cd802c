/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "locks.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "fault.h"
#include "kernfile.h"

int lease_key__order(const void *a, const void *b) {
  const struct lease_key *x = a, *y = b;

  if (x->inode != y->inode)
    return x->inode < y->inode ? -1 : 1;
  if (x->major != y->major)
    return x->major < y->major ? -1 : 1;
  return (x->minor > y->minor) - (x->minor < y->minor);
}

static const char *skip_blanks(const char *at) {
  return at + strspn(at, " \t");
}

static const char *skip_word(const char *at) {
  return skip_blanks(at + strcspn(at, " \t\n"));
}

/* A number in the given base, and the byte that must follow it. */
static bool take_number(const char **at, int base, char then, uint64_t *ret) {
  char *end;

  if (!isxdigit((unsigned char)**at))
    return false;
  errno = 0;
  *ret = strtoull(*at, &end, base);
  if (errno || end == *at || *end != then)
    return false;
  *at = end + 1;
  return true;
}

static bool take_key(const char *at, struct lease_key *ret) {
  uint64_t major, minor, inode;

  if (!take_number(&at, 16, ':', &major) || !take_number(&at, 16, ':', &minor) || !take_number(&at, 10, ' ', &inode))
    return false;
  if (major > UINT32_MAX || minor > UINT32_MAX)
    return false;
  *ret = (struct lease_key){.major = (uint32_t)major, .minor = (uint32_t)minor, .inode = inode};
  return true;
}

/* "1: FLOCK  ADVISORY  WRITE 2546 fe:00:10952753 0 EOF"; who waits for it follows as "1: -> FLOCK …", and who waits
 * for a waiter with more blanks before the arrow. */
static bool take_flock(const char *line, struct lease_key *ret_key, pid_t *ret_pid, bool *ret_waits) {
  const char *at = skip_word(line);
  bool waits = !strncmp(at, "->", 2);

  if (waits)
    at = skip_blanks(at + 2);
  if (strncmp(at, "FLOCK ", 6))
    return false;
  for (int i = 0; i < 3; i++)
    at = skip_word(at);
  *ret_pid = atoi(at);
  if (!take_key(skip_word(at), ret_key))
    return false;
  *ret_waits = waits;
  return true;
}

struct locks_search {
  const struct lease_key *keys;
  size_t n;
  struct lease_use *uses;
  locks_user *counts;
  void *arg;
};

static bool note_lock(const char *line, void *arg) {
  struct locks_search *search = arg;
  const struct lease_key *found;
  struct lease_key key;
  pid_t pid;
  bool waits;
  size_t i;

  if (!search->n || !take_flock(line, &key, &pid, &waits))
    return search->n > 0;
  found = bsearch(&key, search->keys, search->n, sizeof(key), lease_key__order);
  if (!found)
    return true;
  i = (size_t)(found - search->keys);
  if (search->counts && !search->counts(i, pid, search->arg))
    return true;
  if (waits)
    search->uses[i].awaited = true;
  else
    search->uses[i].held = true;
  return true;
}

static void forget(struct lease_use *uses, size_t n) {
  for (size_t i = 0; i < n; i++)
    uses[i] = (struct lease_use){0};
}

void locks__parse(const char *text, const struct lease_key *keys, size_t n, struct lease_use *uses) {
  struct locks_search search = {.keys = keys, .n = n, .uses = uses};

  forget(uses, n);
  for (const char *line = text; line; line = strchr(line, '\n')) {
    line += *line == '\n';
    (void)note_lock(line, &search);
  }
}

/*
 * The kernel lists a page at a time, by position: a lock that moves between two reads can be missed, and is seen the
 * next time. In a pid namespace, locks whose taker is dead (held on by a helper that inherited them) are not listed.
 */
int locks__read_of(const struct lease_key *keys, size_t n, struct lease_use *uses, locks_user *counts, void *arg) {
  struct locks_search search = {keys, n, uses, counts, arg};

  forget(uses, n);
  if (FAULT_FAILS(NO_LOCKS))
    return -errno;
  return kernfile__each_line("/proc/locks", note_lock, &search);
}

int locks__read(const struct lease_key *keys, size_t n, struct lease_use *uses) {
  return locks__read_of(keys, n, uses, NULL, NULL);
}

struct descriptor_search {
  pid_t pid;
  const struct lease_key *key;
  bool found;
};

/* "lock:\t1: FLOCK …", of each lock that was taken through this very file description. */
static bool note_own_lock(const char *line, void *arg) {
  struct descriptor_search *search = arg;
  struct lease_key key;
  pid_t pid;
  bool waits;

  if (!strncmp(line, "lock:", 5) && take_flock(skip_word(line), &key, &pid, &waits))
    search->found |= !lease_key__order(&key, search->key);
  return !search->found;
}

static int look_at_descriptor(const char *name, void *arg) {
  struct descriptor_search *search = arg;
  char path[80];

  if (!isdigit((unsigned char)*name))
    return 0;
  (void)snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.16s", search->pid, name);
  (void)kernfile__each_line(path, note_own_lock, search);
  return search->found;
}

bool locks__held_through(pid_t pid, const struct lease_key *key) {
  struct descriptor_search search = {.pid = pid, .key = key};
  char path[64];

  (void)snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
  _cleanup_fd_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return fd >= 0 && kernfile__each_name(fd, look_at_descriptor, &search) == 1;
}

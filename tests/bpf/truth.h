/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What /proc says a set of processes holds, asked by means of the tests' own: the oracle that sensors are compared with.
 * Of a process whose first thread has ended, another thread is asked; an address space that several share counts once
 * if the caller names one of them.
 */
#ifndef TESTS_TRUTH_H
#define TESTS_TRUTH_H

#include <dirent.h>

#include "puppet.h"

/* Freed memory that the sanitizer keeps back would be in each puppet, and make each fork dear. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
  return "quarantine_size_mb=1";
}

struct truth {
  uint64_t anon, shmem, swap;   /* of status: RssAnon, RssShmem, VmSwap */
  uint64_t file;                /* RssFile */
  uint64_t rollup, rollup_swap; /* of smaps_rollup: Rss, Swap; walked, so always exact */
};

static inline uint64_t truth_kib(const char *text, const char *key) {
  const char *at = strstr(text, key);
  return at ? strtoull(at + strlen(key), NULL, 10) * 1024 : 0;
}

static inline bool truth_text(pid_t pid, const char *thread, const char *file, char *to, size_t size) {
  char path[128];
  (void)snprintf(path, sizeof(path), "/proc/%d/task/%.16s/%s", pid, thread, file);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? -1 : read(fd, to, size - 1);
  if (fd >= 0)
    (void)close(fd);
  to[got > 0 ? got : 0] = 0;
  return got > 0;
}

/* False: it has no memory any more. `walk`: read smaps_rollup too, which walks its page tables. */
static inline bool truth__read(struct truth *truth, pid_t pid, bool walk) {
  char path[64], text[16 * 1024];
  bool found = false;
  (void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
  DIR *dir = opendir(path);
  for (struct dirent *entry; dir && !found && (entry = readdir(dir));) {
    if (entry->d_name[0] == '.' || !truth_text(pid, entry->d_name, "status", text, sizeof(text)) ||
        !strstr(text, "\nRssAnon:"))
      continue;
    found = true;
    truth->anon += truth_kib(text, "\nRssAnon:");
    truth->shmem += truth_kib(text, "\nRssShmem:");
    truth->swap += truth_kib(text, "\nVmSwap:");
    truth->file += truth_kib(text, "\nRssFile:");
    if (!walk)
      continue;
    (void)truth_text(pid, entry->d_name, "smaps_rollup", text, sizeof(text));
    truth->rollup += truth_kib(text, "\nRss:");
    truth->rollup_swap += truth_kib(text, "\nSwap:");
  }
  if (dir)
    (void)closedir(dir);
  return found;
}

static inline bool truth__add(struct truth *truth, pid_t pid) {
  return truth__read(truth, pid, false);
}

static inline uint64_t truth__sum(const struct truth *truth) {
  return truth->anon + truth->shmem + truth->swap;
}

/* The process and its descendants as far as they are each other's children, in the caller's pid namespace. */
static inline int truth__tree(pid_t pid, pid_t *to, int n, int max) {
  char path[64], text[4096];
  if (n == max)
    return n;
  to[n++] = pid;
  (void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
  DIR *dir = opendir(path);
  for (struct dirent *entry; dir && (entry = readdir(dir));) {
    if (entry->d_name[0] == '.' || !truth_text(pid, entry->d_name, "children", text, sizeof(text)))
      continue;
    for (char *at = text, *end; n < max; at = end) {
      pid_t child = (pid_t)strtol(at, &end, 10);
      if (end == at)
        break;
      n = truth__tree(child, to, n, max);
    }
  }
  if (dir)
    (void)closedir(dir);
  return n;
}

static inline uint64_t truth__of_tree(pid_t root) {
  pid_t pids[256];
  struct truth truth = {0};
  int n = truth__tree(root, pids, 0, 256);
  for (int i = 0; i < n; i++)
    (void)truth__add(&truth, pids[i]);
  return truth__sum(&truth);
}

#endif

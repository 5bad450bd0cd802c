/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "procstat.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>

#include "cleanup.h"
#include "fault.h"
#include "kernfile.h"

/* What a status file is at most: thousands of supplementary groups are in it. */
#define TEXT_BYTES (16 * 1024)

/* Opening fails with ENOENT, reading with ESRCH, when the process is gone. */
static int read_of(pid_t pid, const char *name, char *to, size_t size) {
  char path[96];
  int err;

  (void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
  err = kernfile__read(path, to, size);
  return err == -ENOENT ? -ESRCH : err;
}

int procstat__ask_others(pid_t pid, int (*ask)(pid_t pid, int thread, void *arg), void *arg) {
  char path[64];
  _Alignas(struct dirent64) char entries[4096];
  _cleanup_fd_ int fd = -1;
  ssize_t got;

  (void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
  fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return errno == ENOENT ? -ESRCH : -errno;
  while ((got = getdents64(fd, entries, sizeof(entries))) > 0)
    for (char *at = entries; at < entries + got; at += ((struct dirent64 *)(void *)at)->d_reclen) {
      int thread = atoi(((struct dirent64 *)(void *)at)->d_name);
      int answer = thread > 0 && thread != pid ? ask(pid, thread, arg) : -ESRCH;

      if (answer != -ESRCH)
        return answer;
    }
  return got < 0 ? -errno : -ESRCH;
}

struct thread_text {
  const char *name, *mark; /* a text without the mark does not tell */
  char *to;
  size_t size;
};

static int read_of_thread(pid_t pid, int thread, void *arg) {
  const struct thread_text *text = arg;
  char path[64];

  (void)snprintf(path, sizeof(path), "task/%d/%s", thread, text->name);
  return !read_of(pid, path, text->to, text->size) && strstr(text->to, text->mark) ? 0 : -ESRCH;
}

static int read_of_others(pid_t pid, const char *name, const char *mark, char *to, size_t size) {
  return procstat__ask_others(pid, read_of_thread, &(struct thread_text){name, mark, to, size});
}

/* Of what status says: no memory, though there are threads left. Kernel threads have one thread each. */
static bool is_told_by_others(const char *status_text) {
  uint64_t threads;

  return !strstr(status_text, "\nRssAnon:") && !kernfile__number(status_text, "Threads:", &threads) && threads > 1;
}

/* Fields of /proc/<pid>/stat by their numbers in proc(5), from the first one after the command. */
#define PF_EXITING 0x4 /* of include/linux/sched.h */
#define PF_KTHREAD 0x00200000

enum { STATE = 3, PPID, PGRP, SESSION, FLAGS = 9, MINFLT, MAJFLT = 12, THREADS = 20, STARTTIME = 22 };

/* " 12": every field is a blank and a number; pgrp and session of a dying process are -1. */
static bool take_field(const char **at, int64_t *ret) {
  char *end;

  if ((*at)[0] != ' ' || !((*at)[1] == '-' || isdigit((unsigned char)(*at)[1])))
    return false;
  errno = 0;
  *ret = strtoll(*at + 1, &end, 10);
  *at = end;
  return !errno;
}

static bool fits_pid(int64_t number) {
  return number >= -1 && number <= INT_MAX;
}

/* No field after the command has a parenthesis in it, so the last one ends the command. */
int procstat__parse(const char *text, struct procstat *ret) {
  const char *at = strrchr(text, ')');
  int64_t field[STARTTIME + 1] = {0}, pid;
  char state, *end;

  errno = 0;
  pid = strtoll(text, &end, 10);
  if (errno || end == text || strncmp(end, " (", 2) || pid <= 0 || pid > INT_MAX)
    return -EPROTO;
  if (!at || at[1] != ' ' || !isalpha((unsigned char)at[2]))
    return -EPROTO;
  state = at[2];
  at += 3;
  for (int i = STATE + 1; i <= STARTTIME; i++)
    if (!take_field(&at, &field[i]))
      return -EPROTO;
  if (!fits_pid(field[PPID]) || !fits_pid(field[PGRP]) || !fits_pid(field[SESSION]))
    return -EPROTO;
  *ret = (struct procstat){
      .pid = (pid_t)pid,
      .ppid = (pid_t)field[PPID],
      .pgid = (pid_t)field[PGRP],
      .session = (pid_t)field[SESSION],
      .state = state,
      .exiting = field[FLAGS] & PF_EXITING,
      .kernel = field[FLAGS] & PF_KTHREAD,
      .threads = field[THREADS],
      .minor_faults = (uint64_t)field[MINFLT],
      .major_faults = (uint64_t)field[MAJFLT],
      .start_time = (uint64_t)field[STARTTIME],
  };
  return 0;
}

int procstat__read(pid_t pid, struct procstat *ret) {
  char text[2048];
  int err = FAULT_FAILS(NO_PROCSTAT) ? -errno : read_of(pid, "stat", text, sizeof(text));

  return err ? err : procstat__parse(text, ret);
}

bool procstat__same(pid_t pid, uint64_t start_time) {
  struct procstat stat;

  return !procstat__read(pid, &stat) && stat.start_time == start_time;
}

/* A line that is not there (no such memory, no such kernel) counts as 0. */
static int add_kib(const char *text, const char *key, uint64_t *sum) {
  uint64_t bytes;
  int err = kernfile__kib(text, key, &bytes);

  if (err)
    return err == -ENOENT ? 0 : err;
  if (__builtin_add_overflow(*sum, bytes, sum))
    return -EPROTO;
  return 0;
}

int procmem__parse(const char *status_text, struct procmem *ret) {
  struct procmem found = {0};

  if (add_kib(status_text, "RssAnon:", &found.anon_bytes) || add_kib(status_text, "RssShmem:", &found.shmem_bytes) ||
      add_kib(status_text, "VmSwap:", &found.swap_bytes))
    return -EPROTO;
  *ret = found;
  return 0;
}

int procmem__read(pid_t pid, struct procmem *ret) {
  char text[TEXT_BYTES];
  int err = read_of(pid, "status", text, sizeof(text));

  if (!err && is_told_by_others(text) && read_of_others(pid, "status", "\nRssAnon:", text, sizeof(text)))
    return -ESRCH; /* it ends just now */
  return err ? err : procmem__parse(text, ret);
}

/* The split of Pss came with Linux 5.9; before that, file pages count in. */
int procrollup__parse(const char *text, struct procrollup *ret) {
  struct procrollup found = {0};
  uint64_t pss;

  if (kernfile__kib(text, "Pss:", &pss))
    return -EPROTO;
  if (add_kib(text, "Private_Clean:", &found.own_bytes) || add_kib(text, "Private_Dirty:", &found.own_bytes) ||
      add_kib(text, "SwapPss:", &found.own_bytes) || add_kib(text, "Pss_Anon:", &found.share_bytes) ||
      add_kib(text, "Pss_Shmem:", &found.share_bytes))
    return -EPROTO;
  if (!strstr(text, "\nPss_Anon:"))
    found.share_bytes = pss;
  if (add_kib(text, "SwapPss:", &found.share_bytes))
    return -EPROTO;
  *ret = found;
  return 0;
}

int procrollup__read(pid_t pid, struct procrollup *ret) {
  char text[4096];
  int err = read_of(pid, "smaps_rollup", text, sizeof(text));

  if (err == -ESRCH)
    err = read_of_others(pid, "smaps_rollup", "\nPss:", text, sizeof(text));
  return err ? err : procrollup__parse(text, ret);
}

int procuid__read(pid_t pid, uid_t *ret_real_uid) {
  char text[TEXT_BYTES];
  uint64_t uid;
  int err = read_of(pid, "status", text, sizeof(text));

  if (err)
    return err;
  if (kernfile__number(text, "Uid:", &uid) || uid > UINT32_MAX)
    return -EPROTO;
  *ret_real_uid = (uid_t)uid;
  return 0;
}

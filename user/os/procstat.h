/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What /proc/<pid> says of one process. Each reader takes a pid, and answers -ESRCH when there is no such process
 * (any more). Parsers take the text, so that tests and fuzzers feed them.
 */
#ifndef OS_PROCSTAT_H
#define OS_PROCSTAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct procstat {
  pid_t pid, ppid, pgid, session;
  char state;   /* 'Z': the first thread has ended; a zombie only when it was the last */
  bool exiting; /* the first thread is on its way out: it may have no memory and no environment any more */
  bool kernel;  /* a thread of the kernel */
  int64_t threads;
  uint64_t minor_faults, major_faults;
  uint64_t start_time; /* clock ticks since boot */
};

struct procmem {
  uint64_t anon_bytes, shmem_bytes, swap_bytes;
};

/* The first thread may have ended before others. */
static inline bool procstat__is_zombie(const struct procstat *stat) {
  return (stat->state == 'Z' || stat->state == 'X') && stat->threads <= 1;
}
int procstat__parse(const char *text, struct procstat *ret); /* the command may hold blanks, parentheses, newlines */
int procstat__read(pid_t pid, struct procstat *ret);
int procmem__parse(const char *status_text, struct procmem *ret); /* RssAnon, RssShmem, VmSwap; a zombie has none: 0 */
int procmem__read(pid_t pid, struct procmem *ret);

/* smaps_rollup. own: Private_Clean + Private_Dirty + SwapPss; shared: the process's fair share of everything it maps
 * (Pss_Anon + Pss_Shmem + SwapPss; Pss + SwapPss on kernels without the split). */
struct procrollup {
  uint64_t own_bytes;
  uint64_t share_bytes;
};
int procrollup__parse(const char *text, struct procrollup *ret);
int procrollup__read(pid_t pid, struct procrollup *ret);

/* Value of a variable in the process's initial environment, into `to`. 0, -ENOENT, -ESRCH, -EACCES, -ENAMETOOLONG. */
int procenv__read(pid_t pid, const char *name, char *to, size_t size);
/* The same with the eyes of a user: who may not override modes cannot open another user's. */
int procenv__read_as(uid_t uid, pid_t pid, const char *name, char *to, size_t size);
int procuid__read(pid_t pid, uid_t *ret_real_uid);

/* Is `pid` the process that it was? By start time. */
bool procstat__same(pid_t pid, uint64_t start_time);

#endif

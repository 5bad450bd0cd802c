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

int procuid__read(pid_t pid, uid_t *ret_real_uid);

/*
 * A process whose first thread has ended has nothing to say of its memory: to the kernel that thread is the process
 * there. Any other of its threads knows. The first answer that is not -ESRCH.
 */
int procstat__ask_others(pid_t pid, int (*ask)(pid_t pid, int thread, void *arg), void *arg);

/* Is `pid` the process that it was? By start time. */
bool procstat__same(pid_t pid, uint64_t start_time);

#endif

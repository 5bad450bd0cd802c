/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Which processes make up a worker: its root, all descendants, and those that were orphaned: same process group or
 * session as the root, or EBB_LEASE in their environment. One pass over /proc serves any number of workers.
 */
#ifndef OS_FAMILY_H
#define OS_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct family_root {
  pid_t pid;           /* of the worker's root; also its process group and session. 0: not known */
  const char *lease;   /* value of its EBB_LEASE; NULL: not known */
  uint64_t start_time; /* of the root; 0: not known. Another process under its pid is then not taken for it */
};

struct family_member {
  pid_t pid, ppid;
  uint64_t start_time;
  uint32_t root; /* index into roots */
  bool zombie;
};

/* Members of all roots, the roots themselves included (also as zombies), the caller never. Returns how many (at
 * most max, in ascending order of pid), or a negative errno (-E2BIG: more processes than it can tell apart). What is
 * forked meanwhile may be missed: look again. Not reentrant. */
int family__scan(const struct family_root *roots, size_t n_roots, struct family_member *to, size_t max);

/* What look() makes of a child of ours. */
enum family_child {
  FAMILY_CHILD_KNOWN,
  FAMILY_CHILD_STRAY,
  FAMILY_CHILD_REAPED, /* by look() itself */
};

/* Cheap look before a scan: does this process have children other than the known ones? With PR_SET_CHILD_SUBREAPER, orphans
 * of our workers become ours. Each child is shown to look() at least once. 1 (also when children die faster than they
 * are reaped), 0, or negative errno. Where the kernel lists no children (CONFIG_PROC_CHILDREN) all of /proc is read. */
int family__has_strays(enum family_child (*look)(pid_t pid, void *arg), void *arg);

/* Has any thread of the process children? 1, 0, or negative errno (-ENOENT: gone, or the kernel lists no children). */
int family__has_children(pid_t pid);

/* Send to one process, provably the one meant: opens a pidfd, compares the start time, sends through the pidfd.
 * 0, -ESRCH, … */
int family__signal(const struct family_member *member, int signal);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Who holds a lease, and who waits for it, as the kernel lists locks. */
#ifndef OS_LOCKS_H
#define OS_LOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A file, as /proc/locks and eBPF name it: the device of its superblock, which stat(2) does not tell on btrfs and some
 * kinds of overlayfs. */
struct lease_key {
  uint32_t major, minor;
  uint64_t inode;
};

struct lease_use {
  bool held;
  bool awaited; /* somebody waits for it */
};
/* One pass over the text of /proc/locks for all keys at once: uses[i] for keys[i]; keys are sorted with
 * lease_key__order. */
int lease_key__order(const void *a, const void *b);
void locks__parse(const char *text, const struct lease_key *keys, size_t n, struct lease_use *uses);
/* Whose locks count: `pid` holds keys[i], or waits for it. */
typedef bool locks_user(size_t i, pid_t pid, void *arg);
/* From /proc/locks; only of those for whom counts() says so, NULL: of everybody. 0 or negative errno. A lock that changes hands meanwhile may be missed: look again. */
int locks__read_of(const struct lease_key *keys, size_t n, struct lease_use *uses, locks_user *counts, void *arg);
int locks__read(const struct lease_key *keys, size_t n, struct lease_use *uses);

/* Was the lock taken through a file that this process has open? Says so of a lock whose taker has ended, as flock(1) has
 * that locks its caller's descriptor: in /proc/locks such a one bears a pid that is nobody's, or is not listed. */
bool locks__held_through(pid_t pid, const struct lease_key *key);

#endif

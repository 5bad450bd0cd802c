/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ebbd's side of the lease file (see ebb/lease.h), and what /proc/locks says of leases. */
#ifndef OS_LEASE_H
#define OS_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Make the file, order R, for a worker of user `uid` (or (uid_t)-1: ours), and lock it. Descriptor, or negative errno;
 * -EEXIST: there is one already. */
int lease__create(int dirfd, const char *name, uid_t uid, gid_t gid);
/* Open one that is there, without locking it. -ELOOP: a symbolic link; -EPROTO: not a regular file. Of any size:
 * its worker may have cut it or made it longer, and is one all the same. */
int lease__open(int dirfd, const char *name);
int lease__order(int fd, char order);
/* 0: we hold it now (or did already). -EAGAIN: somebody works. */
int lease__try_lock(int fd);
int lease__unlock(int fd);
/* First EBB_LEASE_BYTES bytes, the rest of `to` zero. */
int lease__read(int fd, char *to);

/* A file, as /proc/locks and eBPF name it: the device of its superblock, which stat(2) does not tell on btrfs and some
 * kinds of overlayfs. */
struct lease_key {
  uint32_t major, minor;
  uint64_t inode;
};
int lease__key(int fd, struct lease_key *ret);

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

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ebbd's side of the lease file (see ebb/lease.h). */
#ifndef OS_LEASE_H
#define OS_LEASE_H

#include <sys/types.h>

#include "locks.h"

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

/* By which its locks are found. */
int lease__key(int fd, struct lease_key *ret);

#endif

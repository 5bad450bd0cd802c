/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Leases of workers that somebody else starts. Whoever does makes them, in a directory that ebbd makes for each pool:
 * adopt/<pool>, owner the pool's user, group ours, 0770. Nothing in there is trusted: its user may put anything under any
 * name, at any time.
 */
#ifndef OS_ADOPTDIR_H
#define OS_ADOPTDIR_H

#include <stddef.h>
#include <sys/types.h>

/* Make the directory, or set it right. 0 or negative errno. */
int adoptdir__make(int run_dirfd, const char *pool, uid_t uid, gid_t gid);
/* The name of a lease in it, of a path such as an EBB_LEASE; NULL: it is none. */
const char *adoptdir__name(const char *path, const char *run_path, const char *pool);
/*
 * Open such a lease, as its user may, and make it ours as well: 0660, our group, 256 bytes at least. Descriptor, or negative
 * errno; -ELOOP: a symbolic link; -EPROTO: not a regular file, not that user's, or known under another name too.
 */
int adoptdir__open(int run_dirfd, const char *pool, const char *name, uid_t uid, gid_t gid);
/* Give it a name among our own leases. 0 or negative errno; -EEXIST: there is one. */
int adoptdir__link(int fd, int lease_dirfd, const char *name);

#endif

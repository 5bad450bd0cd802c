/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A cgroup (v2) for each worker, where we may make one: what a worker starts is born in it, however it hides from its
 * parent, and all of it can be killed in one go. It needs no controller, and is given none but `pids`: no limit on memory
 * is ever set here. Where there is none, a worker is known by its process tree (family.h).
 *
 * Leaves lie in one directory for each run directory, beneath the cgroup that is ours to divide: the one above our own where
 * the service manager says so (DelegateSubgroup=), else our own. Descriptors are of directories. Negative errno throughout.
 */
#ifndef OS_CGROUP_H
#define OS_CGROUP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Make the directory for leaves, or find it; leaves of workers that are gone are removed. -ENOENT: no cgroup v2 here. */
int cgroup__open(int run_dirfd);
/* Remove the directory when no leaf is left in it, and close it. In the root of the hierarchy, which its mode forbids to
 * change, that takes CAP_DAC_OVERRIDE; without it the directory stays, empty, for the next who opens it. */
void cgroup__close(int dirfd, int run_dirfd);

/* A new leaf. -EEXIST: there is one of that name, with somebody in it or not. */
int cgroup__make(int dirfd, const char *name);
int cgroup__find(int dirfd, const char *name);
/* Remove it, with what cgroups there are beneath it. 0, or -EBUSY: somebody is in. */
int cgroup__remove(int dirfd, const char *name);
/* Remove all leaves that nobody is in. 0, or -EBUSY: some are left. */
int cgroup__sweep(int dirfd);

/* Processes and threads that the leaf may hold. -ENOENT: no `pids` controller here, or one that we cannot switch on. */
int cgroup__limit_pids(int dirfd, int leaf, uint32_t most);
/* How many forks that limit has refused; 0 when it is not known. */
uint64_t cgroup__refused_pids(int leaf);

/* Does a process live in it, or beneath it? 1, 0, or negative errno (-EBADF: leaf is negative). */
int cgroup__populated(int leaf);
/* Processes in it, without what lies beneath. Returns how many, at most max. */
int cgroup__members(int leaf, pid_t *to, size_t max);
/* Send to one process that is provably in it now. 0, -ESRCH, … */
int cgroup__signal(int leaf, pid_t pid, int signal);
/* SIGKILL to all in it, and beneath it. Up to 5.13 the kernel cannot, and those in it are killed one by one, frozen so that
 * they cannot fork: call again while it is populated. */
int cgroup__kill(int leaf);

#endif

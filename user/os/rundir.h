/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The run directory: where it is, and the lock that keeps a second ebbd out of it. */
#ifndef OS_RUNDIR_H
#define OS_RUNDIR_H

#include <stddef.h>
#include <sys/types.h>

#define RUNDIR_DEFAULT "/run/ebb"
#define RUNDIR_ENV "EBB_RUN_DIR"

/* The option if given, else the environment, else the default. */
const char *rundir__path(const char *option);
/* Make it when it is missing (0755, its lease/ 0711), open it. Descriptor or negative errno; -EPERM: it belongs to
 * somebody else, or others can make files in it; -ENOTDIR: no directory, or a symbolic link. */
int rundir__make(const char *path);
int rundir__open(const char *path);
/* What is this run directory's and lies elsewhere bears its name, "ebb-<device>-<inode>": no path, no dot. 0, or negative
 * errno. */
int rundir__tag(int dirfd, char *to, size_t size);
/* Descriptor that holds the lock, or -EBUSY with the pid of the holder (0: unknown). */
int rundir__lock(int dirfd, pid_t *ret_holder);

#endif

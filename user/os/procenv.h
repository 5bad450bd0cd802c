/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A process's initial environment: what it, or its title, has left of it. /proc/<pid>/environ takes the right to files of
 * others (CAP_DAC_READ_SEARCH), which we do without: where it is closed, the same bytes are read out of the process's memory,
 * for which CAP_SYS_PTRACE is enough.
 */
#ifndef OS_PROCENV_H
#define OS_PROCENV_H

#include <stddef.h>
#include <sys/types.h>

/* Value of a variable, into `to`. 0, -ENOENT, -ESRCH, -EACCES (or -EPERM), -ENAMETOOLONG. */
int procenv__read(pid_t pid, const char *name, char *to, size_t size);

/* Where it lies, from the text of /proc/<pid>/stat; -EPROTO: it does not say. Zeros: there is none, or it is not for us. */
int procenv__range(const char *stat_text, unsigned long *ret_start, unsigned long *ret_end);

#endif

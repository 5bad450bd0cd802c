/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Which cgroups a process is in, of any hierarchy, as paths beneath the mount that the caller's namespace shows. */
#ifndef OS_PROCCGROUP_H
#define OS_PROCCGROUP_H

#include <stdbool.h>
#include <sys/types.h>

/* Is one line of a /proc/<pid>/cgroup ("4:memory:/a/b", "0::/a/b") about that path, or one below it? */
bool proccgroup__line_is_within(const char *line, const char *path);
/* Is the process in it, or below it, in any hierarchy? 1, 0, or negative errno (-ESRCH: no such process). */
int proccgroup__is_within(pid_t pid, const char *path);

#endif

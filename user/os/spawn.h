/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Start a process as another user without copying page tables: clone(CLONE_VM | CLONE_VFORK | CLONE_PIDFD), or clone3 with
 * the same and CLONE_INTO_CGROUP. The parent
 * waits until the child has exec'ed or failed. Everything that needs memory is in the request before.
 */
#ifndef OS_SPAWN_H
#define OS_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SPAWN_GROUPS_MAX 64
/* A child that has not come to exec by then (stopped, or on a file system that does not answer) is killed: the caller
 * cannot wait for ever, and its watchdog is patient for 30 s. */
#define SPAWN_TIMEOUT_S 5

/* Who the process runs as. */
struct identity {
  bool set; /* false: as the caller */
  uid_t uid;
  gid_t gid;
  gid_t groups[SPAWN_GROUPS_MAX];
  int n_groups;
  char home[128], shell[64], name[32];
};
/* From the user database. 0, -ESRCH (no such user), -E2BIG (more groups, or longer names, than there is room for).
 * An empty name: the caller itself (set stays false). */
int identity__find(struct identity *ret, const char *user);

struct spawn {
  const char *const *argv; /* argv[0] is looked up in PATH of envp when it has no slash (empty elements left out) */
  const char *const *envp;
  const char *directory;           /* NULL: stay */
  const struct identity *identity; /* NULL: as the caller; nothing to do either when we are that user, unprivileged */
  int oom_score_adj;               /* written when not INT_MIN; a failure is ignored */
  bool new_group;                  /* own session, and so own process group */
  bool die_with_parent;            /* PDEATHSIG SIGKILL */
  int keep_fd;              /* -1, or a descriptor that the child gets as number 3; all others above 2 are closed */
  unsigned long open_files; /* soft limit of open files; 0: as the caller's */
  pid_t *early_pid;         /* NULL, or where its pid stands before its first instruction; also when it fails later */
  bool masks;               /* with a file mode creation mask of its own … */
  mode_t umask;             /* … which is this one */
  int cgroup; /* directory of a cgroup (v2) to start in; 0: the caller's, and so it is when the kernel says no */
};

/* What failed, for the audit. */
struct spawn_error {
  const char *step; /* "clone", "keep", "stdin", "setgroups", "setgid", "setuid", "chdir", "exec", "find" */
  int error;        /* errno, positive */
};

/* 0 with pid and pidfd (also of a child that was killed before exec), or negative errno with *error, and nothing left
 * behind. One caller at a time, and other threads have all signals blocked. Signal mask and handlers of the child are the defaults; standard input is
 * /dev/null. */
int spawn__run(const struct spawn *spawn, pid_t *ret_pid, int *ret_pidfd, struct spawn_error *error);

#endif

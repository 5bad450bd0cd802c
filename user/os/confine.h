/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Giving up power for good: capabilities, and system calls. Each answers 0 or a negative errno; callers go on, since
 * less power is a precaution, and an ordinary user has none to give up.
 */
#ifndef OS_CONFINE_H
#define OS_CONFINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What each daemon keeps; the unit says for what. IPC_LOCK lets locked memory grow where the limit of it is not raised.
 * ebbd needs SYS_PTRACE to read which lease another user's process was started with: so it finds what a worker left behind.
 */
#define CONFINE_EBBD(X) X(SETUID) X(SETGID) X(CHOWN) X(KILL) X(SYS_RESOURCE) X(SYS_PTRACE) X(IPC_LOCK)
#define CONFINE_WATCH(X) X(BPF) X(PERFMON) X(SYS_PTRACE) X(SYS_RESOURCE) X(SYS_NICE) X(IPC_LOCK)

/*
 * ebbd: of what it holds only its own is left, permitted and effective. The bounding set stays, and so does the right to
 * gain by exec: workers that run as root, set-user-ID programs in jobs, and ebb-watch take theirs from there.
 * Where nothing is gained by exec (no_new_privs), what ebb-watch needs stays permitted, else it could not be given that
 * (what of it is about files becomes effective again with the first setfsuid(2)).
 * A program that gains by exec is no longer told of its parent's death (PDEATHSIG), and dumps core as fs.suid_dumpable says.
 * -EPERM and the like: as before.
 */
int confine__ebbd_capabilities(void);
/*
 * Workers and ebb-watch inherit this filter, so it refuses (EPERM) only what none of them has any business with: kernel
 * modules, another kernel, reboot, swap, setting clocks, ports; also to 32-bit programs, which run as before. -EACCES
 * without CAP_SYS_ADMIN: it would take no_new_privs, which would bind the workers, too.
 */
int confine__ebbd_calls(void);

/* ebb-watch: its own capabilities are left, in the bounding set, too; and nothing is ever gained again (no_new_privs). */
int confine__watch_capabilities(void);
/* Only what it does once it has started; all else is refused (EPERM): to start, signal or trace processes among it. */
int confine__watch_calls(void);

/* What a process may do, from /proc/<pid>/status. Bits of capabilities are numbered as in linux/capability.h. */
struct confinement {
  uint64_t effective;
  bool no_new_privs;
  bool filtered; /* by seccomp */
};
int confine__parse(const char *status_text, struct confinement *ret); /* -EPROTO: not such a text */
int confine__read(pid_t pid, struct confinement *ret);

#endif

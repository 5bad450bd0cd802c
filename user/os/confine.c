/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "confine.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernfile.h"

#define REFUSE SCMP_ACT_ERRNO(EPERM)
#define STATUS_BYTES 8192

/* Numbers of the listed ones. */
#define X(name) CAP_##name,
static const int of_ebbd[] = {CONFINE_EBBD(X)}, of_watch[] = {CONFINE_WATCH(X)};
#undef X
#define COUNT(list) (sizeof(list) / sizeof(*(list)))

/* Read before, since selecting begins with none. */
static void note_held(bool *held) {
  for (unsigned i = 0; i <= CAP_LAST_CAP; i++)
    held[i] = capng_have_capability(CAPNG_PERMITTED, i);
}

/* Of what is held, select what is listed. */
static void keep(const bool *held, const int *list, size_t n, capng_type_t sets) {
  for (size_t i = 0; i < n; i++)
    if (held[list[i]])
      (void)capng_update(CAPNG_ADD, sets, (unsigned)list[i]);
}

int confine__ebbd_capabilities(void) {
  bool held[CAP_LAST_CAP + 1];

  if (capng_get_caps_process())
    return -EPERM;
  note_held(held);
  capng_clear(CAPNG_SELECT_CAPS);
  keep(held, of_ebbd, COUNT(of_ebbd), CAPNG_EFFECTIVE | CAPNG_PERMITTED);
  if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
    keep(held, of_watch, COUNT(of_watch), CAPNG_PERMITTED);
  return capng_apply(CAPNG_SELECT_CAPS) ? -EPERM : 0;
}

int confine__watch_capabilities(void) {
  bool held[CAP_LAST_CAP + 1];

  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    return -errno;
  if (capng_get_caps_process())
    return -EPERM;
  note_held(held);
  /* Before the others: to narrow the bounding set takes CAP_SETPCAP. Without that, no_new_privs does as well. */
  if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP)) {
    capng_clear(CAPNG_SELECT_BOUNDS);
    for (size_t i = 0; i < COUNT(of_watch); i++)
      (void)capng_update(CAPNG_ADD, CAPNG_BOUNDING_SET, (unsigned)of_watch[i]);
    if (capng_apply(CAPNG_SELECT_BOUNDS))
      return -EPERM;
  }
  capng_clear(CAPNG_SELECT_CAPS);
  keep(held, of_watch, COUNT(of_watch), CAPNG_EFFECTIVE | CAPNG_PERMITTED);
  return capng_apply(CAPNG_SELECT_CAPS) ? -EPERM : 0;
}

static const char *const never[] = {
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
    "swapon",      "swapoff",      "settimeofday",  "stime",      "clock_settime",   "clock_settime64",
    "iopl",        "ioperm",       "acct",          "nfsservctl", "uselib",
};

/* Names that this architecture or this library does not know are left out. */
static int add(scmp_filter_ctx filter, uint32_t action, const char *const *names, size_t n) {
  int error = 0;

  for (size_t i = 0; !error && i < n; i++) {
    int call = seccomp_syscall_resolve_name(names[i]);
    if (call != __NR_SCMP_ERROR)
      error = seccomp_rule_add(filter, action, call, 0);
  }
  return error;
}

/* Up to 5.15 a filter slows each process under it down, to mitigate Spectre, unless told not to. */
static int load(scmp_filter_ctx filter, int error) {
  (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1); /* from 4.17 on */
  if (!error)
    error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
  if (!error)
    error = seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1); /* the kernel's own error */
  if (!error)
    error = seccomp_load(filter);
  seccomp_release(filter);
  return error;
}

/* The other tables of calls that this kernel may have: jobs may be 32-bit programs, and by default those are killed. */
static int widen(scmp_filter_ctx filter) {
  static const uint32_t siblings[][2] = {
      {SCMP_ARCH_X86_64, SCMP_ARCH_X86}, {SCMP_ARCH_X86_64, SCMP_ARCH_X32}, {SCMP_ARCH_AARCH64, SCMP_ARCH_ARM}};
  int error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);

  for (size_t i = 0; !error && i < COUNT(siblings); i++)
    if (siblings[i][0] == seccomp_arch_native())
      error = seccomp_arch_add(filter, siblings[i][1]);
  return error;
}

int confine__ebbd_calls(void) {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  int error;

  if (!filter)
    return -ENOMEM;
  error = widen(filter);
  return load(filter, error ? error : add(filter, REFUSE, never, COUNT(never)));
}

/* Several a line: */
/* clang-format off */
static const char *const of_the_watch[] = {
    /* files, and what is kept of them in memory */
    "openat", "openat2", "close", "read", "readv", "pread64", "write", "writev", "pwrite64", "lseek", "_llseek",
    "stat", "stat64", "lstat", "lstat64", "fstat", "fstat64", "newfstatat", "fstatat64", "statx", "statfs",
    "statfs64", "fstatfs", "fstatfs64", "getdents64", "readlink", "readlinkat", "access", "faccessat", "faccessat2",
    "fcntl", "fcntl64", "dup", "flock", "ftruncate", "ftruncate64", "fallocate", "rename", "renameat", "renameat2",
    "unlink", "unlinkat", "mkdir", "mkdirat", "fchown", "fchmod", "mmap", "mmap2", "munmap", "mremap", "mprotect",
    "madvise", "brk", "mlockall",
    /* the loop, and time */
    "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "timerfd_create",
    "timerfd_settime", "timerfd_settime64", "signalfd4", "eventfd2", "futex", "futex_time64", "clock_gettime",
    "clock_gettime64", "clock_nanosleep", "clock_nanosleep_time64", "nanosleep", "restart_syscall", "gettimeofday",
    "time", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack",
    /* the kernel programs, and whose memory is whose */
    "bpf", "perf_event_open", "kcmp", "pidfd_open", "process_vm_readv",
    /* itself */
    "getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "prctl", "prlimit64", "getrlimit",
    "sched_setattr", "sched_getattr", "sched_getaffinity", "sched_yield", "uname", "sysinfo", "getrandom", "getcpu",
    "rseq", "set_robust_list", "exit", "exit_group",
    /* what it says to a journal */
    "connect", "sendmsg", "sendto", "memfd_create", "getsockopt", "setsockopt",
};
/* clang-format on */

/* Signal 0 asks whether a process is there; abort() signals itself. */
static int add_conditional(scmp_filter_ctx filter) {
  int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1, SCMP_A1(SCMP_CMP_EQ, 0, 0));

  if (!error)
    error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(pidfd_send_signal), 1, SCMP_A1(SCMP_CMP_EQ, 0, 0));
  if (!error)
    error =
        seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
  if (!error)
    error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
  return error;
}

int confine__watch_calls(void) {
  scmp_filter_ctx filter = seccomp_init(REFUSE);
  int error;

  if (!filter)
    return -ENOMEM;
  error = add(filter, SCMP_ACT_ALLOW, of_the_watch, COUNT(of_the_watch));
  return load(filter, error ? error : add_conditional(filter));
}

static bool hex_after(const char *text, const char *key, uint64_t *ret) {
  const char *line = strstr(text, key);

  if (!line)
    return false;
  errno = 0;
  *ret = strtoull(line + strlen(key), NULL, 16);
  return errno == 0;
}

int confine__parse(const char *status_text, struct confinement *ret) {
  uint64_t no_new_privs, mode, effective;

  if (!hex_after(status_text, "\nCapEff:\t", &effective) ||
      kernfile__number(status_text, "NoNewPrivs:", &no_new_privs) || kernfile__number(status_text, "Seccomp:", &mode))
    return -EPROTO;
  *ret = (struct confinement){.effective = effective, .no_new_privs = no_new_privs != 0, .filtered = mode == 2};
  return 0;
}

int confine__read(pid_t pid, struct confinement *ret) {
  char path[64], text[STATUS_BYTES];
  int error;

  (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
  error = kernfile__read(path, text, sizeof(text));
  if (error)
    return error == -ENOENT ? -ESRCH : error;
  return confine__parse(text, ret);
}

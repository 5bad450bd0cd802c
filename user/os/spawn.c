/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/sched.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"
#include "text.h"

int identity__find(struct identity *ret, const char *user) {
  struct identity found = {.set = true, .n_groups = SPAWN_GROUPS_MAX};
  struct passwd entry, *result;
  char space[16 * 1024];
  int err;

  if (!*user) {
    *ret = (struct identity){0};
    return 0;
  }
  err = getpwnam_r(user, &entry, space, sizeof(space), &result);
  if (!result)
    return err == ERANGE ? -E2BIG : err == EIO || err == ENFILE || err == EMFILE || err == ENOMEM ? -err : -ESRCH;
  found.uid = entry.pw_uid;
  found.gid = entry.pw_gid;
  if (getgrouplist(user, found.gid, found.groups, &found.n_groups) < 0)
    return -E2BIG;
  if (!text__copy(found.home, sizeof(found.home), entry.pw_dir) ||
      !text__copy(found.shell, sizeof(found.shell), entry.pw_shell) ||
      !text__copy(found.name, sizeof(found.name), entry.pw_name))
    return -E2BIG;
  *ret = found;
  return 0;
}

/*
 * What runs between clone and exec shares all memory with the parent, which sleeps meanwhile. So: no allocation, no
 * libc call that takes locks or signals other threads (the setuid family does), and no instrumentation, because the
 * shadow of a stack that exec abandons would stay behind.
 */
#define CHILD __attribute__((no_sanitize("address", "undefined")))

#define STACK_BYTES (64 * 1024)
#define GUARD_BYTES (64 * 1024) /* a multiple of every page size */
#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

/* There is one caller at a time, which sleeps while the child uses this and the stack below: one of each will do. */
static char candidate[PATH_MAX];

struct launch {
  const struct spawn *spawn;
  const struct identity *identity; /* to become; NULL: stay */
  const char *path;                /* to search for argv[0]; NULL: it is a path itself */
  char oom_score_adj[16];          /* empty: leave it */
  pid_t parent;
  bool moves; /* into its cgroup: the kernel could not start it there */
  struct spawn_error error;
};

CHILD static bool failed(struct launch *launch, const char *step, long result) {
  if (result >= 0)
    return false;
  launch->error = (struct spawn_error){.step = step, .error = errno};
  return true;
}

/* Before exec, so that what it will start is born there. As the caller, who may. */
CHILD static void move(int cgroup) {
  long fd = syscall(SYS_openat, cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);

  if (fd >= 0)
    (void)syscall(SYS_write, fd, "0", 1);
}

/* Descriptors of ours are close-on-exec anyway; close_range is for those that we were started with ourselves. At exec and no
 * sooner (but before 5.11): should we be killed meanwhile, our locks last until the child can be told from us. */
CHILD static bool arrange_files(struct launch *launch) {
  int keep = launch->spawn->keep_fd, null;

  if (keep == 3 && failed(launch, "keep", fcntl(keep, F_SETFD, 0)))
    return false;
  if (keep >= 0 && keep != 3 && failed(launch, "keep", dup2(keep, 3)))
    return false;
  null = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY);
  if (failed(launch, "stdin", null) || failed(launch, "stdin", dup2(null, 0)))
    return false;
  if (syscall(SYS_close_range, keep >= 0 ? 4 : 3, ~0U, CLOSE_RANGE_CLOEXEC))
    (void)syscall(SYS_close_range, keep >= 0 ? 4 : 3, ~0U, 0);
  return true;
}

/* Programs that use select(2) break when the soft limit is high, so a daemon that raised its own keeps it to itself. */
CHILD static void limit_files(unsigned long open_files) {
  struct rlimit limit;

  if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit))
    return;
  limit.rlim_cur = open_files;
  (void)syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
}

/* As the caller, who may lower it. A child that shares memory through vfork has a score of its own. */
CHILD static void adjust_oom_score(const char *value) {
  long fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

  if (fd >= 0)
    (void)syscall(SYS_write, fd, value, strlen(value));
}

/* From here to exec, which takes the timer away, processes of the user to be may stop us, and the parent waits for us. */
CHILD static void limit_time(void) {
  struct sigevent end = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
  const struct itimerspec when = {.it_value.tv_sec = SPAWN_TIMEOUT_S};
  int timer; /* as the kernel numbers them */

  if (!syscall(SYS_timer_create, CLOCK_MONOTONIC, &end, &timer))
    (void)syscall(SYS_timer_settime, timer, 0, &when, NULL);
}

CHILD static bool become(struct launch *launch, const struct identity *identity) {
  if (failed(launch, "setgroups", syscall(SYS_setgroups, identity->n_groups, identity->groups)) ||
      failed(launch, "setgid", syscall(SYS_setresgid, identity->gid, identity->gid, identity->gid)) ||
      failed(launch, "setuid", syscall(SYS_setresuid, identity->uid, identity->uid, identity->uid)))
    return false;
  (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  return true;
}

/* After the change of user, which clears it. The parent may have died before it was set. */
CHILD static void follow_into_death(pid_t parent) {
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (syscall(SYS_getppid) != parent)
    syscall(SYS_exit_group, 127);
}

/* Handlers first: one of the parent's must not run in here. Exec would not bring ignored signals back. The system call
 * itself, because libc keeps two signals to itself, and whoever started us may have them ignored. */
CHILD static void reset_signals(void) {
  static const unsigned long by_default[4]; /* the kernel's struct sigaction; at most four words anywhere */
  static const sigset_t none;

  for (int signal = 1; signal < _NSIG; signal++)
    (void)syscall(SYS_rt_sigaction, signal, by_default, NULL, _NSIG / 8);
  (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

CHILD static bool join(const char *directory, size_t n, const char *name) {
  size_t name_bytes = strlen(name) + 1;

  if (!n || n + 1 + name_bytes > sizeof(candidate))
    return false;
  memcpy(candidate, directory, n);
  candidate[n] = '/';
  memcpy(candidate + n + 1, name, name_bytes);
  return true;
}

/* As the new user, because what is found and may be run depends on that. Empty elements of PATH are left out. */
CHILD static void search_and_exec(struct launch *launch) {
  const struct spawn *spawn = launch->spawn;
  bool denied = false;
  size_t n;

  for (const char *at = launch->path;; at += n + 1) {
    n = strcspn(at, ":");
    if (join(at, n, spawn->argv[0])) {
      (void)execve(candidate, (char *const *)spawn->argv, (char *const *)spawn->envp);
      denied |= errno == EACCES;
      if (errno != EACCES && errno != ENOENT && errno != ENOTDIR) {
        (void)failed(launch, "exec", -1);
        return;
      }
    }
    if (!at[n])
      break;
  }
  launch->error = denied ? (struct spawn_error){"exec", EACCES} : (struct spawn_error){"find", ENOENT};
}

CHILD static void launch__child(struct launch *launch) {
  const struct spawn *spawn = launch->spawn;

  if (spawn->early_pid)
    FAULT(CHILD_CLONED);
  if (launch->moves)
    move(spawn->cgroup);
  if (!arrange_files(launch))
    return;
  if (spawn->early_pid)
    FAULT(CHILD_ALONE);
  if (spawn->new_group)
    (void)syscall(SYS_setsid);
  if (*launch->oom_score_adj)
    adjust_oom_score(launch->oom_score_adj);
  if (spawn->open_files)
    limit_files(spawn->open_files);
  if (spawn->masks)
    (void)syscall(SYS_umask, spawn->umask);
  limit_time();
  if (launch->identity && !become(launch, launch->identity))
    return;
  if (spawn->die_with_parent)
    follow_into_death(launch->parent);
  if (spawn->directory && failed(launch, "chdir", syscall(SYS_chdir, spawn->directory)))
    return;
  reset_signals();
  if (launch->path)
    search_and_exec(launch);
  else
    (void)failed(launch, "exec", execve(spawn->argv[0], (char *const *)spawn->argv, (char *const *)spawn->envp));
}

CHILD static int enter(void *arg) {
  launch__child(arg);
  syscall(SYS_exit_group, 127);
  __builtin_unreachable();
}

static const char *path_of(const char *const *envp) {
  for (; *envp; envp++)
    if (!strncmp(*envp, "PATH=", 5))
      return *envp + 5;
  return DEFAULT_PATH;
}

/* Without privilege we can only be who we are; that needs no change (and setgroups would be refused). */
static const struct identity *to_become(const struct identity *identity) {
  if (!identity || !identity->set || (identity->uid == geteuid() && identity->uid != 0))
    return NULL;
  return identity;
}

/* Made at the first start, and kept. Stacks grow down, into the guard if anything. */
static char *stack_top(void) {
  static char *top;
  char *guard;

  if (top)
    return top;
  guard = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (guard == MAP_FAILED || mprotect(guard + GUARD_BYTES, STACK_BYTES, PROT_READ | PROT_WRITE))
    return NULL;
  return top = guard + GUARD_BYTES + STACK_BYTES;
}

#define FLAGS (CLONE_VM | CLONE_VFORK | CLONE_PIDFD)

static int early_flag(const struct launch *launch) {
  return launch->spawn->early_pid ? CLONE_CHILD_SETTID : 0;
}

/*
 * libc has no clone3. The child begins on an empty stack, behind the system call, with all registers but two as they were.
 * Moving a process that is there already has the kernel hold up every fork and exit of the host for some 10 ms; to be
 * born in the right place costs 0.1 ms. -ENOSYS where we have not written it; other errors up to 5.6, or where we may
 * not put it there.
 */
static int clone_into(struct launch *launch, char *top, int *ret_pidfd) {
#ifdef __x86_64__
  struct clone_args args = {
      .flags = FLAGS | CLONE_INTO_CGROUP | (unsigned)early_flag(launch),
      .pidfd = (uintptr_t)ret_pidfd,
      .child_tid = (uintptr_t)launch->spawn->early_pid,
      .exit_signal = SIGCHLD,
      .stack = (uintptr_t)(top - STACK_BYTES),
      .stack_size = STACK_BYTES,
      .cgroup = (unsigned int)launch->spawn->cgroup,
  };
  long pid;

  __asm__ volatile("syscall\n\t"
                   "test %%rax, %%rax\n\t"
                   "jnz 1f\n\t"
                   "xor %%ebp, %%ebp\n\t" /* the outermost frame */
                   "mov %[launch], %%rdi\n\t"
                   "call *%[enter]\n\t"
                   "1:"
                   : "=a"(pid)
                   : "a"((long)SYS_clone3), "D"(&args), "S"(sizeof(args)), [enter] "r"(enter), [launch] "r"(launch)
                   : "rcx", "r11", "cc", "memory");
  return (int)pid;
#else
  (void)launch, (void)top, (void)ret_pidfd;
  return -ENOSYS;
#endif
}

static int clone_here(struct launch *launch, char *top, int *ret_pidfd) {
  int pid;

  launch->moves = launch->spawn->cgroup > 0;
  pid = clone(enter, top, FLAGS | early_flag(launch) | SIGCHLD, launch, ret_pidfd, NULL, launch->spawn->early_pid);
  return pid < 0 ? -errno : pid;
}

static int clone_somewhere(struct launch *launch, char *top, int *ret_pidfd) {
  int pid = launch->spawn->cgroup > 0 ? clone_into(launch, top, ret_pidfd) : -ENOSYS;

  return pid < 0 ? clone_here(launch, top, ret_pidfd) : pid;
}

/* Signals wait meanwhile: a handler that ran in the child would change the parent's memory. */
static int clone_child(struct launch *launch, int *ret_pidfd) {
  char *top = stack_top();
  sigset_t all, before;
  int pid;

  if (!top)
    return -ENOMEM;
  (void)sigfillset(&all);
  (void)sigprocmask(SIG_BLOCK, &all, &before);
  if (launch->spawn->early_pid && (FAULT_FAILS(NO_PROCESS) || FAULT_FAILS(NO_MEMORY)))
    pid = -errno;
  else
    pid = clone_somewhere(launch, top, ret_pidfd);
  (void)sigprocmask(SIG_SETMASK, &before, NULL);
  return pid;
}

static void reap(int pidfd) {
  siginfo_t info;

  while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) && errno == EINTR)
    ;
  (void)close(pidfd);
}

int spawn__run(const struct spawn *spawn, pid_t *ret_pid, int *ret_pidfd, struct spawn_error *error) {
  struct launch launch = {
      .spawn = spawn,
      .identity = to_become(spawn->identity),
      .path = strchr(spawn->argv[0], '/') ? NULL : path_of(spawn->envp),
      .parent = getpid(),
  };
  int pidfd = -1, pid;

  if (spawn->oom_score_adj != INT_MIN)
    (void)snprintf(launch.oom_score_adj, sizeof(launch.oom_score_adj), "%d", spawn->oom_score_adj);
  pid = clone_child(&launch, &pidfd);
  if (pid < 0) {
    *error = (struct spawn_error){"clone", -pid};
    return pid;
  }
  if (launch.error.step) {
    reap(pidfd);
    *error = launch.error;
    return -launch.error.error;
  }
  *ret_pid = pid;
  *ret_pidfd = pidfd;
  return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Is power that was given up gone, for good, and nothing else? */
#include "scene.h"

#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/timex.h>

#include "confine.h"

#define BIT(name) | (1ULL << CAP_##name)

/* Children answer by number, since what they would need to say more may be refused by then. */
enum { OK, NOT_CONFINED, MORE_LEFT, LESS_LEFT, NOT_REFUSED, REFUSED, GAINED };

static void needs_root(void) {
  if (geteuid() != 0) {
    print_message("skipped: gives up what only root has\n");
    skip();
  }
}

static int expect_refusal(long result) {
  return result == -1 && errno == EPERM ? OK : NOT_REFUSED;
}

static void of_ebbd(void) {
  const uint64_t kept = 0 CONFINE_EBBD(BIT);
  struct confinement before, after;
  const char *const argv[] = {"/bin/sh", "-c", "! grep -q 'CapEff:.*0000$' /proc/self/status", NULL};

  if (confine__read(getpid(), &before) || confine__ebbd_capabilities() || confine__read(getpid(), &after))
    _exit(NOT_CONFINED);
  if (after.effective != (before.effective & kept))
    _exit(after.effective & ~kept ? MORE_LEFT : LESS_LEFT);
  if (after.no_new_privs || before.effective == after.effective)
    _exit(MORE_LEFT);
  /* What it starts as root has what root has: ebb-watch, and workers without a user. */
  (void)execv(argv[0], (char *const *)argv);
  _exit(NOT_CONFINED);
}

static void ebbd_keeps_its_own_and_root_children_theirs(void **state) {
  pid_t pid;

  (void)state;
  needs_root();
  pid = fork_child();
  if (pid == 0)
    of_ebbd();
  assert_int_equal(reap_child(pid), OK);
}

/* As a service that may gain no rights: what ebb-watch has as root then, it has from ebbd. */
static void of_ebbd_without_gain(void) {
  const uint64_t kept = 0 CONFINE_EBBD(BIT), lent = 0 CONFINE_WATCH(BIT);
  struct confinement before, after;
  char command[64];
  const char *const argv[] = {"/bin/sh", "-c", command, NULL};

  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || confine__read(getpid(), &before) || confine__ebbd_capabilities() ||
      confine__read(getpid(), &after))
    _exit(NOT_CONFINED);
  if (after.effective != (before.effective & kept))
    _exit(after.effective & ~kept ? MORE_LEFT : LESS_LEFT);
  (void)snprintf(command, sizeof(command), "grep -q 'CapEff:.*%016llx$' /proc/self/status",
                 (unsigned long long)(before.effective & (kept | lent)));
  (void)execv(argv[0], (char *const *)argv);
  _exit(NOT_CONFINED);
}

static void the_watch_gets_its_own_without_gain_by_exec(void **state) {
  pid_t pid;

  (void)state;
  needs_root();
  pid = fork_child();
  if (pid == 0)
    of_ebbd_without_gain();
  assert_int_equal(reap_child(pid), OK);
}

static void of_the_watch(void) {
  const uint64_t kept = 0 CONFINE_WATCH(BIT);
  struct confinement before, after;
  char command[64];
  const char *const argv[] = {"/bin/sh", "-c", command, NULL};

  if (confine__read(getpid(), &before) || confine__watch_capabilities() || confine__read(getpid(), &after))
    _exit(NOT_CONFINED);
  if (after.effective != (before.effective & kept))
    _exit(after.effective & ~kept ? MORE_LEFT : LESS_LEFT);
  if (!after.no_new_privs)
    _exit(MORE_LEFT);
  (void)snprintf(command, sizeof(command), "grep -q 'CapEff:.*%016llx$' /proc/self/status",
                 (unsigned long long)after.effective);
  (void)execv(argv[0], (char *const *)argv);
  _exit(NOT_CONFINED);
}

static void the_watch_gains_nothing_by_exec(void **state) {
  pid_t pid = fork_child();

  (void)state;
  if (pid == 0)
    of_the_watch();
  assert_int_equal(reap_child(pid), OK);
}

static int refused_to_ebbd(void) {
  struct confinement is;

  if (confine__ebbd_calls() || confine__read(getpid(), &is) || !is.filtered || is.no_new_privs)
    return NOT_CONFINED;
  /* EFAULT, EINVAL or ENOENT if they came through. */
  if (expect_refusal(swapoff("/nowhere")) || expect_refusal(syscall(SYS_delete_module, "no such module", 0)) ||
      expect_refusal(syscall(SYS_clock_settime, CLOCK_REALTIME, NULL)))
    return NOT_REFUSED;
  pid_t pid = fork();
  if (pid == 0)
    _exit(execl("/bin/true", "true", NULL));
  return pid < 0 || reap_child(pid) ? REFUSED : OK;
}

/* What a 32-bit job does: calls by the other table, which a filter for one architecture would kill it for. */
static int by_the_other_table(long number, long argument) {
#ifdef __x86_64__
  long result;

  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(argument), "c"(0), "d"(0) : "memory", "cc");
  return (int)result;
#else
  (void)number, (void)argument;
  return -ENOSYS;
#endif
}

enum { GETPID_32 = 20, SWAPOFF_32 = 115 };

static int of_a_32_bit_job(void) {
  if (confine__ebbd_calls())
    return NOT_CONFINED;
  if (by_the_other_table(GETPID_32, 0) != getpid())
    return REFUSED;
  return by_the_other_table(SWAPOFF_32, 0) == -EPERM ? OK : NOT_REFUSED;
}

static void programs_of_32_bits_run_under_it_too(void **state) {
  pid_t pid;
  int status;

  (void)state;
  needs_root();
  pid = fork_child();
  if (pid == 0)
    _exit(by_the_other_table(GETPID_32, 0) == getpid());
  /* Without CONFIG_IA32_EMULATION: a fault. */
  assert_int_equal(waitpid(pid, &status, 0), pid);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 1) {
    print_message("skipped: this kernel runs no 32-bit programs\n");
    skip();
  }
  pid = fork_child();
  if (pid == 0)
    _exit(of_a_32_bit_job());
  assert_int_equal(reap_child(pid), OK);
}

/* Jobs read the clock's state (ntp_gettime), and emulators of other systems take segments of their own. */
static int what_jobs_do(void) {
  struct timex state = {0};

  if (confine__ebbd_calls())
    return NOT_CONFINED;
  if (adjtimex(&state) < 0)
    return REFUSED;
#ifdef SYS_modify_ldt
  if (syscall(SYS_modify_ldt, 0, NULL, 0) < 0 && errno == EPERM)
    return REFUSED;
#endif
  return OK;
}

static void jobs_may_do_what_jobs_do(void **state) {
  pid_t pid;

  (void)state;
  needs_root();
  pid = fork_child();
  if (pid == 0)
    _exit(what_jobs_do());
  assert_int_equal(reap_child(pid), OK);
}

static void ebbd_may_not_do_what_no_job_does(void **state) {
  pid_t pid;

  (void)state;
  needs_root();
  pid = fork_child();
  if (pid == 0)
    _exit(refused_to_ebbd());
  assert_int_equal(reap_child(pid), OK);
}

/* It would bind each worker for ever. */
static void nobody_ordinary_is_bound_by_it(void **state) {
  pid_t pid = fork_child();

  (void)state;
  if (pid == 0) {
    struct confinement is;
    if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY))
      _exit(NOT_CONFINED);
    if (confine__ebbd_calls() != -EACCES)
      _exit(NOT_REFUSED);
    _exit(confine__read(getpid(), &is) || is.filtered || is.no_new_privs ? GAINED : OK);
  }
  assert_int_equal(reap_child(pid), OK);
}

static int refused_to_the_watch(void) {
  struct confinement is;

  if (confine__watch_capabilities() || confine__watch_calls() || confine__read(getpid(), &is) || !is.filtered)
    return NOT_CONFINED;
  if (expect_refusal(execl("/bin/true", "true", NULL)) || expect_refusal(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)) ||
      expect_refusal(kill(getppid(), SIGCONT)) || expect_refusal(syscall(SYS_ptrace, 0, 0, 0, 0)) ||
      expect_refusal(syscall(SYS_setresuid, 0, 0, 0)) || expect_refusal(socket(AF_INET, SOCK_STREAM, 0)) ||
      expect_refusal(syscall(SYS_tgkill, getppid(), getppid(), SIGCONT)))
    return NOT_REFUSED;
  /* That a process is there may be asked; a journal may be talked to. */
  if (kill(getppid(), 0) && geteuid() == 0)
    return REFUSED;
  return socket(AF_UNIX, SOCK_DGRAM, 0) < 0 ? REFUSED : OK;
}

static void the_watch_may_neither_start_nor_signal(void **state) {
  pid_t pid = fork_child();

  (void)state;
  if (pid == 0)
    _exit(refused_to_the_watch());
  assert_int_equal(reap_child(pid), OK);
}

static void status_is_read_as_the_kernel_writes_it(void **state) {
  struct confinement is;

  (void)state;
  assert_int_equal(confine__parse("Name:\tx\nCapEff:\t00000000000000c0\nNoNewPrivs:\t1\nSeccomp:\t2\n", &is), 0);
  assert_true(is.effective == 0xc0 && is.no_new_privs && is.filtered);
  assert_int_equal(confine__parse("Name:\tx\nCapEff:\t0\nNoNewPrivs:\t0\nSeccomp:\t0\n", &is), 0);
  assert_true(is.effective == 0 && !is.no_new_privs && !is.filtered);
  assert_int_equal(confine__parse("CapEff:\n", &is), -EPROTO);
  assert_int_equal(confine__read(INT_MAX, &is), -ESRCH);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ebbd_keeps_its_own_and_root_children_theirs),
      cmocka_unit_test(the_watch_gets_its_own_without_gain_by_exec),
      cmocka_unit_test(the_watch_gains_nothing_by_exec),
      cmocka_unit_test(ebbd_may_not_do_what_no_job_does),
      cmocka_unit_test(programs_of_32_bits_run_under_it_too),
      cmocka_unit_test(jobs_may_do_what_jobs_do),
      cmocka_unit_test(nobody_ordinary_is_bound_by_it),
      cmocka_unit_test(the_watch_may_neither_start_nor_signal),
      cmocka_unit_test(status_is_read_as_the_kernel_writes_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

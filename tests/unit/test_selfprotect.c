/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Does a daemon get the protection that it asks for, and hear when it does not? */
#include "scene.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "selfprotect.h"

/* The sanitizer makes nothing of locking memory; so what is asked for is looked at here, and the answer is ours. */
static int locked_with = -1, lock_error;

int mlockall(int flags) {
  locked_with = flags;
  errno = lock_error;
  return lock_error ? -1 : 0;
}

static void memory_is_locked_as_it_is_touched(void **state) {
  (void)state;
  assert_int_equal(selfprotect__lock_memory(), 0);
  assert_int_equal(locked_with, MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
  lock_error = EPERM;
  assert_int_equal(selfprotect__lock_memory(), -EPERM);
}

static int score_of(pid_t pid) {
  char path[64];
  int value = 77777;

  (void)snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
  FILE *file = fopen(path, "re");
  assert_non_null(file);
  assert_int_equal(fscanf(file, "%d", &value), 1);
  (void)fclose(file);
  return value;
}

static void scores_reach_the_kernel(void **state) {
  int ours = score_of(getpid());
  pid_t pid = fork_child();

  (void)state;
  if (pid == 0)
    pause_for_ever();
  assert_int_equal(selfprotect__oom_score_adj_of(pid, ours + 100), 0);
  assert_int_equal(score_of(pid), ours + 100);
  assert_int_equal(score_of(getpid()), ours);
  assert_int_equal(selfprotect__oom_score_adj(ours + 50), 0);
  assert_int_equal(score_of(getpid()), ours + 50);
  assert_int_equal(score_of(pid), ours + 100);
  assert_int_equal(selfprotect__oom_score_adj_of(pid, 1001), -EINVAL);
  end_child(pid);
  assert_int_equal(selfprotect__oom_score_adj_of(pid, 0), -ESRCH);
}

static void protection_without_the_right_to_it_is_refused(void **state) {
  pid_t pid = fork_child();

  (void)state;
  if (pid == 0) {
    if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY))
      _exit(2);
    _exit(selfprotect__oom_score_adj(-900) != -EACCES);
  }
  assert_int_equal(reap_child(pid), 0);
}

static void open_files_are_raised_to_the_hard_limit(void **state) {
  struct rlimit original, small, limit;
  unsigned long before = 0;

  (void)state;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &original), 0);
  small = (struct rlimit){.rlim_cur = 100, .rlim_max = original.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
  assert_int_equal(selfprotect__open_files(&before), 0);
  assert_int_equal(before, 100);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  assert_true(limit.rlim_cur == original.rlim_max && limit.rlim_max == original.rlim_max);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &original), 0);
}

/* A child that leaves a grandchild, and ends. */
static pid_t leave_orphan(void) {
  int ends[2];
  pid_t child, orphan = 0;

  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  child = fork_child();
  if (child == 0) {
    orphan = fork();
    if (orphan == 0) {
      (void)prctl(PR_SET_PDEATHSIG, 0);
      pause_for_ever();
    }
    _exit(write(ends[1], &orphan, sizeof(orphan)) != sizeof(orphan));
  }
  assert_int_equal(reap_child(child), 0);
  assert_int_equal(read(ends[0], &orphan, sizeof(orphan)), sizeof(orphan));
  (void)close(ends[0]);
  (void)close(ends[1]);
  return orphan;
}

static void orphans_become_our_children(void **state) {
  pid_t orphan = leave_orphan();

  (void)state;
  assert_int_equal(waitpid(orphan, NULL, WNOHANG), -1);
  assert_int_equal(kill(orphan, SIGKILL), 0);

  assert_int_equal(selfprotect__subreaper(), 0);
  orphan = leave_orphan();
  end_child(orphan);
}

/* Of sched_getattr(2): policy, nice and slice. Since 6.12 the slice of an ordinary process is told and taken. */
struct turns_of {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime_ns, deadline_ns, period_ns;
};

static struct turns_of own_turns(void) {
  struct turns_of turns = {.size = sizeof(turns)};

  assert_int_equal(syscall(SYS_sched_getattr, 0, &turns, sizeof(turns), 0), 0);
  return turns;
}

static int run_first(void) {
  if (selfprotect__run_soon())
    return 2;
  pid_t pid = fork_child();
  if (pid == 0)
    _exit(own_turns().policy == SCHED_OTHER ? 0 : 3);
  struct turns_of turns = own_turns();
  struct rlimit most;
  if (turns.policy == SCHED_OTHER)
    return 77;
  if (getrlimit(RLIMIT_RTTIME, &most) || most.rlim_cur > 5000000 || most.rlim_max > 5000000)
    return 5; /* nothing would stop it */
  return turns.policy == SCHED_FIFO && turns.priority == 1 ? reap_child(pid) : 4;
}

static int take_short_turns(void) {
  const struct rlimit none = {0};
  if (setpriority(PRIO_PROCESS, 0, 7) || setrlimit(RLIMIT_RTPRIO, &none) ||
      (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY)))
    return 2;
  struct turns_of before = own_turns();
  if (selfprotect__run_soon())
    return 3;
  struct turns_of after = own_turns();
  if (after.policy != before.policy || after.nice != 7)
    return 4;
  return before.runtime_ns == 0 ? 77 : after.runtime_ns == 100000 && before.runtime_ns > 100000 ? 0 : 5;
}

/* In a child, whose scheduling may be spoilt. 77: not here. */
static void in_child(int (*act)(void), const char *unless) {
  pid_t pid = fork_child();
  if (pid == 0)
    _exit(act());
  int status = reap_child(pid);
  if (status == 77) {
    print_message("skipped: %s\n", unless);
    skip();
  }
  assert_int_equal(status, 0);
}

static void who_may_runs_first_and_its_children_do_not(void **state) {
  (void)state;
  in_child(run_first, "no right to run before others");
}

static void who_may_not_takes_short_turns_and_keeps_the_rest(void **state) {
  (void)state;
  in_child(take_short_turns, "slices of ordinary processes came with Linux 6.12");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(memory_is_locked_as_it_is_touched),
      cmocka_unit_test(scores_reach_the_kernel),
      cmocka_unit_test(protection_without_the_right_to_it_is_refused),
      cmocka_unit_test(open_files_are_raised_to_the_hard_limit),
      cmocka_unit_test(orphans_become_our_children),
      cmocka_unit_test(who_may_runs_first_and_its_children_do_not),
      cmocka_unit_test(who_may_not_takes_short_turns_and_keeps_the_rest),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Are processes signalled and reaped by descriptor, whole groups included, on old kernels too? */
#include "scene.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/syscall.h>

#include "cleanup.h"
#include "pidfd.h"

#define GROUP 3

static pid_t fork_sleeper(void) {
  pid_t pid = fork_child();

  if (pid == 0)
    pause_for_ever();
  return pid;
}

static void opens_only_what_lives(void **state) {
  pid_t pid = fork_sleeper();
  int fd = pidfd__open(pid);

  (void)state;
  assert_true(fd >= 0);
  assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  assert_int_equal(pidfd__signal(fd, 0), 0);
  end_child(pid);
  assert_int_equal(pidfd__signal(fd, 0), -ESRCH);
  assert_int_equal(pidfd__open(pid), -ESRCH);
  assert_int_equal(pidfd__open(-1), -EINVAL);
  assert_int_equal(pidfd__signal(-1, SIGTERM), -EBADF);
  (void)close(fd);
}

static void wait_tells_how_it_ended(void **state) {
  int code = 77, signal = 78, fd;
  pid_t pid = fork_sleeper();

  (void)state;
  fd = pidfd__open(pid);
  assert_int_equal(pidfd__wait(fd, false, &code, &signal), 0);
  assert_int_equal(code, 77);
  assert_int_equal(signal, 78);
  assert_int_equal(pidfd__signal(fd, SIGTERM), 0);
  UNTIL(pidfd__wait(fd, true, &code, &signal) == 1);
  assert_int_equal(code, -1);
  assert_int_equal(signal, SIGTERM);
  code = signal = 77;
  assert_int_equal(pidfd__wait(fd, true, &code, &signal), 1); /* it was left */
  assert_int_equal(pidfd__wait(fd, false, &code, &signal), 1);
  assert_int_equal(signal, SIGTERM);
  assert_int_equal(pidfd__wait(fd, false, &code, &signal), -ECHILD);
  (void)close(fd);

  pid = fork_child();
  if (pid == 0)
    _exit(3);
  fd = pidfd__open(pid);
  UNTIL(pidfd__wait(fd, false, &code, &signal) == 1);
  assert_int_equal(code, 3);
  assert_int_equal(signal, -1);
  (void)close(fd);
}

static void only_our_children_are_waited_for(void **state) {
  int fd = pidfd__open(getppid()), code, signal;

  (void)state;
  assert_true(fd >= 0);
  assert_int_equal(pidfd__wait(fd, false, &code, &signal), -ECHILD);
  assert_int_equal(pidfd__wait(-1, false, &code, &signal), -EINVAL);
  (void)close(fd);
}

/* A leader with two more in its group, each of which says when it is there. */
struct group {
  pid_t leader;
  int pidfds[GROUP];
};

static void form_group(struct group *group, bool leader_ends) {
  pid_t pids[GROUP] = {0};
  int ends[2];

  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  group->leader = fork_child();
  if (group->leader == 0) {
    (void)setsid();
    for (int i = 1; i < GROUP; i++) {
      pids[i] = fork();
      if (pids[i] == 0)
        pause_for_ever();
    }
    pids[0] = getpid();
    if (write(ends[1], pids, sizeof(pids)) != sizeof(pids))
      _exit(1);
    if (leader_ends)
      _exit(0);
    pause_for_ever();
  }
  assert_int_equal(read(ends[0], pids, sizeof(pids)), sizeof(pids));
  (void)close(ends[0]);
  (void)close(ends[1]);
  for (int i = 0; i < GROUP; i++) {
    group->pidfds[i] = pidfd__open(pids[i]);
    assert_true(group->pidfds[i] >= 0);
  }
}

static bool has_ended(int pidfd) {
  struct pollfd poll_for = {.fd = pidfd, .events = POLLIN};

  return poll(&poll_for, 1, 0) == 1;
}

static void disband(struct group *group) {
  (void)waitpid(group->leader, NULL, 0);
  for (int i = 0; i < GROUP; i++)
    (void)close(group->pidfds[i]);
}

static void whole_group_is_reached(void **state) {
  struct group group;

  (void)state;
  form_group(&group, false);
  assert_int_equal(pidfd__signal_group(group.pidfds[0], group.leader, SIGTERM), 0);
  for (int i = 0; i < GROUP; i++)
    UNTIL(has_ended(group.pidfds[i]));
  disband(&group);
}

static void group_is_reached_after_its_leader_ended(void **state) {
  struct group group;
  int code, signal;

  (void)state;
  form_group(&group, true);
  UNTIL(pidfd__wait(group.pidfds[0], true, &code, &signal) == 1);
  assert_false(has_ended(group.pidfds[1]));
  assert_int_equal(pidfd__signal_group(group.pidfds[0], group.leader, SIGKILL), 0);
  for (int i = 0; i < GROUP; i++)
    UNTIL(has_ended(group.pidfds[i]));
  disband(&group);
}

/* As before Linux 6.9: pidfd_send_signal with flags is EINVAL. */
static bool refuse_flags(void) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_send_signal, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[3])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {.len = sizeof(filter) / sizeof(*filter), .filter = filter};

  return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* A group, and a child for which the kernel is an older one; 0 in the child. */
static pid_t fork_on_older_kernel(struct group *group) {
  pid_t pid;

  form_group(group, false);
  pid = fork_child();
  if (pid == 0 && !refuse_flags())
    _exit(1);
  return pid;
}

static void older_kernels_reach_the_group_too(void **state) {
  struct group group;
  pid_t pid = fork_on_older_kernel(&group);

  (void)state;
  if (pid == 0) {
    if (pidfd__signal_group(group.pidfds[0], group.leader, SIGTERM))
      _exit(2);
    _exit(pidfd__signal_group(group.pidfds[0], group.leader, 1000) == -EINVAL ? 0 : 3);
  }
  assert_int_equal(reap_child(pid), 0);
  for (int i = 0; i < GROUP; i++)
    UNTIL(has_ended(group.pidfds[i]));
  disband(&group);
}

static void without_a_number_older_kernels_reach_the_leader_alone(void **state) {
  struct group group;
  pid_t pid = fork_on_older_kernel(&group);

  (void)state;
  if (pid == 0)
    _exit(pidfd__signal_group_or_process(group.pidfds[0], SIGTERM) ? 2 : 0);
  assert_int_equal(reap_child(pid), 0);
  UNTIL(has_ended(group.pidfds[0]));
  for (int i = 1; i < GROUP; i++) {
    assert_false(has_ended(group.pidfds[i]));
    assert_int_equal(pidfd__signal(group.pidfds[i], SIGKILL), 0);
  }
  disband(&group);
}

static void without_a_number_the_group_is_reached_where_it_can_be_named(void **state) {
  struct group group;

  (void)state;
  form_group(&group, false);
  if (pidfd__signal_group_or_process(group.pidfds[0], SIGTERM) == 0 &&
      syscall(SYS_pidfd_send_signal, group.pidfds[1], 0, NULL, 1U << 2) == -1 && errno == EINVAL) {
    (void)pidfd__signal_group(group.pidfds[0], group.leader, SIGKILL);
    disband(&group);
    SKIP("before Linux 6.9");
  }
  for (int i = 0; i < GROUP; i++)
    UNTIL(has_ended(group.pidfds[i]));
  disband(&group);
}

/* kill(2) takes 0, 1 and -1 for "us", "init" and "everybody". Signal 0: even a broken guard would harm nobody. */
static void never_signals_everybody(void **state) {
  _cleanup_fd_ int fd = pidfd__open(getpid());

  (void)state;
  for (pid_t pid = -2; pid <= 1; pid++)
    assert_int_equal(pidfd__signal_group(fd, pid, 0), -EINVAL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(opens_only_what_lives),
      cmocka_unit_test(wait_tells_how_it_ended),
      cmocka_unit_test(only_our_children_are_waited_for),
      cmocka_unit_test(whole_group_is_reached),
      cmocka_unit_test(group_is_reached_after_its_leader_ended),
      cmocka_unit_test(older_kernels_reach_the_group_too),
      cmocka_unit_test(without_a_number_older_kernels_reach_the_leader_alone),
      cmocka_unit_test(without_a_number_the_group_is_reached_where_it_can_be_named),
      cmocka_unit_test(never_signals_everybody),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Do processes start as they were asked for, and does every step that fails say so and leave nothing behind? */
#include "spawn_scene.h"

#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "procstat.h"

#define TELL_DEATH_SIGNAL "--tell-death-signal"

static int open_files(void) {
  int n = 0;

  for (int fd = 0; fd < 1024; fd++)
    n += fcntl(fd, F_GETFD) >= 0;
  return n;
}

static void arguments_environment_and_exit_code_arrive(void **state) {
  struct spawn spawn = plain(ARGV("/bin/sh", "-c", "echo \"$0|$1|$COLOUR|$HOME\" >&3", "zero", "one two"));

  (void)state;
  assert_string_equal(said(spawn), "zero|one two|red|\n");
  spawn = plain(SHELL("exit 7"));
  assert_int_equal(run(&spawn), 7);
  spawn = plain(SHELL("kill -9 $$"));
  assert_int_equal(run(&spawn), 1000 + SIGKILL);
}

static void path_of_the_child_is_searched(void **state) {
  struct spawn spawn = plain(ARGV("sh", "-c", "exit 3"));
  char path[256];

  (void)state;
  assert_int_equal(run(&spawn), 3);
  spawn.envp = ARGV("PATH=::/nonexistent:/etc/passwd:/bin");
  assert_int_equal(run(&spawn), 3);
  spawn.envp = ARGV("COLOUR=red"); /* no PATH: the usual places */
  assert_int_equal(run(&spawn), 3);
  spawn.envp = ARGV("PATH=/nonexistent");
  assert_fails(&spawn, "find", ENOENT);
  spawn.envp = ARGV("PATH=");
  assert_fails(&spawn, "find", ENOENT);
  spawn.envp = environment;

  put_file(in_scene("sh"), "not to be run", 0644);
  (void)snprintf(path, sizeof(path), "PATH=%s:/bin", scene_path);
  spawn.envp = ARGV(path);
  assert_int_equal(run(&spawn), 3);
  (void)snprintf(path, sizeof(path), "PATH=%s:/nonexistent", scene_path);
  assert_fails(&spawn, "exec", EACCES);
  spawn.directory = scene_path; /* an empty element does not mean: here */
  put_file(in_scene("sh"), "#!/bin/false\n", 0755);
  spawn.envp = ARGV("PATH=:/bin");
  assert_int_equal(run(&spawn), 3);
}

static void overlong_path_is_stepped_over(void **state) {
  struct spawn spawn = plain(ARGV("sh", "-c", "exit 3"));
  static char path[3 * PATH_MAX] = "PATH=/";
  static char name[2 * PATH_MAX];

  (void)state;
  memset(path + 6, 'x', 2 * PATH_MAX);
  strcpy(path + 6 + 2 * PATH_MAX, ":/bin");
  spawn.envp = ARGV(path);
  assert_int_equal(run(&spawn), 3);
  memset(name, 'x', sizeof(name) - 1);
  spawn.argv = ARGV(name);
  assert_fails(&spawn, "find", ENOENT);
}

static void failed_exec_says_why(void **state) {
  struct spawn spawn = plain(ARGV("/nonexistent/program"));
  static char long_argument[256 * 1024];
  int before = open_files();

  (void)state;
  assert_fails(&spawn, "exec", ENOENT);
  put_file(in_scene("text"), "no interpreter line", 0755);
  spawn.argv = ARGV(in_scene("text"));
  assert_fails(&spawn, "exec", ENOEXEC);
  put_file(in_scene("locked"), "#!/bin/true\n", 0644);
  spawn.argv = ARGV(in_scene("locked"));
  assert_fails(&spawn, "exec", EACCES);
  spawn.argv = ARGV(scene_path);
  assert_fails(&spawn, "exec", EACCES);
  memset(long_argument, 'x', sizeof(long_argument) - 1);
  spawn.argv = ARGV("/bin/true", long_argument);
  assert_fails(&spawn, "exec", E2BIG);
  spawn = plain(ARGV("/bin/true"));
  spawn.directory = "/nonexistent";
  assert_fails(&spawn, "chdir", ENOENT);
  assert_int_equal(open_files(), before);
  spawn.directory = "/";
  assert_int_equal(run(&spawn), 0);
}

static void on_usr1(int signal) {
  (void)signal;
}

static void signals_are_as_by_default(void **state) {
  struct spawn spawn = plain(ARGV("/bin/sh", "-c", "exec sed -n '/^Sig[BIC][lg]/p' /proc/self/status >&3"));
  sigset_t blocked, after;
  struct sigaction action;

  (void)state;
  (void)sigemptyset(&blocked);
  (void)sigaddset(&blocked, SIGUSR2);
  (void)sigaddset(&blocked, SIGRTMAX);
  assert_int_equal(sigprocmask(SIG_BLOCK, &blocked, NULL), 0);
  (void)signal(SIGPIPE, SIG_IGN);
  (void)signal(SIGRTMIN + 1, SIG_IGN);
  (void)signal(SIGUSR1, on_usr1);
  assert_string_equal(said(spawn), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n");

  assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &after), 0);
  assert_true(sigismember(&after, SIGUSR2) && sigismember(&after, SIGRTMAX) && !sigismember(&after, SIGUSR1));
  assert_int_equal(sigaction(SIGUSR1, NULL, &action), 0);
  assert_true(action.sa_handler == on_usr1);
  assert_int_equal(sigaction(SIGPIPE, NULL, &action), 0);
  assert_true(action.sa_handler == SIG_IGN);
  assert_int_equal(sigprocmask(SIG_UNBLOCK, &blocked, NULL), 0);
  for (int number = 1; number <= SIGRTMAX; number++)
    if (number == SIGPIPE || number == SIGRTMIN + 1 || number == SIGUSR1)
      (void)signal(number, SIG_DFL);
}

/* Shared memory: a handler of ours that ran in the child would spoil the parent. */
static pid_t handler_owner;
static volatile sig_atomic_t strangers, handled;

static void count_strangers(int signal) {
  (void)signal;
  handled++;
  strangers += syscall(SYS_getpid) != handler_owner;
}

static void no_handler_of_ours_runs_in_the_child(void **state) {
  struct spawn spawn = plain(ARGV("/bin/true"));
  pid_t bombardier;

  (void)state;
  assert_true(setpgid(0, 0) == 0 || errno == EPERM);
  handler_owner = getpid();
  (void)signal(SIGUSR1, count_strangers);
  bombardier = fork_child();
  if (bombardier == 0) {
    (void)signal(SIGUSR1, SIG_IGN);
    for (;;) {
      (void)kill(0, SIGUSR1);
      (void)sched_yield();
    }
  }
  UNTIL(handled > 0);
  for (int i = 0; i < 300; i++) {
    struct spawn_error error;
    _cleanup_fd_ int pidfd = -1;
    pid_t pid;

    assert_int_equal(spawn__run(&spawn, &pid, &pidfd, &error), 0);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
      ;
  }
  (void)kill(bombardier, SIGKILL);
  while (waitpid(bombardier, NULL, 0) < 0 && errno == EINTR)
    ;
  (void)signal(SIGUSR1, SIG_DFL);
  assert_int_equal(strangers, 0);
}

static void only_the_kept_descriptor_is_inherited(void **state) {
  struct spawn spawn = plain(SHELL("echo $(ls /proc/$$/fd) $(readlink /proc/$$/fd/0) >&3"));
  int extra = open("/etc/passwd", O_RDONLY), high = fcntl(extra, F_DUPFD, 700); /* as if we had inherited them */
  int input = fcntl(0, F_DUPFD_CLOEXEC, 10);

  (void)state;
  assert_true(extra >= 0 && high >= 700 && input >= 10);
  assert_int_equal(dup2(extra, 0), 0);
  const char *text = said(spawn);

  /* the shell may hold descriptors of its own from 10 on */
  assert_int_equal(strncmp(text, "0 1 10 2 3 ", 11) && strncmp(text, "0 1 2 3 ", 8), 0);
  assert_non_null(strstr(text, " /dev/null\n"));
  assert_null(strstr(text, "700"));
  assert_int_equal(dup2(input, 0), 0);
  (void)close(input);
  (void)close(extra);
  (void)close(high);

  spawn = plain(SHELL("test ! -e /proc/$$/fd/3"));
  assert_int_equal(run(&spawn), 0);
}

static void kept_descriptor_may_be_number_3_itself(void **state) {
  struct spawn spawn = plain(SHELL("test -e /proc/$$/fd/3 -a ! -e /proc/$$/fd/4"));
  int saved = fcntl(3, F_DUPFD_CLOEXEC, 10), file = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

  (void)state;
  assert_int_equal(dup3(file, 3, O_CLOEXEC) == 3 || file == 3, 1);
  spawn.keep_fd = 3;
  assert_int_equal(run(&spawn), 0);
  assert_true(fcntl(3, F_GETFD) & FD_CLOEXEC); /* ours is as it was */
  spawn.keep_fd = 999;
  assert_fails(&spawn, "keep", EBADF);
  if (file != 3)
    (void)close(file);
  if (saved >= 0) {
    (void)dup3(saved, 3, O_CLOEXEC);
    (void)close(saved);
  } else {
    (void)close(3);
  }
}

static void group_and_session_are_its_own_when_asked(void **state) {
  struct spawn spawn = plain(ARGV("/bin/sleep", "100"));
  struct spawn_error error;
  int pidfd;
  pid_t pid;

  (void)state;
  spawn.new_group = true;
  assert_int_equal(spawn__run(&spawn, &pid, &pidfd, &error), 0);
  assert_int_equal(getpgid(pid), pid);
  assert_int_equal(getsid(pid), pid);
  end_child(pid);
  (void)close(pidfd);
  spawn.new_group = false;
  assert_int_equal(spawn__run(&spawn, &pid, &pidfd, &error), 0);
  assert_int_equal(getpgid(pid), getpgrp());
  end_child(pid);
  (void)close(pidfd);
}

static int oom_score_adj_of(const char *who) {
  char path[64];
  int value = INT_MIN;

  (void)snprintf(path, sizeof(path), "/proc/%s/oom_score_adj", who);
  FILE *file = fopen(path, "re");
  assert_non_null(file);
  assert_int_equal(fscanf(file, "%d", &value), 1);
  (void)fclose(file);
  return value;
}

static void oom_score_is_the_childs_alone(void **state) {
  struct identity identity = somebody();
  struct spawn spawn = plain(SHELL("cat /proc/self/oom_score_adj >&3"));
  int before = oom_score_adj_of("self");
  char expected[32];

  (void)state;
  if (geteuid() == 0)
    spawn.identity = &identity;
  spawn.oom_score_adj = before + 123;
  (void)snprintf(expected, sizeof(expected), "%d\n", before + 123);
  assert_string_equal(said(spawn), expected);
  assert_int_equal(oom_score_adj_of("self"), before);
  spawn.oom_score_adj = INT_MIN;
  (void)snprintf(expected, sizeof(expected), "%d\n", before);
  assert_string_equal(said(spawn), expected);
  spawn.oom_score_adj = 100000; /* refused by the kernel: ignored */
  assert_string_equal(said(spawn), expected);
}

static void limit_of_open_files_is_given_back(void **state) {
  struct spawn spawn = plain(SHELL("ulimit -S -n >&3; ulimit -H -n >&3"));
  struct rlimit limit, after;
  char expected[64];

  (void)state;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  (void)snprintf(expected, sizeof(expected), "%lu\n%lu\n", limit.rlim_cur, limit.rlim_max);
  assert_string_equal(said(spawn), expected);
  spawn.open_files = limit.rlim_max + 1; /* more than allowed: ignored */
  assert_string_equal(said(spawn), expected);
  spawn.open_files = 99;
  (void)snprintf(expected, sizeof(expected), "99\n%lu\n", limit.rlim_max);
  assert_string_equal(said(spawn), expected);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
  assert_int_equal(after.rlim_cur, limit.rlim_cur);
}

/* Let a parent start a sleeper as somebody else, and die. Returns a descriptor of the sleeper. */
static int pidfd_of_orphan(void) {
  struct identity identity = somebody();
  struct spawn spawn = plain(ARGV("/bin/sleep", "100"));
  int ends[2], pidfd;
  pid_t parent, pid;

  spawn.die_with_parent = true;
  if (geteuid() == 0)
    spawn.identity = &identity;
  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  parent = fork_child();
  if (parent == 0) {
    struct spawn_error error;

    if (spawn__run(&spawn, &pid, &pidfd, &error) || write(ends[1], &pid, sizeof(pid)) != sizeof(pid))
      _exit(1);
    pause_for_ever();
  }
  assert_int_equal(read(ends[0], &pid, sizeof(pid)), sizeof(pid));
  (void)close(ends[0]);
  (void)close(ends[1]);
  pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  assert_true(pidfd >= 0);
  end_child(parent);
  return pidfd;
}

static void dies_with_its_parent_when_asked(void **state) {
  struct pollfd poll_for = {.fd = pidfd_of_orphan(), .events = POLLIN};

  (void)state;
  assert_int_equal(poll(&poll_for, 1, 20000), 1);
  (void)close(poll_for.fd);
}

/* Stop the first child of that process that runs as somebody else. */
static void stop_child_of(pid_t parent) {
  for (;;) {
    char path[64];
    uid_t uid;
    pid_t pid;
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
    FILE *children = fopen(path, "re");
    while (children && fscanf(children, "%d", &pid) == 1)
      if (procuid__read(pid, &uid) == 0 && uid == NOBODY && kill(pid, SIGSTOP) == 0)
        _exit(0);
    if (children)
      (void)fclose(children);
  }
}

/* Between the change of user and exec, the child is at the mercy of that user's other processes, and we wait for it. */
static void a_child_that_is_stopped_before_exec_holds_nobody_up(void **state) {
  enum { N = 1000000 };
  static char path[sizeof("PATH=") + 3 * N];
  const char *envp[] = {path, NULL};
  struct spawn spawn = plain(ARGV("no-such-program"));
  struct identity identity = somebody();
  pid_t self = getpid(), stopper;

  (void)state;
  if (geteuid()) {
    print_message("skipped: not root\n");
    skip();
  }
  /* Long enough to look through that the child can be caught. */
  (void)strcpy(path, "PATH=");
  for (int i = 0; i < N; i++)
    memcpy(path + 5 + 3 * i, "/x:", 3);
  spawn.envp = envp;
  spawn.identity = &identity;
  stopper = fork_child();
  if (!stopper)
    stop_child_of(self);
  assert_int_equal(run(&spawn), 1000 + SIGKILL);
  assert_int_equal(reap_child(stopper), 0);
}

/* We ourselves are the program: main() answers. */
static void and_only_when_asked(void **state) {
  struct spawn spawn = plain(ARGV("/proc/self/exe", TELL_DEATH_SIGNAL));
  struct identity identity = somebody();

  (void)state;
  assert_int_equal(run(&spawn), 0);
  spawn.die_with_parent = true;
  assert_int_equal(run(&spawn), SIGKILL);
  if (geteuid() == 0)
    spawn.identity = &identity;
  assert_int_equal(run(&spawn), SIGKILL);
}

int main(int argc, char **argv) {
  int signal = 99;

  if (argc == 2 && !strcmp(argv[1], TELL_DEATH_SIGNAL))
    _exit(prctl(PR_GET_PDEATHSIG, &signal) ? 98 : signal);
#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, scene__open, scene__close)
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(arguments_environment_and_exit_code_arrive),
      IN_SCENE(path_of_the_child_is_searched),
      cmocka_unit_test(overlong_path_is_stepped_over),
      IN_SCENE(failed_exec_says_why),
      cmocka_unit_test(signals_are_as_by_default),
      cmocka_unit_test(no_handler_of_ours_runs_in_the_child),
      cmocka_unit_test(only_the_kept_descriptor_is_inherited),
      cmocka_unit_test(kept_descriptor_may_be_number_3_itself),
      cmocka_unit_test(group_and_session_are_its_own_when_asked),
      cmocka_unit_test(oom_score_is_the_childs_alone),
      cmocka_unit_test(limit_of_open_files_is_given_back),
      cmocka_unit_test(a_child_that_is_stopped_before_exec_holds_nobody_up),
      cmocka_unit_test(dies_with_its_parent_when_asked),
      cmocka_unit_test(and_only_when_asked),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

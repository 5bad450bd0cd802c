/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Are users found, and does a process become one of them whole, with all that this means for what it may do? */
#include "spawn_scene.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static void becomes_another_user_for_good(void **state) {
  struct identity identity = somebody();
  struct spawn spawn =
      plain(ARGV("/bin/sh", "-c", "grep -E '^(Uid|Gid|Groups|CapPrm|CapEff|CapAmb):' /proc/self/status >&3"));
  char program[128];

  (void)state;
  if (geteuid() != 0)
    SKIP("only root becomes others");
  spawn.identity = &identity;
  assert_string_equal(said(spawn), "Uid:\t65534\t65534\t65534\t65534\n"
                                   "Gid:\t65534\t65534\t65534\t65534\n"
                                   "Groups:\t12 65534 \n"
                                   "CapPrm:\t0000000000000000\n"
                                   "CapEff:\t0000000000000000\n"
                                   "CapAmb:\t0000000000000000\n");
  assert_int_equal(geteuid(), 0); /* we have not moved */

  /* directory and program are looked at with its eyes */
  assert_int_equal(mkdir(in_scene("ours"), 0700), 0);
  put_file(in_scene("ours/program"), "#!/bin/true\n", 0755);
  (void)snprintf(program, sizeof(program), "%s", in_scene("ours/program"));
  spawn.argv = ARGV(program);
  assert_fails(&spawn, "exec", EACCES);
  spawn.directory = in_scene("ours");
  assert_fails(&spawn, "chdir", EACCES);
  spawn.identity = NULL;
  assert_int_equal(run(&spawn), 0);
}

static void search_passes_over_what_the_user_may_not_reach(void **state) {
  struct identity identity = somebody();
  struct spawn spawn = plain(ARGV("sh", "-c", "exit 3"));
  char path[256];

  (void)state;
  if (geteuid() != 0)
    SKIP("only root becomes others");
  assert_int_equal(mkdir(in_scene("ours"), 0700), 0);
  put_file(in_scene("ours/sh"), "#!/bin/false\n", 0755);
  (void)snprintf(path, sizeof(path), "PATH=%s:/bin", in_scene("ours"));
  spawn.envp = ARGV(path);
  spawn.identity = &identity;
  assert_int_equal(run(&spawn), 3);
}

/* In a child that gave its rights away. Exit codes: which check failed. */
static int without_rights(void) {
  struct identity root = {.set = true, .uid = 0, .gid = 0, .n_groups = 0}, self = somebody();
  struct rlimit none = {0, 0};
  struct spawn spawn = plain(ARGV("/bin/true"));
  struct spawn_error error;
  int pidfd;
  pid_t pid;

  if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
    return 1;
  spawn.identity = &root;
  if (spawn__run(&spawn, &pid, &pidfd, &error) != -EPERM || strcmp(error.step, "setgroups"))
    return 2;
  spawn.identity = &self; /* who we are already */
  if (spawn__run(&spawn, &pid, &pidfd, &error) || waitpid(pid, NULL, 0) != pid)
    return 3;
  (void)close(pidfd);
  if (setrlimit(RLIMIT_NPROC, &none) || spawn__run(&spawn, &pid, &pidfd, &error) != -EAGAIN ||
      strcmp(error.step, "clone") || error.error != EAGAIN)
    return 4;
  return 0;
}

static void without_rights_it_says_what_was_refused(void **state) {
  pid_t pid;

  (void)state;
  if (geteuid() != 0)
    SKIP("only root becomes others");
  pid = fork_child();
  if (pid == 0)
    _exit(without_rights());
  assert_int_equal(reap_child(pid), 0);
}

/* A daemon that is not root but may become others, by capabilities that every exec hands on. */
static bool become_a_capable_nobody(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {{0}};
  const unsigned int wanted = 1U << CAP_SETUID | 1U << CAP_SETGID;

  data[0].effective = data[0].permitted = data[0].inheritable = wanted;
  return !prctl(PR_SET_KEEPCAPS, 1) && !setresgid(1234, 1234, 1234) && !setresuid(1234, 1234, 1234) &&
         !syscall(SYS_capset, &header, data) && !prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SETUID, 0, 0) &&
         !prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SETGID, 0, 0);
}

static int powers_handed_on(void) {
  struct spawn spawn = plain(SHELL("grep -q '^CapEff:.0*$' /proc/self/status"));
  struct identity identity = somebody();
  struct spawn_error error;
  int pidfd, status;
  pid_t pid;

  if (!become_a_capable_nobody())
    return 1;
  if (spawn__run(&spawn, &pid, &pidfd, &error) || waitpid(pid, &status, 0) != pid || status == 0)
    return 2; /* to ourselves they are handed on */
  spawn.identity = &identity;
  if (spawn__run(&spawn, &pid, &pidfd, &error) || waitpid(pid, &status, 0) != pid)
    return 3;
  return status ? 4 : 0;
}

static void capabilities_stay_behind(void **state) {
  pid_t pid;

  (void)state;
  if (geteuid() != 0)
    SKIP("only root becomes others");
  pid = fork_child();
  if (pid == 0)
    _exit(powers_handed_on());
  assert_int_equal(reap_child(pid), 0);
}

static void users_are_found(void **state) {
  struct identity identity = {.uid = 77};
  const struct passwd *daemon;

  (void)state;
  assert_int_equal(identity__find(&identity, "ebb-no-such-user"), -ESRCH);
  assert_int_equal(identity.uid, 77);
  assert_int_equal(identity__find(&identity, "root"), 0);
  assert_true(identity.set);
  assert_int_equal(identity.uid, 0);
  assert_true(identity.n_groups >= 1);
  assert_int_equal(identity.groups[0], identity.gid);
  assert_string_equal(identity.name, "root");
  daemon = getpwnam("daemon");
  if (daemon) {
    assert_int_equal(identity__find(&identity, "daemon"), 0);
    assert_int_equal(identity.uid, daemon->pw_uid);
    assert_int_equal(identity.gid, daemon->pw_gid);
    assert_string_equal(identity.home, daemon->pw_dir);
    assert_int_equal(identity__find(&identity, "root"), 0);
  }
  assert_string_equal(identity.home, "/root");
  assert_int_equal(identity.shell[0], '/');
  assert_int_equal(identity__find(&identity, ""), 0);
  assert_false(identity.set);
}

int main(void) {
#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, scene__open, scene__close)
  const struct CMUnitTest tests[] = {
      IN_SCENE(becomes_another_user_for_good),
      IN_SCENE(search_passes_over_what_the_user_may_not_reach),
      cmocka_unit_test(without_rights_it_says_what_was_refused),
      cmocka_unit_test(capabilities_stay_behind),
      cmocka_unit_test(users_are_found),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

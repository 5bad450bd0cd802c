/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Is a worker born in its cgroup, is all of it known and ended by that, and does nothing of it stay behind? */
#include "spawn_scene.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "cgroup.h"
#include "pidfd.h"

static int leaves = -1, leaf = -1;

static int open_leaves(void **state) {
  if (scene__open(state))
    return -1;
  leaves = cgroup__open(scene_dirfd);
  leaf = leaves < 0 ? -1 : cgroup__make(leaves, "pool.0.1");
  return 0;
}

static bool end_all(void) {
  return cgroup__kill(leaf) || cgroup__populated(leaf) == 0;
}

static int close_leaves(void **state) {
  if (leaf >= 0) {
    UNTIL(end_all());
    while (waitpid(-1, NULL, WNOHANG) > 0)
      ;
    (void)close(leaf);
    (void)cgroup__remove(leaves, "pool.0.1");
  }
  if (leaves >= 0)
    cgroup__close(leaves, scene_dirfd);
  return scene__close(state);
}

#define NEEDS_LEAVES                                                                                                   \
  do {                                                                                                                 \
    (void)state;                                                                                                       \
    if (leaves < 0)                                                                                                    \
      SKIP("no cgroup v2 that may be divided: %s", strerror(-leaves));                                                 \
    assert_true(leaf >= 0);                                                                                            \
  } while (0)

static pid_t start_in(int cgroup, const char *script) {
  struct spawn spawn = plain(SHELL(script));
  struct spawn_error error;
  pid_t pid;
  int pidfd;

  spawn.new_group = true;
  spawn.cgroup = cgroup;
  assert_int_equal(spawn__run(&spawn, &pid, &pidfd, &error), 0);
  (void)close(pidfd);
  return pid;
}

static pid_t start(const char *script) {
  return start_in(leaf, script);
}

static int members(void) {
  static pid_t pids[64];

  return cgroup__members(leaf, pids, 64);
}

static void a_worker_is_born_there(void **state) {
  pid_t pid, other;

  NEEDS_LEAVES;
  assert_int_equal(cgroup__populated(leaf), 0);
  assert_int_equal(members(), 0);
  pid = start("exec sleep 20");
  assert_int_equal(cgroup__populated(leaf), 1);
  assert_int_equal(cgroup__members(leaf, &other, 1), 1);
  assert_int_equal(other, pid);
  end_child(pid);
  assert_int_equal(cgroup__populated(leaf), 0);
}

/* Its own first act can be a fork; the move may not be made by us, after that. */
static void what_it_starts_at_once_is_there_too(void **state) {
  NEEDS_LEAVES;
  for (int i = 0; i < 20; i++) {
    pid_t pid = start("sleep 20 & exit 0");

    assert_int_equal(reap_child(pid), 0);
    assert_int_equal(members(), 1 + i);
  }
}

/* As on kernels and in containers that have no clone3. */
static bool forbid_clone3(void) {
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog filter = {.len = sizeof(program) / sizeof(*program), .filter = program};

  return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) &&
         syscall(SYS_clone3, NULL, 0) && errno == ENOSYS;
}

static void one_that_has_to_move_is_there_before_exec(void **state) {
  NEEDS_LEAVES;
  pid_t child = fork_child();
  if (child == 0) {
    if (!forbid_clone3())
      _exit(77);
    pid_t pid = start("sleep 20 & exit 0");
    _exit(reap_child(pid));
  }
  int code = reap_child(child);
  if (code == 77)
    SKIP("may not forbid a system call");
  assert_int_equal(code, 0);
  assert_int_equal(members(), 1);
}

static void where_the_kernel_says_no_it_starts_all_the_same(void **state) {
  NEEDS_LEAVES;
  _cleanup_fd_ int removed = cgroup__make(leaves, "pool.0.2");
  assert_int_equal(cgroup__remove(leaves, "pool.0.2"), 0);
  assert_int_equal(reap_child(start_in(removed, "exit 3")), 3);
  assert_int_equal(reap_child(start_in(scene_dirfd, "exit 4")), 4); /* no cgroup at all */
}

/* Should the test fail, it stops growing by itself. */
static const char hydra[] = "exec > /dev/null 2>&1; trap '' TERM HUP INT\n"
                            "(setsid sh -c 'env -i /bin/sh -c \"trap \\\"\\\" TERM; sleep 20; :\" & sleep 20' &)\n"
                            "for i in $(seq 300); do (sleep 20 &); sleep 0.01; done; sleep 20";

/* However often it forks, and wherever its heads have gone. */
static void all_of_it_ends_at_one_blow(void **state) {
  pid_t pid;

  NEEDS_LEAVES;
  pid = start(hydra);
  UNTIL(members() > 20);
  assert_int_equal(cgroup__kill(leaf), 0);
  assert_int_equal(reap_child(pid), 1000 + SIGKILL);
  UNTIL(cgroup__populated(leaf) == 0);
  assert_int_equal(members(), 0);
}

static void only_who_is_in_it_is_signalled(void **state) {
  pid_t inside, outside;

  NEEDS_LEAVES;
  inside = start("exec sleep 20");
  outside = start_in(0, "exec sleep 20");
  assert_int_equal(cgroup__signal(leaf, outside, SIGKILL), -ESRCH);
  assert_int_equal(waitpid(outside, NULL, WNOHANG), 0);
  assert_int_equal(cgroup__signal(leaf, inside, SIGKILL), 0);
  assert_int_equal(reap_child(inside), 1000 + SIGKILL);
  assert_int_equal(cgroup__signal(leaf, inside, SIGKILL), -ESRCH);
  assert_int_equal(cgroup__kill(leaf), 0);
  assert_int_equal(waitpid(outside, NULL, WNOHANG), 0);
  end_child(outside);
}

static void it_is_found_by_its_name_and_removed_when_empty(void **state) {
  pid_t pid;

  NEEDS_LEAVES;
  assert_int_equal(cgroup__make(leaves, "pool.0.1"), -EEXIST); /* somebody else's, perhaps with somebody in it */
  pid = start("exec sleep 20");
  _cleanup_fd_ int found = cgroup__find(leaves, "pool.0.1");
  assert_int_equal(cgroup__populated(found), 1);
  assert_int_equal(cgroup__remove(leaves, "pool.0.1"), -EBUSY);
  assert_int_equal(cgroup__sweep(leaves), -EBUSY);
  end_child(pid);
  assert_int_equal(mkdirat(leaf, "beneath", 0755), 0); /* a worker that may has divided it further */
  assert_int_equal(cgroup__remove(leaves, "pool.0.1"), 0);
  assert_int_equal(cgroup__find(leaves, "pool.0.1"), -ENOENT);
  assert_int_equal(cgroup__remove(leaves, "pool.0.1"), 0);
}

static void what_is_left_is_found_again_and_swept(void **state) {
  NEEDS_LEAVES;
  _cleanup_fd_ int again = cgroup__open(scene_dirfd); /* the next ebbd of this run directory */
  assert_int_equal(cgroup__find(again, "pool.0.1"), -ENOENT);
  assert_true(cgroup__populated(leaf) < 0);
}

/* Words of the service manager: the cgroup above is ours, and we are in one of its leaves (DelegateSubgroup=). Exit codes. */
static int look_beside(void) {
  char inside[96], run_dir[96];

  (void)snprintf(run_dir, sizeof(run_dir), "%s/run", scene_path);
  (void)snprintf(inside, sizeof(inside), "/proc/self/fd/%d/ebbd/cgroup.procs", leaf);
  if (mkdirat(leaf, "ebbd", 0755) || mkdir(run_dir, 0700))
    return 1;
  int fd = open(inside, O_WRONLY), run_dirfd = open(run_dir, O_DIRECTORY);
  if (write(fd, "0", 1) != 1)
    return 2;
  int within = cgroup__open(run_dirfd);
  char link[256] = "";
  (void)snprintf(inside, sizeof(inside), "/proc/self/fd/%d", within);
  if (readlink(inside, link, sizeof(link) - 1) < 0 || !strstr(link, "/pool.0.1/ebbd/ebb-"))
    return 3;
  cgroup__close(within, run_dirfd);
  if (fsetxattr(leaf, "user.delegate", "1", 1, 0))
    return 77;
  int beside = cgroup__open(run_dirfd);
  memset(link, 0, sizeof(link));
  (void)snprintf(inside, sizeof(inside), "/proc/self/fd/%d", beside);
  if (readlink(inside, link, sizeof(link) - 1) < 0 || !strstr(link, "/pool.0.1/ebb-"))
    return 4;
  cgroup__close(beside, run_dirfd);
  return 0;
}

static void what_is_delegated_is_divided(void **state) {
  NEEDS_LEAVES;
  pid_t child = fork_child();
  if (child == 0)
    _exit(look_beside());
  int code = reap_child(child);
  if (code == 77)
    SKIP("no extended attributes of users here");
  assert_int_equal(code, 0);
}

static void forks_are_bounded_where_there_is_a_controller(void **state) {
  NEEDS_LEAVES;
  int err = cgroup__limit_pids(leaves, leaf, 4);
  if (err == -ENOENT)
    SKIP("no pids controller in cgroup v2");
  assert_int_equal(err, 0);
  assert_int_equal(cgroup__refused_pids(leaf), 0);
  pid_t pid = start("for i in 1 2 3 4 5 6; do sleep 20 & done; :");
  (void)reap_child(pid);
  assert_int_equal(members(), 3);
  assert_true(cgroup__refused_pids(leaf) > 0);
}

static void without_a_cgroup_nothing_is_claimed(void **state) {
  pid_t pid;

  (void)state;
  assert_int_equal(cgroup__populated(-1), -EBADF);
  assert_int_equal(cgroup__members(-1, &pid, 1), -EBADF);
  assert_int_equal(cgroup__find(-1, "pool.0.1"), -EBADF);
  assert_int_equal(cgroup__make(-1, "pool.0.1"), -EBADF);
  assert_int_equal(cgroup__kill(-1), -EBADF);
}

#define LEAF_TEST(f) cmocka_unit_test_setup_teardown(f, open_leaves, close_leaves)

int main(void) {
  const struct CMUnitTest tests[] = {
      LEAF_TEST(a_worker_is_born_there),
      LEAF_TEST(what_it_starts_at_once_is_there_too),
      LEAF_TEST(one_that_has_to_move_is_there_before_exec),
      LEAF_TEST(where_the_kernel_says_no_it_starts_all_the_same),
      LEAF_TEST(all_of_it_ends_at_one_blow),
      LEAF_TEST(only_who_is_in_it_is_signalled),
      LEAF_TEST(it_is_found_by_its_name_and_removed_when_empty),
      LEAF_TEST(what_is_left_is_found_again_and_swept),
      LEAF_TEST(what_is_delegated_is_divided),
      LEAF_TEST(forks_are_bounded_where_there_is_a_controller),
      cmocka_unit_test(without_a_cgroup_nothing_is_claimed),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

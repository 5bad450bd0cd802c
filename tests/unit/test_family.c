/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Are all processes of a worker found, however they hide, and nobody else's? */
#include "scene.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "family.h"
#include "pidfd.h"
#include "procstat.h"
#include "spawn.h"

#define MEMBERS_MAX 64

static struct family_member members[MEMBERS_MAX];

/* Of this run alone: a run that failed may have left processes with leases behind. */
static char lease_a[64], lease_b[64];

/* A worker: a shell in a session of its own. */
static pid_t start_worker(const char *script, const char *lease) {
  char variable[128], quiet[512]; /* what a failed test leaves must not keep our output open */
  const char *const argv[] = {"/bin/sh", "-c", quiet, NULL};
  const char *const envp[] = {"PATH=/usr/bin:/bin", variable, NULL};
  struct spawn spawn = {.argv = argv, .envp = envp, .oom_score_adj = INT_MIN, .new_group = true, .keep_fd = -1};
  struct spawn_error error;
  int pidfd;
  pid_t pid;

  (void)snprintf(quiet, sizeof(quiet), "exec > /dev/null 2>&1\n%s", script);
  (void)snprintf(variable, sizeof(variable), "%s%s", lease ? "EBB_LEASE=" : "NO_LEASE", lease ? lease : "");
  assert_int_equal(spawn__run(&spawn, &pid, &pidfd, &error), 0);
  (void)close(pidfd);
  return pid;
}

static int scan(const struct family_root *roots, size_t n) {
  int found = family__scan(roots, n, members, MEMBERS_MAX);

  assert_true(found >= 0);
  for (int i = 1; i < found; i++)
    assert_true(members[i - 1].pid < members[i].pid);
  return found;
}

static int scan_one(const struct family_root *root) {
  return scan(root, 1);
}

static const struct family_member *member(pid_t pid, int n) {
  for (int i = 0; i < n; i++)
    if (members[i].pid == pid)
      return &members[i];
  return NULL;
}

static int living(int n) {
  int count = 0;

  for (int i = 0; i < n; i++)
    count += !members[i].zombie;
  return count;
}

static int kill_living(const struct family_root *root) {
  int n = scan_one(root);

  for (int i = 0; i < n; i++)
    if (!members[i].zombie)
      (void)family__signal(&members[i], SIGKILL);
  return living(n);
}

/* End all of a worker, which may be starting processes meanwhile, and see that nothing is left. */
static void end_worker(const struct family_root *root) {
  UNTIL(kill_living(root) == 0);
  while (waitpid(-1, NULL, WNOHANG) > 0)
    ;
}

static void descendants_are_found_and_nobody_else(void **state) {
  struct family_root roots[2] = {{.lease = lease_a}, {.lease = lease_b}};
  pid_t bystander = start_worker("sleep 100", NULL);
  int n;

  (void)state;
  roots[0].pid = start_worker("sleep 100 & sh -c 'sleep 100; :' & wait", lease_a);
  roots[1].pid = start_worker("sleep 100; :", lease_b);
  UNTIL((n = scan(roots, 2)) == 6);
  for (int i = 0; i < n; i++) {
    struct procstat stat;

    assert_int_equal(procstat__read(members[i].pid, &stat), 0);
    assert_int_equal(members[i].start_time, stat.start_time);
    assert_int_equal(stat.session, roots[members[i].root].pid);
    assert_false(members[i].zombie);
  }
  assert_int_equal(member(roots[0].pid, n)->root, 0);
  assert_int_equal(member(roots[1].pid, n)->root, 1);
  assert_null(member(getpid(), n));
  assert_null(member(bystander, n));
  assert_int_equal(family__scan(roots, 2, members, 2), 2); /* no more than there is room for */

  end_worker(&roots[0]);
  assert_int_equal(living(scan(roots, 2)), 2);
  end_worker(&roots[1]);
  end_worker(&(struct family_root){.pid = bystander});
}

/* One orphan stays in the group; one leaves group and session, and is known by its lease alone; a child of that one has
 * thrown its environment away. */
static const char scatter[] = "(sleep 100 &)\n"
                              "(setsid sleep 100 &)\n"
                              "(setsid sh -c 'env -i /bin/sleep 100; :' &)\n"
                              "sleep 100; :";

static int asleep(int n) {
  int count = 0;

  for (int i = 0; i < n; i++) {
    char path[64], name[16] = "";
    (void)snprintf(path, sizeof(path), "/proc/%d/comm", members[i].pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    count += fd >= 0 && read(fd, name, sizeof(name)) > 0 && !strcmp(name, "sleep\n");
    (void)close(fd);
  }
  return count;
}

static void orphans_are_found(void **state) {
  struct family_root root = {.lease = lease_a}, other = {.pid = 0, .lease = lease_b};
  struct family_root roots[2];
  int n;

  (void)state;
  root.pid = start_worker(scatter, root.lease);
  roots[0] = other;
  roots[1] = root;
  UNTIL((n = scan(roots, 2)) == 6 && asleep(n) == 4); /* six they are also before the last one has come */
  for (int i = 0; i < n; i++)
    assert_int_equal(members[i].root, 1);

  /* they are still found when the leader is a zombie, and when it is gone */
  assert_int_equal(kill(root.pid, SIGKILL), 0);
  UNTIL((n = scan_one(&root)) == 6 && member(root.pid, n)->zombie);
  (void)reap_child(root.pid);
  assert_int_equal(scan_one(&root), 5);
  root.lease = NULL;
  assert_int_equal(scan_one(&root), 2); /* by the number: those that left neither group nor session */
  root.pid = 0;
  assert_int_equal(scan_one(&root), 0);
  root.lease = lease_b;
  assert_int_equal(scan_one(&root), 0);
  root.lease = lease_a;
  assert_int_equal(scan_one(&root), 5); /* by the lease */

  end_worker(&roots[1]);
}

static void orphans_that_we_adopt_are_found(void **state) {
  assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  orphans_are_found(state);
  assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

/* A worker that was given the number of one that is gone. */
static void recycled_number_is_nobodys(void **state) {
  struct family_root root = {.lease = "/lease/gone", .start_time = 1};
  struct family_member wrong;
  struct procstat stat;
  int n;

  (void)state;
  root.pid = start_worker("sleep 100 & sleep 100; :", NULL);
  assert_int_equal(scan_one(&root), 0);
  assert_int_equal(procstat__read(root.pid, &stat), 0);
  root.start_time = stat.start_time;
  UNTIL((n = scan_one(&root)) == 3);

  wrong = *member(root.pid, n);
  wrong.start_time++;
  assert_int_equal(family__signal(&wrong, SIGKILL), -ESRCH);
  assert_int_equal(waitpid(root.pid, NULL, WNOHANG), 0);
  end_worker(&root);
  wrong.start_time--;
  assert_int_equal(family__signal(&wrong, SIGKILL), -ESRCH);
}

/* In a process of the worker: neither it nor what it starts belongs there. Exit codes: what was found instead. */
static int look_from_within(pid_t root_pid) {
  struct family_root root = {.pid = root_pid};
  int ends[2], n;
  pid_t child;
  char byte;

  if (setsid() < 0 || pipe2(ends, O_CLOEXEC))
    return 1;
  child = fork();
  if (child == 0)
    _exit(setsid() < 0 || write(ends[1], "", 1) != 1 || pause());
  n = read(ends[0], &byte, 1) == 1 ? family__scan(&root, 1, members, MEMBERS_MAX) : -1;
  (void)kill(child, SIGKILL);
  if (n < 1 || !member(root_pid, n))
    return 2;
  return member(getpid(), n) ? 3 : member(child, n) ? 4 : 0;
}

static void caller_is_never_a_member(void **state) {
  struct family_root root = {.pid = getpid()};
  pid_t child;

  (void)state;
  assert_null(member(getpid(), scan_one(&root)));
  child = fork_child();
  if (child == 0)
    _exit(look_from_within(root.pid));
  assert_int_equal(reap_child(child), 0);
}

static void *rest_for_ever(void *arg) {
  (void)arg;
  pause_for_ever();
  return NULL;
}

/* Its first thread has ended, so its state is Z; but it lives. */
static void process_without_its_first_thread_is_no_zombie(void **state) {
  struct family_root root = {0};
  struct procstat stat;
  int n;

  (void)state;
  root.pid = fork_child();
  if (root.pid == 0) {
    pthread_t thread;

    if (pthread_create(&thread, NULL, rest_for_ever, NULL))
      _exit(1);
    syscall(SYS_exit, 0);
  }
  UNTIL(!procstat__read(root.pid, &stat) && stat.state == 'Z');
  assert_int_equal(stat.threads, 2);
  n = scan_one(&root);
  assert_false(member(root.pid, n)->zombie);
  assert_int_equal(kill(root.pid, SIGKILL), 0);
  UNTIL((n = scan_one(&root)) && member(root.pid, n)->zombie);
  (void)reap_child(root.pid);
}

static void children_are_noticed(void **state) {
  pid_t parent = start_worker("sleep 100 & wait", lease_a), alone = start_worker("exec sleep 100", lease_b);

  (void)state;
  if (family__has_children(getpid()) == -ENOENT)
    SKIP("this kernel has no list of children");
  UNTIL(family__has_children(parent) == 1);
  assert_int_equal(family__has_children(alone), 0);
  end_worker(&(struct family_root){.pid = parent, .lease = lease_a});
  end_worker(&(struct family_root){.pid = alone, .lease = lease_b});
  assert_int_equal(family__has_children(parent), -ENOENT);
}

static enum family_child is_known(pid_t pid, void *arg) {
  return pid == *(pid_t *)arg ? FAMILY_CHILD_KNOWN : FAMILY_CHILD_STRAY;
}

static void strays_are_noticed(void **state) {
  pid_t known = -1, child;

  (void)state;
  assert_int_equal(family__has_strays(is_known, &known), 0);
  known = start_worker("read x < /dev/null; (setsid sleep 100 &); sleep 100", lease_a);
  assert_int_equal(family__has_strays(is_known, &known), 0);
  child = fork_child();
  if (child == 0)
    pause_for_ever();
  assert_int_equal(family__has_strays(is_known, &known), 1);
  end_child(child);
  assert_int_equal(family__has_strays(is_known, &known), 0);
  end_worker(&(struct family_root){.pid = known, .lease = lease_a});

  assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  known = start_worker("(setsid sleep 100 &); sleep 100", lease_a);
  UNTIL(family__has_strays(is_known, &known) == 1);
  const struct family_root root = {.pid = known, .lease = lease_a};
  int n;
  UNTIL((n = scan_one(&root)) == 3 && asleep(n) == 2); /* in the middle of an exec it cannot be told */
  end_worker(&root);
  assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

/* More children than one read of the list gives. */
static enum family_child any_but(pid_t pid, void *arg) {
  return pid != *(pid_t *)arg ? FAMILY_CHILD_KNOWN : FAMILY_CHILD_STRAY;
}

static void long_lists_of_children_are_read_to_their_end(void **state) {
  enum { N = 900 };
  static pid_t pids[N];
  pid_t nobody = -1;

  (void)state;
  for (int i = 0; i < N; i++) {
    pids[i] = fork_child();
    if (pids[i] == 0)
      _exit(0);
  }
  assert_int_equal(family__has_strays(any_but, &nobody), 0);
  for (int i = N - 1; i >= 0; i -= 37)
    assert_int_equal(family__has_strays(any_but, &pids[i]), 1);
  for (int i = 0; i < N; i++)
    (void)reap_child(pids[i]);
}

static enum family_child reap_but(pid_t pid, void *arg) {
  if (pid == *(pid_t *)arg)
    return FAMILY_CHILD_STRAY;
  return waitpid(pid, NULL, WNOHANG) == pid ? FAMILY_CHILD_REAPED : FAMILY_CHILD_KNOWN;
}

/* What is taken out while the list is read makes the kernel lose its place in it. */
static void nobody_is_passed_over_for_reaping(void **state) {
  enum { N = 900 };
  pid_t last = -1;
  siginfo_t info;

  (void)state;
  for (int i = 0; i <= N; i++) {
    last = fork_child();
    if (last == 0) {
      if (i == N)
        pause_for_ever();
      _exit(0);
    }
    if (i < N)
      assert_int_equal(waitid(P_PID, (id_t)last, &info, WEXITED | WNOWAIT), 0);
  }
  assert_int_equal(family__has_strays(reap_but, &last), 1);
  end_child(last);
  assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* all the others have been reaped meanwhile */
}

/* A directory of its thread without the list, as on kernels that have none. Exit codes: what was found instead. */
static int look_without_lists(void) {
  char path[96];
  pid_t child = fork(), nobody = -1;

  if (child == 0)
    pause_for_ever();
  (void)snprintf(path, sizeof(path), "%s/%d", scene_path, (int)getpid());
  if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mkdir(path, 0700) ||
      mount(scene_path, "/proc/self/task", NULL, MS_BIND, NULL))
    return 77;
  int known = family__has_strays(is_known, &child), stray = family__has_strays(is_known, &nobody);
  int parent = family__has_children(getpid());
  (void)kill(child, SIGKILL);
  return known ? 1 : stray != 1 ? 2 : parent != -ENOENT ? 3 : 0;
}

static void children_are_found_without_the_kernels_lists(void **state) {
  pid_t child = fork_child();

  (void)state;
  if (child == 0)
    _exit(look_without_lists());
  int code = reap_child(child);
  if (code == 77)
    SKIP("may not mount");
  assert_int_equal(code, 0);
}

static void *fork_one(void *arg) {
  pid_t *child = arg;

  *child = fork_child();
  if (*child == 0)
    pause_for_ever();
  pause_for_ever();
  return NULL;
}

static int look_for_a_threads_child(void) {
  _Atomic pid_t child = 0;
  pthread_t thread;
  int before = family__has_children(getpid());

  if (pthread_create(&thread, NULL, fork_one, (void *)&child))
    return 1;
  UNTIL(child);
  int after = family__has_children(getpid());
  (void)kill(child, SIGKILL);
  return before != 0 ? 2 : after != 1 ? 3 : 0;
}

static void children_of_any_thread_are_noticed(void **state) {
  pid_t child = fork_child();

  (void)state;
  if (child == 0)
    _exit(look_for_a_threads_child());
  assert_int_equal(reap_child(child), 0);
}

int main(void) {
  (void)snprintf(lease_a, sizeof(lease_a), "/lease/a.%d", (int)getpid());
  (void)snprintf(lease_b, sizeof(lease_b), "/lease/b.%d", (int)getpid());
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(descendants_are_found_and_nobody_else),
      cmocka_unit_test(orphans_are_found),
      cmocka_unit_test(orphans_that_we_adopt_are_found),
      cmocka_unit_test(recycled_number_is_nobodys),
      cmocka_unit_test(caller_is_never_a_member),
      cmocka_unit_test(process_without_its_first_thread_is_no_zombie),
      cmocka_unit_test(children_are_noticed),
      cmocka_unit_test(strays_are_noticed),
      cmocka_unit_test(long_lists_of_children_are_read_to_their_end),
      cmocka_unit_test(nobody_is_passed_over_for_reaping),
      cmocka_unit_test_setup_teardown(children_are_found_without_the_kernels_lists, scene__open, scene__close),
      cmocka_unit_test(children_of_any_thread_are_noticed),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

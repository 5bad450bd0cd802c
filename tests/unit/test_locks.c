/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Who holds leases and waits for them: real locks, real waiters, and the kernel's lines. */
#include "scene.h"

#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>

#include "ebb/lease.h"
#include "lease.h"
#include "locks.h"

#define NAME "reports.0.1"

static int create(void) {
  int fd = lease__create(scene_dirfd, NAME, (uid_t)-1, (gid_t)-1);

  assert_true(fd >= 0);
  return fd;
}

static struct lease_use use_of(int fd) {
  struct lease_use use = {0};
  struct lease_key key;

  assert_int_equal(lease__key(fd, &key), 0);
  assert_int_equal(locks__read(&key, 1, &use), 0);
  return use;
}

/* A worker: opens the lease for itself, takes it, keeps it. */
static pid_t fork_worker(void) {
  pid_t pid = fork_child();

  if (pid)
    return pid;
  if (flock(openat(scene_dirfd, NAME, O_RDWR | O_CLOEXEC), LOCK_EX))
    _exit(1);
  pause_for_ever();
  _exit(2);
}

static void waiting_worker_is_seen_and_let_in(void **state) {
  int fd = create();
  pid_t first, second;

  (void)state;
  assert_true(use_of(fd).held);
  assert_false(use_of(fd).awaited);

  first = fork_worker();
  UNTIL(use_of(fd).awaited);
  second = fork_worker(); /* waits for the waiter */
  assert_int_equal(lease__unlock(fd), 0);
  UNTIL(use_of(fd).held && use_of(fd).awaited);
  end_child(first);
  UNTIL(use_of(fd).held && !use_of(fd).awaited);
  assert_int_equal(lease__try_lock(fd), -EAGAIN);
  end_child(second);
  assert_int_equal(lease__try_lock(fd), 0);
  assert_int_equal(lease__unlock(fd), 0);
  assert_false(use_of(fd).held);
  (void)close(fd);
}

static bool all_are_held_but(const struct lease_key *free_one, const struct lease_key *keys, size_t n,
                             struct lease_use *uses) {
  assert_int_equal(locks__read(keys, n, uses), 0);
  for (size_t i = 0; i < n; i++) {
    assert_false(uses[i].awaited);
    if (uses[i].held != (lease_key__order(&keys[i], free_one) != 0))
      return false;
  }
  return true;
}

/* More locks than a page of /proc/locks has room for. */
static void many_leases_in_one_pass(void **state) {
  enum { N = 300 };
  static struct lease_key keys[N];
  static struct lease_use uses[N];
  static int fds[N];

  (void)state;
  for (int i = 0; i < N; i++) {
    char name[32];

    (void)snprintf(name, sizeof(name), "pool.%d.1", i);
    fds[i] = lease__create(scene_dirfd, name, (uid_t)-1, (gid_t)-1);
    assert_true(fds[i] >= 0);
    assert_int_equal(lease__key(fds[i], &keys[i]), 0);
  }
  assert_int_equal(lease__unlock(fds[7]), 0);
  struct lease_key free_one = keys[7];

  qsort(keys, N, sizeof(*keys), lease_key__order);
  UNTIL(all_are_held_but(&free_one, keys, N, uses)); /* anybody else's unlock between two pages hides one */
  for (int i = 0; i < N; i++)
    (void)close(fds[i]);
  assert_int_equal(locks__read(keys, N, uses), 0);
  for (int i = 0; i < N; i++)
    assert_false(uses[i].held);
}

/* Layers on two devices: stat(2) then answers with a device that /proc/locks does not know. */
static void overlay_is_known_by_its_own_device(void **state) {
  char options[512];
  struct lease_key key;
  struct stat st;
  int dirfd, fd;

  (void)state;
  if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
    SKIP("no mount namespace of our own: %s", strerror(errno));
  assert_int_equal(mkdirat(scene_dirfd, "lower", 0755), 0);
  assert_int_equal(mkdirat(scene_dirfd, "upper", 0755), 0);
  assert_int_equal(mkdirat(scene_dirfd, "merged", 0755), 0);
  assert_int_equal(mount("none", in_scene("upper"), "tmpfs", 0, "size=1m"), 0);
  assert_int_equal(mkdir(in_scene("upper/work"), 0755), 0);
  assert_int_equal(mkdir(in_scene("upper/data"), 0755), 0);
  (void)snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s,xino=off", in_scene("lower"),
                 in_scene("upper/data"), in_scene("upper/work"));
  if (mount("overlay", in_scene("merged"), "overlay", 0, options)) {
    (void)umount(in_scene("upper"));
    SKIP("no overlayfs here: %s", strerror(errno));
  }
  dirfd = open(in_scene("merged"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  fd = lease__create(dirfd, NAME, (uid_t)-1, (gid_t)-1);
  assert_true(fd >= 0);
  assert_int_equal(fstat(fd, &st), 0);
  assert_int_equal(lease__key(fd, &key), 0);
  assert_true(use_of(fd).held);
  (void)close(fd);
  (void)close(dirfd);
  assert_int_equal(umount(in_scene("merged")), 0);
  assert_int_equal(umount(in_scene("upper")), 0);
}

/* A child that ends at once locks a descriptor of ours, as flock(1) does. */
static void lock_by_another(int fd) {
  pid_t pid = fork_child();

  if (!pid)
    _exit(flock(fd, LOCK_EX | LOCK_NB) ? 1 : 0);
  int status;

  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status, 0);
}

/* The lock belongs to the open file, and to whoever has that, not to its taker nor to the file's other openers. */
static void taker_has_ended(void **state) {
  int ours = create();
  struct lease_key key;

  (void)state;
  assert_int_equal(lease__key(ours, &key), 0);
  assert_true(locks__held_through(getpid(), &key));
  assert_int_equal(lease__unlock(ours), 0);
  assert_false(locks__held_through(getpid(), &key));
  lock_by_another(ours);
  assert_true(locks__held_through(getpid(), &key));
  (void)close(ours);
  ours = lease__open(scene_dirfd, NAME);
  assert_true(ours >= 0);
  pid_t worker = fork_worker();
  UNTIL(locks__held_through(worker, &key));
  assert_false(locks__held_through(getpid(), &key));
  key.inode++;
  assert_false(locks__held_through(worker, &key));
  end_child(worker);
  assert_false(locks__held_through(worker, &key));
  (void)close(ours);
}

static void reads_the_kernels_lines(void **state) {
  static const char text[] = "1: POSIX  ADVISORY  WRITE 10 00:10:1 0 EOF\n"
                             "2: FLOCK  ADVISORY  WRITE 2546 fe:00:10952753 0 EOF\n"
                             "2: -> FLOCK  ADVISORY  WRITE 2587 fe:00:10952753 0 EOF\n"
                             "2:  -> FLOCK  ADVISORY  READ 2588 fe:00:10952753 0 EOF\n"
                             "3: FLOCK  ADVISORY  READ  7 00:10:1 0 EOF\n"
                             "4: OFDLCK ADVISORY  WRITE -1 00:10:2 0 EOF\n"
                             "5: LEASE  ACTIVE    READ 3 00:10:2 0 EOF\n"
                             "6: FLOCK  ADVISORY  WRITE 8 <none>:0 0 EOF\n"
                             "12345678901: FLOCK  ADVISORY  WRITE -1 103:0a:18446744073709551615 0 EOF";
  static const struct {
    struct lease_key key;
    struct lease_use use;
  } expected[] = {
      {{0, 0x10, 1}, {.held = true}},
      {{0, 0x10, 2}, {0}}, /* not a flock(2) */
      {{0, 0x11, 1}, {0}}, /* each part of the name counts */
      {{7, 0x10, 1}, {0}},
      {{0, 0x10, 7}, {0}},
      {{0xfe, 0, 10952753}, {.held = true, .awaited = true}},
      {{0x103, 0x0a, UINT64_MAX}, {.held = true}},
  };
  enum { N = sizeof(expected) / sizeof(*expected) };
  struct lease_use uses[N];
  struct lease_key keys[N];

  (void)state;
  for (size_t i = 0; i < N; i++)
    keys[i] = expected[i].key;
  qsort(keys, N, sizeof(*keys), lease_key__order);
  memset(uses, 1, sizeof(uses));
  locks__parse(text, keys, N, uses);
  for (size_t i = 0; i < N; i++) {
    const struct lease_key *key = bsearch(&expected[i].key, keys, N, sizeof(*keys), lease_key__order);

    assert_non_null(key);
    assert_int_equal(uses[key - keys].held, expected[i].use.held);
    assert_int_equal(uses[key - keys].awaited, expected[i].use.awaited);
  }
}

static void any_text_is_taken(void **state) {
  static const char *const lines[] = {
      "",
      "\n\n\n",
      "1:",
      "1: -> ",
      "1: FLOCK",
      "1: FLOCK  ADVISORY  WRITE 1 fe:00",
      "1: FLOCK  ADVISORY  WRITE 1 fe:00:",
      "1: FLOCK  ADVISORY  WRITE 1\nfe:00:5 0 EOF\n",
      "1: FLOCK ADVISORY\nWRITE 1 1 fe:00:5 0 EOF\n",
      "1: FLOCK  ADVISORY  WRITE 1 fe:00:5",
      "1: FLOCK  ADVISORY  WRITE 1 1000000fe:00:5 0 EOF",
      "1: FLOCK  ADVISORY  WRITE 1 fe:00:99999999999999999999999995 0 EOF",
      "1: FLOCK  ADVISORY  WRITE 1 fe:00:5x 0 EOF",
      "1: FLOCK  ADVISORY  WRITE 1 -2:00:5 0 EOF",
      "\xff\xfe\x80 FLOCK \xff \xff \xff \xff:\xff:\xff",
  };
  struct lease_key keys[] = {{0xfe, 0, 5}};
  struct lease_use use;

  (void)state;
  for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
    use = (struct lease_use){true, true};
    locks__parse(lines[i], keys, 1, &use);
    assert_false(use.held);
    assert_false(use.awaited);
  }
  locks__parse("1: FLOCK  ADVISORY  WRITE 1 fe:00:5 0 EOF", keys, 1, &use);
  assert_true(use.held);
  locks__parse("1: FLOCK  ADVISORY  WRITE 1 fe:00:5 0 EOF", NULL, 0, NULL);
  assert_int_equal(locks__read(NULL, 0, NULL), 0);
}

int main(void) {
#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, scene__open, scene__close)
  const struct CMUnitTest tests[] = {
      IN_SCENE(waiting_worker_is_seen_and_let_in),  IN_SCENE(many_leases_in_one_pass),
      IN_SCENE(overlay_is_known_by_its_own_device), IN_SCENE(taker_has_ended),
      cmocka_unit_test(reads_the_kernels_lines),    cmocka_unit_test(any_text_is_taken),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ebbd's side of the lease: real files, real locks, real waiters. */
#include "scene.h"

#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "ebb/lease.h"
#include "lease.h"

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

static void new_lease_says_run_and_is_locked(void **state) {
  char expected[EBB_LEASE_BYTES] = "R\n", content[EBB_LEASE_BYTES];
  int fd = create(), other = lease__open(scene_dirfd, NAME);
  struct stat st;

  (void)state;
  assert_int_equal(fstat(fd, &st), 0);
  assert_int_equal(st.st_size, EBB_LEASE_BYTES);
  assert_int_equal(st.st_mode, S_IFREG | 0660);
  assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  assert_int_equal(lease__read(other, content), 0);
  assert_memory_equal(content, expected, sizeof(content));

  assert_int_equal(lease__try_lock(fd), 0);
  assert_int_equal(lease__try_lock(other), -EAGAIN);
  assert_int_equal(lease__unlock(fd), 0);
  assert_int_equal(lease__try_lock(other), 0);
  assert_int_equal(lease__try_lock(fd), -EAGAIN);
  (void)close(other);
  assert_int_equal(lease__try_lock(fd), 0);
  (void)close(fd);
}

static void belongs_to_the_worker_whatever_the_umask(void **state) {
  struct stat st;
  mode_t before;
  int fd;

  (void)state;
  if (geteuid() != 0)
    SKIP("only root gives files away");
  before = umask(0777);
  fd = lease__create(scene_dirfd, NAME, NOBODY, 12);
  (void)umask(before);
  assert_true(fd >= 0);
  assert_int_equal(fstat(fd, &st), 0);
  assert_int_equal(st.st_uid, NOBODY);
  assert_int_equal(st.st_gid, 12);
  assert_int_equal(st.st_mode, S_IFREG | 0660);
  (void)close(fd);
}

static void never_takes_what_is_there(void **state) {
  char content[EBB_LEASE_BYTES];
  int fd = create();

  (void)state;
  assert_int_equal(lease__order(fd, EBB_ORDER_EXIT), 0);
  assert_int_equal(lease__create(scene_dirfd, NAME, (uid_t)-1, (gid_t)-1), -EEXIST);
  assert_int_equal(lease__read(fd, content), 0);
  assert_int_equal(content[0], 'X');
  assert_int_equal(content[1], '\n');

  assert_int_equal(symlink(in_scene("elsewhere"), in_scene("link")), 0);
  assert_int_equal(lease__create(scene_dirfd, "link", (uid_t)-1, (gid_t)-1), -EEXIST);
  assert_int_equal(access(in_scene("elsewhere"), F_OK), -1);
  (void)close(fd);
}

static void half_made_one_is_removed(void **state) {
  struct rlimit before, small = {.rlim_cur = 10};

  (void)state;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  small.rlim_max = before.rlim_max;
  (void)signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  assert_int_equal(lease__create(scene_dirfd, NAME, (uid_t)-1, (gid_t)-1), -EIO);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  (void)signal(SIGXFSZ, SIG_DFL);
  assert_int_equal(access(in_scene(NAME), F_OK), -1);
}

static void opens_nothing_but_a_lease(void **state) {
  (void)state;
  assert_int_equal(lease__open(scene_dirfd, NAME), -ENOENT);
  assert_int_equal(mkfifoat(scene_dirfd, "fifo", 0660), 0);
  assert_int_equal(lease__open(scene_dirfd, "fifo"), -EPROTO);
  assert_int_equal(mkdirat(scene_dirfd, "directory", 0700), 0);
  assert_int_equal(lease__open(scene_dirfd, "directory"), -EPROTO);
  (void)close(create());
  assert_int_equal(symlinkat(NAME, scene_dirfd, "link"), 0);
  assert_int_equal(lease__open(scene_dirfd, "link"), -ELOOP);
}

/* Leave something on the stack for the next function to find. */
__attribute__((noinline)) static void soil_stack(void) {
  volatile char junk[8192];

  for (size_t i = 0; i < sizeof(junk); i++)
    junk[i] = 'j';
}

static void cut_lease_reads_as_zeros(void **state) {
  char content[EBB_LEASE_BYTES];
  int fd = create();

  (void)state;
  memset(content, 0xff, sizeof(content));
  assert_int_equal(ftruncate(fd, 1), 0);
  soil_stack();
  assert_int_equal(lease__read(fd, content), 0);
  assert_int_equal(content[0], 'R');
  for (int i = 1; i < EBB_LEASE_BYTES; i++)
    assert_int_equal(content[i], 0);
  assert_int_equal(lease__read(-1, content), -EBADF);
  assert_int_equal(lease__order(-1, 'X'), -EBADF);
  (void)close(fd);
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
  assert_int_equal(locks__read(keys, N, uses), 0);
  for (int i = 0; i < N; i++) {
    assert_int_equal(uses[i].held, lease_key__order(&keys[i], &free_one) != 0);
    assert_false(uses[i].awaited);
  }
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
      IN_SCENE(new_lease_says_run_and_is_locked),   IN_SCENE(belongs_to_the_worker_whatever_the_umask),
      IN_SCENE(never_takes_what_is_there),          IN_SCENE(half_made_one_is_removed),
      IN_SCENE(opens_nothing_but_a_lease),          IN_SCENE(cut_lease_reads_as_zeros),
      IN_SCENE(waiting_worker_is_seen_and_let_in),  IN_SCENE(many_leases_in_one_pass),
      IN_SCENE(overlay_is_known_by_its_own_device), cmocka_unit_test(reads_the_kernels_lines),
      cmocka_unit_test(any_text_is_taken),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

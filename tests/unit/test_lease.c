/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ebbd's side of the lease: real files, real locks. */
#include "scene.h"

#include <sys/file.h>
#include <sys/resource.h>

#include "ebb/lease.h"
#include "lease.h"

#define NAME "reports.0.1"

static int create(void) {
  int fd = lease__create(scene_dirfd, NAME, (uid_t)-1, (gid_t)-1);

  assert_true(fd >= 0);
  return fd;
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

int main(void) {
#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, scene__open, scene__close)
  const struct CMUnitTest tests[] = {
      IN_SCENE(new_lease_says_run_and_is_locked), IN_SCENE(belongs_to_the_worker_whatever_the_umask),
      IN_SCENE(never_takes_what_is_there),        IN_SCENE(half_made_one_is_removed),
      IN_SCENE(opens_nothing_but_a_lease),        IN_SCENE(cut_lease_reads_as_zeros),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Does the kernel side go on while there is no watch, and does the next one find what is its own, and only that? */
#include "puppet.h"

#include <bpf/bpf.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include "ebb.skel.h"
#include "feed.h"
#include "pindir.h"
#include "pins.h"

static struct sensor *sensor;
static struct puppet puppet;
static char run_path[] = "/tmp/ebb-pins-XXXXXX", pins[PINDIR_PATH_BYTES];
static int run_dirfd = -1;

/* Closing a sensor is what becomes of it when its process dies. */
static void open_kept(void) {
  char why[200];
  assert_int_equal(feed__open(&(struct loader_options){.pins = pins}, &sensor, why, sizeof(why)), 0);
}

static void close_it(void) {
  sensor->ops->close(sensor);
  sensor = NULL;
}

static int set_up(void **state) {
  (void)state;
  sensor = open_bpf();
  if (!sensor)
    return 0;
  close_it();
  (void)strcpy(run_path, "/tmp/ebb-pins-XXXXXX");
  run_dirfd = mkdtemp(run_path) ? open(run_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  int r = pindir__make(run_dirfd, pins__version(), pins);
  if (r) {
    struct statfs fs;
    assert_true(statfs("/sys/fs/bpf", &fs) || fs.f_type != BPF_FS_MAGIC); /* where there is one, it has to do */
    print_message("skipped: no bpffs: %s\n", strerror(-r));
    return 0;
  }
  puppet__start(&puppet);
  open_kept();
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  if (sensor) {
    puppet__stop(&puppet);
    close_it();
  }
  if (run_dirfd >= 0) {
    pindir__remove(run_dirfd, 0);
    (void)close(run_dirfd);
    (void)rmdir(run_path);
    run_dirfd = -1;
  }
  return 0;
}

#define NEED_BPFFS()                                                                                                   \
  if (!sensor)                                                                                                         \
  skip()

static struct sensor_reading reading(uint32_t worker) {
  struct sensor_reading r;
  assert_int_equal(sensor->ops->read(sensor, worker, false, &r), 0);
  return r;
}

static bool exists(const char *path) {
  return access(path, F_OK) == 0;
}

static void test_turns_go_on_without_a_watch(void **state) {
  static struct sensor_event events[64];
  (void)state;
  NEED_BPFFS();
  assert_false(feed__of(sensor)->loader.resumed);
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, 5), 0);
  assert_int_equal(sensor->ops->events(sensor, events, 64), 5);
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK, 0), 0);
  uint64_t taken_ns = reading(3).taken_ns;
  close_it();
  pid_t child = (pid_t)puppet__do(&puppet, PUPPET_FORK, 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_UNLOCK, 0), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_LABELLED, 20), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK, 0), 0);
  open_kept();
  assert_true(feed__of(sensor)->loader.resumed);
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(reading(3).turns, 27);
  assert_true(reading(3).busy);
  assert_int_equal(reading(3).processes, 2);
  assert_int_equal(sensor->ops->events(sensor, events, 64), 21);
  assert_int_equal(events[0].turn, 6);
  assert_in_range(events[0].held_ns, 1, events[0].at_ns - taken_ns);
  assert_true(events[20].labelled);
  assert_int_equal(puppet__do(&puppet, PUPPET_UNLOCK, 0), 0);
  assert_int_equal(next_event(sensor).turn, 27);
  assert_int_equal(puppet__do(&puppet, PUPPET_KILL, (uint64_t)child), 0);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(reading(3).processes, 1);
}

/* The same place, another worker: nothing of the old one's is taken for its own. */
static void test_another_worker_begins_anew(void **state) {
  struct puppet other;
  (void)state;
  NEED_BPFFS();
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, 5), 0);
  close_it();
  puppet__start(&other);
  open_kept();
  assert_int_equal(puppet__follow(&other, sensor, 3), 0);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(reading(3).turns, 0);
  struct sensor_event event;
  assert_int_equal(sensor->ops->events(sensor, &event, 1), 0);
  puppet__stop(&other);
}

/* Whom the next watch does not follow is not known to the kernel side either, from its first sweep on. */
static void test_who_is_not_followed_is_forgotten(void **state) {
  (void)state;
  NEED_BPFFS();
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  close_it();
  open_kept();
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(feed__of(sensor)->loader.workers[3].life, 0);
  struct ebb_lease key;
  assert_int_not_equal(bpf_map_get_next_key(bpf_map__fd(feed__of(sensor)->loader.skel->maps.leases), NULL, &key), 0);
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, 2), 0);
  assert_int_equal(reading(3).turns, 2);
}

/* A pin is missing: what is left is of no use, and is replaced. */
static void test_half_of_it_is_none(void **state) {
  char path[PINDIR_PATH_BYTES + 32];
  (void)state;
  NEED_BPFFS();
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, 5), 0);
  close_it();
  (void)snprintf(path, sizeof(path), "%s/map-held", pins);
  assert_int_equal(unlink(path), 0);
  open_kept();
  assert_false(feed__of(sensor)->loader.resumed);
  assert_true(exists(path));
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, 1), 0);
  assert_int_equal(reading(3).turns, 1); /* and only one program counts it */
}

static void test_versions_and_run_directories_are_kept_apart(void **state) {
  char older[PINDIR_PATH_BYTES], foreign[PINDIR_PATH_BYTES], other_path[] = "/tmp/ebb-pins-XXXXXX";
  (void)state;
  NEED_BPFFS();
  assert_non_null(mkdtemp(other_path));
  int other = open(other_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  assert_int_equal(pindir__make(run_dirfd, pins__version() + 1, older), 0);
  assert_int_equal(pindir__make(other, pins__version(), foreign), 0);
  pindir__remove(run_dirfd, pins__version());
  assert_false(exists(older));
  assert_true(exists(pins));
  pindir__remove(run_dirfd, 0);
  assert_false(exists(pins));
  assert_true(exists(foreign));
  /* Somebody else's directory, where bpffs is open to all, is not for us. */
  assert_int_equal(chown(foreign, 65534, 65534), 0);
  assert_int_equal(pindir__make(other, pins__version(), older), -EPERM);
  assert_int_equal(chown(foreign, 0, 0), 0);
  assert_int_equal(chmod(foreign, 0777), 0);
  assert_int_equal(pindir__make(other, pins__version(), older), -EPERM);
  pindir__remove(other, 0);
  assert_false(exists(foreign));
  (void)close(other);
  (void)rmdir(other_path);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      T(test_turns_go_on_without_a_watch),
      T(test_another_worker_begins_anew),
      T(test_who_is_not_followed_is_forgotten),
      T(test_half_of_it_is_none),
      T(test_versions_and_run_directories_are_kept_apart),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Is a worker's stall what the kernel itself says of it? Each worker has a cgroup-v2 leaf of its own, whose
 * memory.pressure counts the same waits, and is kept on one CPU: the kernel's figure is an average over CPUs, and
 * exact only for one.
 */
#include "puppet.h"

#include "feed.h"
#include "shortage.h"

#define LIMIT_BYTES (32 * MIB)
#define WANTED_US 1200000
#define USES 2000 /* between two looks */
#define WORKERS 3

static struct sensor *sensor;
static struct {
  struct puppet puppet;
  struct shortage shortage;
  bool up;
} workers[WORKERS];
static struct swap_space swap = {.zram = -1};

static int set_up(void **state) {
  (void)state;
  sensor = open_bpf();
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  for (int i = 0; i < WORKERS; i++) {
    char path[80];
    if (!workers[i].up)
      continue;
    (void)snprintf(path, sizeof(path), "%s" PUPPET_FILE, workers[i].puppet.lease_path);
    (void)unlink(path);
    puppet__stop(&workers[i].puppet);
    shortage__end(&workers[i].shortage);
    workers[i].up = false;
  }
  swap_space__end(&swap);
  if (sensor)
    sensor->ops->close(sensor);
  sensor = NULL;
  return 0;
}

/* Say why, and skip, where the machine does not give what the test needs. */
#define NEED(what, action)                                                                                             \
  do {                                                                                                                 \
    int need_r = (action);                                                                                             \
    if (need_r) {                                                                                                      \
      print_message("skipped: %s: %s\n", what, strerror(-need_r));                                                     \
      skip();                                                                                                          \
    }                                                                                                                  \
  } while (0)

#define NEED_STALL()                                                                                                   \
  if (!sensor)                                                                                                         \
    skip();                                                                                                            \
  NEED("stall programs", loader__stall(&feed__of(sensor)->loader, true))

/* In its own cgroups, on one CPU, and followed. */
static int begin_worker(int i, uint64_t limit_bytes) {
  int r = shortage__begin(&workers[i].shortage, i, limit_bytes);
  if (r)
    return r;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET((size_t)i % (size_t)sysconf(_SC_NPROCESSORS_ONLN), &cpus);
  puppet__start(&workers[i].puppet);
  workers[i].up = true;
  assert_int_equal(sched_setaffinity(workers[i].puppet.pid, sizeof(cpus), &cpus), 0);
  assert_int_equal(puppet__follow(&workers[i].puppet, sensor, (uint32_t)i), 0);
  return shortage__enter(&workers[i].shortage, workers[i].puppet.pid);
}

static uint64_t stall_us(int i) {
  struct sensor_reading reading;
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(sensor->ops->read(sensor, (uint32_t)i, false, &reading), 0);
  return reading.stall_us;
}

/* Obey until the kernel says that it has waited for long enough; compare what it says with what we say. */
static void compare(int i, enum puppet_verb verb) {
  struct puppet *puppet = &workers[i].puppet;
  uint64_t deadline_ns = clock__monotonic_ns() + 6 * DEADLINE_NS;
  assert_int_equal(puppet__do(puppet, verb, USES), 0);
  uint64_t ours_us = stall_us(i), kernels_us = shortage__stall_us(&workers[i].shortage), so_far_us;
  do {
    assert_int_equal(puppet__do(puppet, verb, USES), 0);
    so_far_us = shortage__stall_us(&workers[i].shortage) - kernels_us;
  } while (so_far_us < WANTED_US && clock__monotonic_ns() < deadline_ns);
  assert_true(so_far_us >= WANTED_US);
  ours_us = stall_us(i) - ours_us;
  print_message("stall: kernel %lu us, ours %lu us, ratio %.3f\n", (unsigned long)so_far_us, (unsigned long)ours_us,
                (double)ours_us / (double)so_far_us);
  assert_in_range(ours_us, so_far_us - so_far_us / 10, so_far_us + so_far_us / 10);
}

static void test_disk_swap(void **state) {
  (void)state;
  NEED_STALL();
  NEED("swap file", swap_space__file(&swap, 256 * MIB));
  NEED("cgroups", begin_worker(0, LIMIT_BYTES));
  assert_int_equal(puppet__do(&workers[0].puppet, PUPPET_GROW, 2 * LIMIT_BYTES), 0);
  compare(0, PUPPET_USE);
}

static void test_zram(void **state) {
  (void)state;
  NEED_STALL();
  NEED("zram", swap_space__zram(&swap, 256 * MIB));
  NEED("cgroups", begin_worker(0, LIMIT_BYTES));
  assert_int_equal(puppet__do(&workers[0].puppet, PUPPET_GROW, 2 * LIMIT_BYTES), 0);
  compare(0, PUPPET_USE);
}

static void make_file(const struct puppet *puppet, uint64_t bytes) {
  char path[80], block[65536];
  (void)snprintf(path, sizeof(path), "%s" PUPPET_FILE, puppet->lease_path);
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  memset(block, 7, sizeof(block));
  for (uint64_t i = 0; i < bytes; i += sizeof(block))
    assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
  assert_int_equal(fsync(fd), 0);
  assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
  (void)close(fd);
}

static void test_hot_page_cache(void **state) {
  (void)state;
  NEED_STALL();
  NEED("cgroups", begin_worker(0, LIMIT_BYTES));
  make_file(&workers[0].puppet, 2 * LIMIT_BYTES);
  compare(0, PUPPET_USE_FILE);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      T(test_disk_swap),
      T(test_zram),
      T(test_hot_page_cache),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

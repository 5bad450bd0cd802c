/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Do footprint, peak, private bytes and thresholds agree with what /proc says of the same processes? */
#include "puppet.h"

#include <sys/swap.h>

#include "ebb.skel.h"
#include "feed.h"
#include "procstat.h"

static struct sensor *sensor;
static struct puppet puppet;
static const char *swap_path; /* while it is on */

static int set_up(void **state) {
  (void)state;
  sensor = open_bpf();
  if (!sensor)
    return 0;
  puppet__start(&puppet);
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  if (!sensor)
    return 0;
  puppet__stop(&puppet);
  sensor->ops->close(sensor);
  if (swap_path) {
    (void)swapoff(swap_path);
    (void)unlink(swap_path);
    swap_path = NULL;
  }
  return 0;
}

#define NEED_BPF()                                                                                                     \
  if (!sensor)                                                                                                         \
  skip()

static struct sensor_reading reading(bool exact) {
  struct sensor_reading r;
  assert_int_equal(sensor->ops->read(sensor, 3, exact, &r), 0);
  return r;
}

static uint64_t footprint(bool exact) {
  struct sensor_reading r = reading(exact);
  return r.anon_bytes + r.shmem_bytes + r.swap_bytes;
}

static uint64_t kernel_bytes(void) {
  return (uint64_t)feed__of(sensor)->loader.workers[3].pages * 4096;
}

static uint64_t proc_bytes(pid_t pid) {
  struct procmem memory;
  assert_int_equal(procmem__read(pid, &memory), 0);
  return memory.anon_bytes + memory.shmem_bytes + memory.swap_bytes;
}

/* What the per-CPU parts of the three counters of each process may hide. */
static uint64_t error_bytes(unsigned processes) {
  return feed__of(sensor)->slop_pages * 4096 * processes;
}

/* What of a counter even /proc does not show yet: up to 6.1 each thread keeps the changes of 64 events to itself. */
static uint64_t unseen_bytes(void) {
  return feed__of(sensor)->loader.skel->bss->sweep_layout == EBB_RSS_SPLIT ? 64 * 4096 : 0;
}

static void test_growth_and_shrinkage_follow_proc(void **state) {
  (void)state;
  NEED_BPF();
  unsigned seed = 12345;
  int regions_now = 0;
  for (int i = 0; i < 60; i++) {
    int r = rand_r(&seed);
    if (regions_now == 0 || (r % 3 && regions_now < 40))
      regions_now++,
          assert_int_equal(puppet__do(&puppet, r % 5 ? PUPPET_GROW : PUPPET_SHARE, 4096ULL * (unsigned)(r % 2000 + 1)),
                           0);
    else
      regions_now--, assert_int_equal(puppet__do(&puppet, PUPPET_SHRINK, 0), 0);
    uint64_t expected = proc_bytes(puppet.pid);
    assert_int_equal(footprint(true), expected);
    assert_int_equal(sensor->ops->sweep(sensor), 0);
    uint64_t seen = kernel_bytes();
    assert_in_range(seen + error_bytes(1), expected, expected + 2 * error_bytes(1));
    assert_in_range(footprint(false) + MIB, expected, expected + 2 * MIB);
  }
}

static void test_shared_memory_is_counted_apart(void **state) {
  (void)state;
  NEED_BPF();
  struct sensor_reading before = reading(true);
  assert_int_equal(puppet__do(&puppet, PUPPET_SHARE, 32 * MIB), 0);
  struct sensor_reading after = reading(true);
  assert_in_range(after.shmem_bytes - before.shmem_bytes + unseen_bytes(), 32 * MIB, 32 * MIB + 2 * unseen_bytes());
  assert_near(after.anon_bytes, before.anon_bytes);
}

static void test_faults_only_grow(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  uint64_t before = reading(false).minor_faults;
  pid_t child = (pid_t)puppet__do(&puppet, PUPPET_FORK_GROWING, 16 * MIB);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  uint64_t with_child = reading(false).minor_faults;
  assert_in_range(with_child - before, 4096, 6000);
  assert_int_equal(puppet__do(&puppet, PUPPET_KILL, (uint64_t)child), 0);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_in_range(reading(false).minor_faults, with_child, with_child + 500);
}

/* Those of threads that are gone are in no thread's record. */
static void test_faults_are_those_of_proc(void **state) {
  (void)state;
  NEED_BPF();
  struct procstat stat;
  assert_int_equal(puppet__do(&puppet, PUPPET_HOLD_THREADS, 9), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_DROP_THREADS, 0), 0);
  await(threads_of(puppet.pid) == 1);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(procstat__read(puppet.pid, &stat), 0);
  assert_int_equal(reading(false).minor_faults, stat.minor_faults);
  assert_int_equal(reading(false).major_faults, stat.major_faults);
}

static void test_a_turns_figures(void **state) {
  (void)state;
  NEED_BPF();
  uint64_t before = footprint(true);
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK, 0), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 32 * MIB), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 32 * MIB), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_SHRINK, 0), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_UNLOCK, 0), 0);
  struct sensor_event event = next_event(sensor);
  assert_int_equal(event.kind, SENSOR_RELEASED);
  assert_near(event.before_bytes, before);
  assert_near(event.after_bytes, before + 32 * MIB);
  assert_near(event.peak_bytes, before + 64 * MIB);
  /* The next turn takes nothing: the last one's peak is not its. */
  assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, 1), 0);
  event = next_event(sensor);
  assert_near(event.peak_bytes, before + 32 * MIB);
}

static void test_a_crossing_is_reported_once(void **state) {
  (void)state;
  NEED_BPF();
  uint64_t limit = footprint(true) + 40 * MIB;
  sensor->ops->arm(sensor, 3, limit);
  struct sensor_event event;
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 36 * MIB), 0);
  assert_int_equal(sensor->ops->events(sensor, &event, 1), 0);
  /* So near that the kernel side cannot tell: it nominates, /proc says no. */
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, limit - footprint(true) - 256 * 1024), 0);
  assert_true(footprint(true) < limit);
  assert_int_equal(sensor->ops->events(sensor, &event, 1), 0);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(sensor->ops->events(sensor, &event, 1), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 8 * MIB), 0);
  event = next_event(sensor);
  assert_int_equal(event.kind, SENSOR_CROSSED);
  assert_int_equal(event.worker, 3);
  assert_in_range(event.after_bytes, limit, limit + 8 * MIB);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 8 * MIB), 0);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(sensor->ops->events(sensor, &event, 1), 0); /* one report an arming */
  sensor->ops->arm(sensor, 3, limit);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(next_event(sensor).kind, SENSOR_CROSSED);
  sensor->ops->arm(sensor, 3, limit);
  sensor->ops->arm(sensor, 3, EBB_UNKNOWN);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 8 * MIB), 0);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(sensor->ops->events(sensor, &event, 1), 0);
}

/* Nominations in vain are counted for one threshold, not for all that a worker ever had. */
static void test_each_threshold_is_seen_without_sweeps(void **state) {
  (void)state;
  NEED_BPF();
  if (!feed__of(sensor)->loader.growth)
    skip();
  struct sensor_event event;
  for (int i = 0; i < 24; i++) {
    uint64_t limit = footprint(true) + 8 * MIB;
    sensor->ops->arm(sensor, 3, limit);
    assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 8 * MIB - 256 * 1024), 0);
    assert_int_equal(sensor->ops->events(sensor, &event, 1), 0);
    assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 4 * MIB), 0);
    assert_int_equal(sensor->ops->events(sensor, &event, 1), 1);
    assert_int_equal(event.kind, SENSOR_CROSSED);
    assert_in_range(event.after_bytes, limit, limit + 8 * MIB);
  }
}

/* The kernel side falls silent by itself; it does not wait for the reader. */
static void test_a_crossing_disarms(void **state) {
  (void)state;
  NEED_BPF();
  if (!feed__of(sensor)->loader.growth)
    skip();
  sensor->ops->arm(sensor, 3, footprint(true) + 16 * MIB);
  assert_true(feed__of(sensor)->loader.workers[3].armed_pages != EBB_UNKNOWN);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 64 * MIB), 0);
  assert_true(feed__of(sensor)->loader.workers[3].armed_pages == EBB_UNKNOWN);
}

/* The reader sleeps until the kernel wakes it: no sweep, no looking. */
static void test_a_crossing_wakes(void **state) {
  (void)state;
  NEED_BPF();
  if (!feed__of(sensor)->loader.growth)
    skip();
  sensor->ops->arm(sensor, 3, footprint(true) + 64 * MIB);
  assert_false(is_woken(sensor));
  puppet__send(&puppet, PUPPET_GROW, 256 * MIB);
  await_wake(sensor);
  struct sensor_event event = next_event(sensor);
  uint64_t seen_ns = clock__monotonic_ns();
  assert_int_equal(event.kind, SENSOR_CROSSED);
  print_message("crossing to report: %lu us\n", (unsigned long)((seen_ns - event.at_ns) / 1000));
  assert_int_equal(puppet__answer(&puppet), 0);
}

static void test_a_crossing_by_many_processes(void **state) {
  (void)state;
  NEED_BPF();
  sensor->ops->arm(sensor, 3, footprint(true) + 64 * MIB);
  for (int i = 0; i < 4; i++)
    assert_true(puppet__do(&puppet, PUPPET_FORK_GROWING, 20 * MIB) > 0);
  assert_int_equal(next_event(sensor).kind, SENSOR_CROSSED);
  assert_int_equal(reading(true).processes, 5);
}

static void test_private_of_one_process(void **state) {
  (void)state;
  NEED_BPF();
  uint64_t private = 0;
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 32 * MIB), 0);
  assert_int_equal(sensor->ops->private_bytes(sensor, 3, &private), 0);
  /* It shares pages with this process, which forked it: those would not be freed. */
  struct procrollup rollup;
  assert_int_equal(procrollup__read(puppet.pid, &rollup), 0);
  assert_in_range(private, 32 * MIB, footprint(true));
  assert_in_range(private, rollup.own_bytes - 64 * 1024, rollup.own_bytes + 64 * 1024);
  assert_true(rollup.share_bytes > rollup.own_bytes + MIB);
  assert_int_equal(sensor->ops->private_bytes(sensor, 4, &private), -ENOENT);
}

/* What parent and children share counts once, though each has it in its RSS. */
static void test_private_of_a_copy_on_write_family(void **state) {
  (void)state;
  NEED_BPF();
  uint64_t private = 0;
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 64 * MIB), 0);
  for (int i = 0; i < 3; i++)
    assert_true(puppet__do(&puppet, PUPPET_FORK, 0) > 0);
  assert_true(footprint(true) > 4 * 64 * MIB);
  assert_int_equal(sensor->ops->private_bytes(sensor, 3, &private), 0);
  assert_in_range(private, 64 * MIB, proc_bytes(puppet.pid) + 8 * MIB);
  /* Growth by copy on write shows in the private bytes alone: the RSS stays as it is. */
  uint64_t before = private, rss = footprint(true);
  assert_int_equal(puppet__do(&puppet, PUPPET_TOUCH, 0), 0);
  assert_int_equal(sensor->ops->private_bytes(sensor, 3, &private), 0);
  assert_near(private, before + 64 * MIB);
  assert_near(footprint(true), rss);
}

static bool swap_on(const char *path, size_t bytes) {
  char command[200];
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  bool ok = fd >= 0 && !posix_fallocate(fd, 0, (off_t)bytes);
  (void)close(fd);
  (void)snprintf(command, sizeof(command), "mkswap %s >/dev/null 2>&1", path);
  return ok && !system(command) && !swapon(path, 0);
}

static void test_what_is_swapped_out_still_counts(void **state) {
  (void)state;
  NEED_BPF();
  static char path[64];
  (void)snprintf(path, sizeof(path), "/var/tmp/ebb-test-swap.%d", getpid());
  if (!swap_on(path, 128 * MIB)) {
    print_message("skipped: no swap can be made here: %s\n", strerror(errno));
    (void)unlink(path);
    skip();
  }
  swap_path = path;
  uint64_t before = footprint(true);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 64 * MIB), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_PAGE_OUT, 0), 0);
  struct sensor_reading out = reading(true);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  uint64_t seen = kernel_bytes();
  assert_in_range(out.swap_bytes, 32 * MIB, 64 * MIB);
  assert_near(out.anon_bytes + out.swap_bytes, before + 64 * MIB);
  assert_near(seen, before + 64 * MIB);
}

static void test_sums_stay_right_under_racing_forks(void **state) {
  (void)state;
  NEED_BPF();
  for (int i = 0; i < 100; i++) {
    pid_t child = (pid_t)puppet__do(&puppet, PUPPET_FORK_GROWING, MIB);
    if (i % 3)
      assert_int_equal(puppet__do(&puppet, PUPPET_KILL, (uint64_t)child), 0);
    else
      assert_int_equal(kill(child, SIGKILL), 0);
  }
  await(reading(true).processes == 1);
  /* Up to 6.15 an exit is told when the memory has been given back, a while after the process stopped counting. */
  await(kernel_bytes() <= proc_bytes(puppet.pid) + error_bytes(1));
  assert_in_range(kernel_bytes() + error_bytes(1), proc_bytes(puppet.pid), proc_bytes(puppet.pid) + 2 * error_bytes(1));
}

/* A sum that is off, for whatever reason, is put right by two sweeps. */
static void test_a_wrong_sum_heals(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  uint64_t right = kernel_bytes();
  feed__of(sensor)->loader.workers[3].pages += 5000;
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(kernel_bytes(), right);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      T(test_growth_and_shrinkage_follow_proc),
      T(test_shared_memory_is_counted_apart),
      T(test_faults_only_grow),
      T(test_faults_are_those_of_proc),
      T(test_a_turns_figures),
      T(test_a_crossing_is_reported_once),
      T(test_each_threshold_is_seen_without_sweeps),
      T(test_a_crossing_disarms),
      T(test_a_crossing_wakes),
      T(test_a_crossing_by_many_processes),
      T(test_private_of_one_process),
      T(test_private_of_a_copy_on_write_family),
      T(test_what_is_swapped_out_still_counts),
      T(test_sums_stay_right_under_racing_forks),
      T(test_a_wrong_sum_heals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

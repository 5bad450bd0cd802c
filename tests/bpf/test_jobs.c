/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Is each job told with what it really did: memory to the page, faults, its own label, also where jobs overlap? */
#include "puppet.h"

#include <sys/utsname.h>

#include "feed.h"

#define PAGE 4096ULL

static struct sensor *sensor;
static struct puppet puppet;
static struct sensor_event events[1100];

/* The first turn says "ready", and warms up what the puppet itself needs for one. */
static int set_up(void **state) {
  (void)state;
  sensor = open_bpf();
  if (!sensor)
    return 0;
  puppet__start(&puppet);
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_LABELLED, 1), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, PAGE), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_SHRINK, 0), 0);
  (void)next_event(sensor);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  if (!sensor)
    return 0;
  puppet__stop(&puppet);
  sensor->ops->close(sensor);
  return 0;
}

#define NEED_BPF()                                                                                                     \
  if (!sensor)                                                                                                         \
  skip()

static uint64_t proc_bytes(pid_t pid) {
  struct procmem memory;
  assert_int_equal(procmem__read(pid, &memory), 0);
  return memory.anon_bytes + memory.shmem_bytes + memory.swap_bytes;
}

static struct procstat proc_stat(void) {
  struct procstat stat;
  assert_int_equal(procstat__read(puppet.pid, &stat), 0);
  return stat;
}

static void lock(void) {
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK, 0), 0);
}

static struct sensor_event unlock(void) {
  assert_int_equal(puppet__do(&puppet, PUPPET_UNLOCK, 0), 0);
  struct sensor_event event = next_event(sensor);
  assert_int_equal(event.kind, SENSOR_RELEASED);
  return event;
}

static unsigned kernel_version(void) {
  struct utsname name;
  unsigned major = 0, minor = 0;
  assert_int_equal(uname(&name), 0);
  assert_int_equal(sscanf(name.release, "%u.%u", &major, &minor), 2);
  return major * 1000 + minor;
}

/* From 6.2 up to 6.16 /proc itself leaves out what is still with the CPUs. */
static uint64_t proc_error(void) {
  return kernel_version() >= 6002 && kernel_version() <= 6016 ? feed__of(sensor)->slop_pages * PAGE : 0;
}

/* Up to 6.1 each thread keeps up to 64 steps of each counter to itself, which nobody sees, /proc neither. */
static uint64_t kept_back(void) {
  return kernel_version() < 6002 ? 2 * 64 * PAGE : 0;
}

/* Sizes that leave parts of the counters with the CPU, on levels with rss_stat and without it. */
static void footprints_are_exact(uint32_t level) {
  static const uint64_t pages[] = {1, 7, 31, 33, 64, 100, 513, 2047};
  sensor->ops->set_level(sensor, level);
  for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
    lock();
    uint64_t before = proc_bytes(puppet.pid);
    assert_int_equal(puppet__do(&puppet, i % 2 ? PUPPET_SHARE : PUPPET_GROW, pages[i] * PAGE), 0);
    uint64_t after = proc_bytes(puppet.pid);
    struct sensor_event event = unlock();
    assert_in_range(event.before_bytes, before - proc_error(), before + proc_error());
    assert_in_range(event.after_bytes, after - proc_error(), after + proc_error());
    assert_true(event.peak_bytes >= event.after_bytes);
    if (i % 3 == 0) {
      lock();
      assert_int_equal(puppet__do(&puppet, PUPPET_SHRINK, 0), 0);
      event = unlock();
      assert_in_range(event.before_bytes + kept_back() - event.after_bytes, pages[i] * PAGE,
                      pages[i] * PAGE + 2 * kept_back());
    }
  }
}

static void test_footprints_are_exact(void **state) {
  (void)state;
  NEED_BPF();
  footprints_are_exact(0);
  footprints_are_exact(1);
}

/* What was taken and given back within the job. */
static void test_peak_when_the_mark_rises(void **state) {
  (void)state;
  NEED_BPF();
  sensor->ops->set_level(sensor, 0);
  lock();
  uint64_t before = proc_bytes(puppet.pid);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 50 * MIB), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_SHRINK, 0), 0);
  struct sensor_event event = unlock();
  assert_in_range(event.peak_bytes, before + 49 * MIB, before + 51 * MIB);
}

/* An earlier job was larger: only the growth itself shows the peak, which level 1 sees. */
static void test_peak_under_an_earlier_mark(void **state) {
  (void)state;
  NEED_BPF();
  if (!feed__of(sensor)->loader.has_growth) {
    print_message("skipped: no rss_stat\n");
    skip();
  }
  lock();
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 100 * MIB), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_SHRINK, 0), 0);
  (void)unlock();
  lock();
  uint64_t before = proc_bytes(puppet.pid);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 50 * MIB), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_SHRINK, 0), 0);
  struct sensor_event event = unlock();
  assert_in_range(event.peak_bytes, before + 49 * MIB, before + 51 * MIB);
}

static void test_faults_are_those_of_the_turn(void **state) {
  (void)state;
  NEED_BPF();
  lock();
  struct procstat before = proc_stat();
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 500 * PAGE), 0);
  struct procstat after = proc_stat();
  struct sensor_event event = unlock();
  assert_int_equal(event.minor_faults, after.minor_faults - before.minor_faults);
  assert_int_equal(event.major_faults, after.major_faults - before.major_faults);
  assert_true(event.minor_faults >= 500);
  lock();
  event = unlock();
  assert_int_equal(event.minor_faults, 0);
}

/* Other threads of the process, and children that have ended, worked for the job. */
static void test_faults_of_helpers_count(void **state) {
  (void)state;
  NEED_BPF();
  lock();
  pid_t child = (pid_t)puppet__do(&puppet, PUPPET_FORK_GROWING, 300 * PAGE);
  assert_true(child > 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_KILL, (uint64_t)child), 0);
  struct sensor_event event = unlock();
  assert_in_range(event.minor_faults, 300, 3000);
}

static void test_labels_of_short_turns(void **state) {
  (void)state;
  NEED_BPF();
  enum { N = 999 };
  unsigned kinds[4] = {0};
  assert_int_equal(puppet__do(&puppet, PUPPET_LABELLED, N), 0);
  assert_int_equal(sensor->ops->events(sensor, events, 1100), N);
  for (int i = 0; i < N; i++) {
    unsigned sequence, kind;
    assert_true(events[i].labelled);
    assert_int_equal(sscanf(events[i].label, "%u kind-%u\n", &sequence, &kind), 2);
    assert_in_range(kind, 1, 3);
    assert_int_equal(sequence, i + 2);
    kinds[kind]++;
    assert_in_range(events[i].minor_faults, 1, 3);
  }
  assert_int_equal(kinds[1], N / 3);
  assert_int_equal(kinds[2], N / 3);
  assert_int_equal(kinds[3], N / 3);
}

static void test_no_label(void **state) {
  (void)state;
  NEED_BPF();
  lock();
  assert_int_equal(puppet__do(&puppet, PUPPET_LABEL, 0), 0);
  struct sensor_event event = unlock();
  assert_true(event.labelled);
  assert_string_equal(event.label, "");
}

/* A child takes a job while its parent is at one: each has its own label, and keeps what it kept itself. */
static void test_jobs_of_two_processes_overlap(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK_SHARED, 0), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_LABEL, 5), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 10 * MIB), 0);
  pid_t child = (pid_t)puppet__do(&puppet, PUPPET_CHILD_JOB, 20 * MIB);
  assert_true(child > 0);
  struct sensor_event of_child = next_event(sensor), of_parent = unlock();
  assert_string_equal(of_child.label, "1 kind-7\n");
  assert_int_equal(strcmp(strchr(of_parent.label, ' '), " kind-5\n"), 0);
  assert_false(of_child.resting);
  assert_true(of_parent.resting);
  assert_in_range(of_child.after_bytes - of_child.before_bytes + kept_back(), 20 * MIB,
                  20 * MIB + 64 * PAGE + 2 * kept_back());
  assert_in_range(of_parent.after_bytes - of_parent.before_bytes + kept_back(), 10 * MIB,
                  10 * MIB + 64 * PAGE + 2 * kept_back());
  assert_in_range(of_parent.after_bytes, proc_bytes(puppet.pid) + proc_bytes(child) - 8 * PAGE,
                  proc_bytes(puppet.pid) + proc_bytes(child) + 8 * PAGE);
  assert_in_range(of_child.minor_faults, 5120, 5120 + 1500);
  assert_int_equal(puppet__do(&puppet, PUPPET_KILL, (uint64_t)child), 0);
}

/* Children that take no lock are read too, at level 0 as well. */
static void test_what_a_child_keeps_is_kept(void **state) {
  (void)state;
  NEED_BPF();
  sensor->ops->set_level(sensor, 0);
  lock();
  pid_t child = (pid_t)puppet__do(&puppet, PUPPET_FORK_GROWING, 20 * MIB);
  struct sensor_event event = unlock();
  assert_in_range(event.after_bytes, proc_bytes(puppet.pid) + proc_bytes(child) - 8 * PAGE,
                  proc_bytes(puppet.pid) + proc_bytes(child) + 8 * PAGE);
  assert_int_equal(puppet__do(&puppet, PUPPET_KILL, (uint64_t)child), 0);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      T(test_footprints_are_exact),
      T(test_peak_when_the_mark_rises),
      T(test_peak_under_an_earlier_mark),
      T(test_faults_are_those_of_the_turn),
      T(test_faults_of_helpers_count),
      T(test_labels_of_short_turns),
      T(test_no_label),
      T(test_jobs_of_two_processes_overlap),
      T(test_what_a_child_keeps_is_kept),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

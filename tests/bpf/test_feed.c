/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Does the feed hold up where things are missing: rights, rss_stat, room in the ring's reader, the worker itself? */
#include "puppet.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "ebb.skel.h"
#include "feed.h"

static struct sensor *sensor;
static struct puppet puppet;

static int set_up(void **state) {
  (void)state;
  sensor = open_bpf();
  if (sensor)
    puppet__start(&puppet);
  return 0;
}

/* The tier of kernels whose rss_stat we do not get: sweeps alone. */
static int set_up_without_growth(void **state) {
  char why[200];
  (void)state;
  sensor = NULL;
  if (feed__open(&(struct loader_options){.no_growth = true}, &sensor, why, sizeof(why)))
    print_message("skipped: %s\n", why);
  else
    puppet__start(&puppet);
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

static uint64_t footprint(void) {
  struct sensor_reading r;
  assert_int_equal(sensor->ops->read(sensor, 3, true, &r), 0);
  return r.anon_bytes + r.shmem_bytes + r.swap_bytes;
}

static void test_everything_is_attached(void **state) {
  (void)state;
  NEED_BPF();
  assert_string_equal(sensor->ops->name, "bpf");
  assert_true(feed__of(sensor)->loader.growth);
  assert_true(sensor->ops->tier(sensor) >= EBB_TIER_BASIC);
  assert_int_equal(sensor->ops->level(sensor), 1);
  assert_true(sensor->ops->fd(sensor) >= 0);
  assert_int_equal(sensor->ops->drops(sensor), 0);
  struct sensor_event event;
  assert_int_equal(sensor->ops->events(sensor, &event, 1), 0);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
}

/* How often the kernel has run a program; counted while somebody keeps the statistics on. */
static uint64_t runs_of(const struct bpf_program *program) {
  struct bpf_prog_info info = {0};
  __u32 n = sizeof(info);
  assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &n), 0);
  return info.run_cnt;
}

static uint64_t runs_while_it_grows(void) {
  const struct bpf_program *rss = feed__of(sensor)->loader.skel->progs.memory_rss;
  uint64_t before = runs_of(rss);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 8 * MIB), 0);
  return runs_of(rss) - before;
}

/* At level 0 nothing of ours runs when a page fault happens; above it does; and back again, and again. */
static void test_levels(void **state) {
  (void)state;
  NEED_BPF();
  int statistics = bpf_enable_stats(BPF_STATS_RUN_TIME);
  if (statistics < 0 || !feed__of(sensor)->loader.has_growth) {
    print_message("skipped: no statistics of programs, or no rss_stat\n");
    skip();
  }
  for (int round = 0; round < 2; round++) {
    sensor->ops->set_level(sensor, 0);
    assert_int_equal(sensor->ops->level(sensor), 0);
    assert_int_equal(runs_while_it_grows(), 0);
    sensor->ops->set_level(sensor, 1);
    assert_int_equal(sensor->ops->level(sensor), 1);
    assert_true(runs_while_it_grows() > 0);
  }
  (void)close(statistics);
}

/* What crosses its threshold unseen, at level 0, is found by the next sweep; and after it has come back, level 1 sees. */
static void test_a_crossing_at_each_level(void **state) {
  struct sensor_event event;
  (void)state;
  NEED_BPF();
  sensor->ops->set_level(sensor, 0);
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  sensor->ops->arm(sensor, 3, footprint() + 16 * MIB);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 32 * MIB), 0);
  assert_int_equal(sensor->ops->events(sensor, &event, 1), 0);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(sensor->ops->events(sensor, &event, 1), 1);
  assert_int_equal(event.kind, SENSOR_CROSSED);
  if (!feed__of(sensor)->loader.has_growth) {
    print_message("skipped: no rss_stat\n");
    skip();
  }
  sensor->ops->set_level(sensor, 1);
  assert_int_equal(sensor->ops->level(sensor), 1);
  sensor->ops->arm(sensor, 3, footprint() + 16 * MIB);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 32 * MIB), 0);
  assert_int_equal(sensor->ops->events(sensor, &event, 1), 1);
  assert_int_equal(event.kind, SENSOR_CROSSED);
}

static void test_bad_targets_are_refused(void **state) {
  (void)state;
  NEED_BPF();
  struct sensor_target target = {
      .worker = EBB_SLOTS_MAX, .pid = puppet.pid, .lease_fd = puppet.lease_fd, .lease_path = puppet.lease_path};
  assert_int_equal(sensor->ops->add(sensor, &target), -ERANGE);
  target.worker = 3;
  target.lease_fd = -1;
  assert_int_equal(sensor->ops->add(sensor, &target), -EBADF);
  struct sensor_reading reading;
  assert_int_equal(sensor->ops->read(sensor, 3, true, &reading), -ENOENT);
  assert_int_equal(sensor->ops->read(sensor, EBB_SLOTS_MAX, true, &reading), -ENOENT);
  sensor->ops->remove(sensor, 3);
  sensor->ops->remove(sensor, UINT32_MAX);
  sensor->ops->arm(sensor, UINT32_MAX, 1);
  sensor->ops->eager(sensor, UINT32_MAX, true);
}

static void test_workers_are_kept_apart(void **state) {
  (void)state;
  NEED_BPF();
  struct puppet other;
  puppet__start(&other);
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_int_equal(puppet__follow(&other, sensor, EBB_SLOTS_MAX - 1), 0);
  struct sensor_reading a, b;
  assert_int_equal(puppet__do(&other, PUPPET_LOCK, 0), 0);
  assert_true(puppet__do(&other, PUPPET_FORK_GROWING, 32 * MIB) > 0);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(sensor->ops->read(sensor, 3, false, &a), 0);
  assert_int_equal(sensor->ops->read(sensor, EBB_SLOTS_MAX - 1, false, &b), 0);
  assert_int_equal(a.processes, 1);
  assert_int_equal(b.processes, 2);
  assert_false(a.busy);
  assert_true(b.busy);
  assert_true(b.anon_bytes > a.anon_bytes + 32 * MIB);
  puppet__stop(&other);
}

/* More happened than one call can take. */
static void test_events_come_in_pieces(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, 100), 0);
  struct sensor_event events[7];
  uint64_t turn = 0;
  for (int n; (n = sensor->ops->events(sensor, events, 7));)
    for (int i = 0; i < n; i++)
      assert_int_equal(events[i].turn, ++turn);
  assert_int_equal(turn, 100);
}

/* What a worker did before its index went to another one must not be taken for the other's. */
static void test_events_of_an_old_life_are_dropped(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, 10), 0);
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  struct sensor_event event;
  assert_int_equal(sensor->ops->events(sensor, &event, 1), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, 1), 0);
  assert_int_equal(next_event(sensor).turn, 1);
}

static void test_records_are_not_trusted(void **state) {
  (void)state;
  NEED_BPF();
  struct feed *feed = feed__of(sensor);
  struct sensor_event events[4];
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  struct ebb_event record = {.kind = EBB_EVENT_RELEASED, .worker = 3, .life = feed->workers[3].life, .turn = 5};
  feed->to = events;
  feed->n_to = 0;
  feed->max_to = 4;
  assert_int_equal(feed__take(feed, &record, sizeof(record)), 0);
  assert_int_equal(feed->n_to, 1);
  assert_int_equal(feed__take(feed, &record, sizeof(record) - 1), 0);
  record.worker = UINT32_MAX;
  assert_int_equal(feed__take(feed, &record, sizeof(record)), 0);
  record.worker = 3;
  record.kind = 9;
  assert_int_equal(feed__take(feed, &record, sizeof(record)), 0);
  assert_int_equal(feed->n_to, 1);
}

/* Growth just under the threshold, to and fro: the reader is not woken at each step. */
static void test_swinging_under_a_threshold_is_not_a_storm(void **state) {
  (void)state;
  NEED_BPF();
  if (!feed__of(sensor)->loader.growth)
    skip();
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  sensor->ops->arm(sensor, 3, footprint() + 5 * MIB);
  struct sensor_event event;
  unsigned woken = 0;
  for (int i = 0; i < 300; i++) {
    assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 4 * MIB + 512 * 1024), 0);
    woken += is_woken(sensor);
    assert_int_equal(puppet__do(&puppet, PUPPET_SHRINK, 0), 0);
    assert_int_equal(sensor->ops->events(sensor, &event, 1), 0);
  }
  assert_in_range(woken, 1, 20);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 8 * MIB), 0); /* and still armed */
  assert_int_equal(next_event(sensor).kind, SENSOR_CROSSED);
}

static void test_without_growth_sweeps_find_the_crossing(void **state) {
  (void)state;
  NEED_BPF();
  assert_false(feed__of(sensor)->loader.growth);
  assert_int_equal(sensor->ops->tier(sensor), EBB_TIER_BASIC);
  assert_int_equal(sensor->ops->level(sensor), 0);
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  uint64_t before = footprint();
  sensor->ops->arm(sensor, 3, before + 16 * MIB);
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK, 0), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 32 * MIB), 0);
  struct sensor_event event;
  assert_int_equal(sensor->ops->events(sensor, &event, 1), 0);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(sensor->ops->events(sensor, &event, 1), 1);
  assert_int_equal(event.kind, SENSOR_CROSSED);
  assert_near(event.after_bytes, before + 32 * MIB);
  /* The peak of a turn is the kernel's own high-water mark, so it does not need rss_stat either. */
  assert_int_equal(puppet__do(&puppet, PUPPET_SHRINK, 0), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_UNLOCK, 0), 0);
  assert_int_equal(sensor->ops->events(sensor, &event, 1), 1);
  assert_near(event.peak_bytes, before + 32 * MIB);
  assert_near(event.after_bytes, before);
}

/* Many at once, each with a child that was there before: all of them in one sweep. */
static void test_a_crowd_is_adopted_at_once(void **state) {
  (void)state;
  NEED_BPF();
  enum { N = 40 };
  static struct puppet crowd[N];
  for (int i = 0; i < N; i++) {
    puppet__start(&crowd[i]);
    assert_true(puppet__do(&crowd[i], PUPPET_FORK, 0) > 0);
    assert_int_equal(puppet__follow(&crowd[i], sensor, (uint32_t)i), 0);
  }
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  for (uint32_t i = 0; i < N; i++) {
    struct sensor_reading reading;
    assert_int_equal(sensor->ops->read(sensor, i, false, &reading), 0);
    assert_int_equal(reading.processes, 2);
  }
  for (int i = 0; i < N; i++)
    puppet__stop(&crowd[i]);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      T(test_everything_is_attached),
      T(test_levels),
      T(test_a_crossing_at_each_level),
      T(test_bad_targets_are_refused),
      T(test_workers_are_kept_apart),
      T(test_events_come_in_pieces),
      T(test_events_of_an_old_life_are_dropped),
      T(test_records_are_not_trusted),
      T(test_swinging_under_a_threshold_is_not_a_storm),
      cmocka_unit_test_setup_teardown(test_without_growth_sweeps_find_the_crossing, set_up_without_growth, tear_down),
      T(test_a_crowd_is_adopted_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Is each turn of a worker seen from its begin to its end, and nobody else's lock taken for one? */
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
  return 0;
}

#define NEED_BPF()                                                                                                     \
  if (!sensor)                                                                                                         \
  skip()

static struct sensor_reading reading(void) {
  struct sensor_reading r;
  assert_int_equal(sensor->ops->read(sensor, 3, false, &r), 0);
  return r;
}

static const struct ebb_kworker *kworker(void) {
  return &feed__of(sensor)->loader.workers[3];
}

static void test_one_turn(void **state) {
  (void)state;
  NEED_BPF();
  assert_false(reading().busy);
  assert_int_equal(reading().turns, 0);
  assert_true(reading().fresh_bytes == EBB_UNKNOWN);
  uint64_t before_ns = clock__monotonic_ns();
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK, 0), 0);
  assert_true(reading().busy);
  assert_int_equal(reading().turns, 1);
  assert_in_range(reading().taken_ns, before_ns, clock__monotonic_ns());
  assert_near(reading().fresh_bytes, reading().anon_bytes);
  assert_int_equal(puppet__do(&puppet, PUPPET_UNLOCK, 0), 0);
  assert_false(reading().busy);
  struct sensor_event event = next_event(sensor);
  assert_int_equal(event.kind, SENSOR_RELEASED);
  assert_int_equal(event.worker, 3);
  assert_int_equal(event.generation, 7);
  assert_int_equal(event.turn, 1);
  assert_in_range(event.at_ns, before_ns, clock__monotonic_ns());
  assert_in_range(event.held_ns, 1, event.at_ns - before_ns);
}

static void test_turns_are_counted_exactly(void **state) {
  (void)state;
  NEED_BPF();
  uint64_t turns = 0;
  for (uint64_t n = 1; n <= 1000; n += n < 10 ? 1 : n * 3 / 5) {
    assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, n), 0);
    turns += n;
    assert_int_equal(reading().turns, turns);
    assert_int_equal(kworker()->held, 0);
    static struct sensor_event events[1000];
    assert_int_equal(sensor->ops->events(sensor, events, 1000), n);
    assert_int_equal(events[n - 1].turn, turns);
  }
  assert_int_equal(sensor->ops->drops(sensor), 0);
}

static void test_short_turns_do_not_wake(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, 1), 0);
  await_wake(sensor); /* the first one does: it says ready */
  assert_int_equal(next_event(sensor).turn, 1);
  assert_false(is_woken(sensor));
  uint64_t woken = 0;
  struct sensor_event events[64];
  for (int i = 0; i < 20; i++) {
    assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, 1), 0);
    woken += is_woken(sensor); /* a turn may be stretched by the machine */
    assert_int_equal(sensor->ops->events(sensor, events, 64), 1);
  }
  assert_in_range(woken, 0, 10);
  sensor->ops->eager(sensor, 3, true);
  assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, 1), 0);
  assert_true(is_woken(sensor));
  assert_int_equal(next_event(sensor).turn, 22);
}

/* However short, one that comes alone is told at once; and one that lasted, whatever was before. */
static void test_turns_apart_wake(void **state) {
  (void)state;
  NEED_BPF();
  const struct timespec apart = {.tv_nsec = EBB_WAKES_APART_NS};
  for (uint64_t turn = 1; turn <= 5; turn++) {
    assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, 1), 0);
    await_wake(sensor);
    assert_int_equal(next_event(sensor).turn, turn);
    assert_false(is_woken(sensor));
    assert_int_equal(nanosleep(&apart, NULL), 0);
  }
  static struct sensor_event events[4];
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK_SHARED, 0), 0);
  assert_int_equal(nanosleep(&apart, NULL), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_HOLD_THREADS, 1), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_DROP_THREADS, 0), 0);
  await_wake(sensor);
  assert_int_equal(sensor->ops->events(sensor, events, 4), 1);
  assert_false(is_woken(sensor));
  assert_int_equal(puppet__do(&puppet, PUPPET_UNLOCK, 0), 0);
  await_wake(sensor);
  assert_int_equal(next_event(sensor).turn, 6);
}

static void test_foreign_locks_are_not_turns(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(flock(puppet.lease_fd, LOCK_EX), 0); /* as ebbd does */
  assert_false(reading().busy);
  puppet__send(&puppet, PUPPET_LOCK, 0);
  struct lease_key key;
  struct lease_use use = {0};
  assert_int_equal(lease__key(puppet.lease_fd, &key), 0);
  await(!locks__read(&key, 1, &use) && use.awaited);
  assert_false(reading().busy);
  assert_int_equal(reading().turns, 0);
  assert_int_equal(flock(puppet.lease_fd, LOCK_UN), 0);
  assert_int_equal(puppet__answer(&puppet), 0);
  assert_true(reading().busy);
  assert_int_equal(reading().turns, 1);
  assert_int_equal(flock(puppet.lease_fd, LOCK_EX | LOCK_NB), -1);
  assert_int_equal(flock(puppet.lease_fd, LOCK_UN), 0); /* nobody's; must not count as the worker's */
  assert_true(reading().busy);
  assert_int_equal(puppet__do(&puppet, PUPPET_UNLOCK, 0), 0);
  assert_false(reading().busy);
}

static void test_job_threads_share_the_lease(void **state) {
  (void)state;
  NEED_BPF();
  static struct sensor_event events[16];
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK_SHARED, 0), 0);
  uint64_t taken_ns = reading().taken_ns;
  assert_int_equal(puppet__do(&puppet, PUPPET_HOLD_THREADS, 9), 0);
  assert_int_equal(kworker()->held, 10);
  assert_int_equal(reading().turns, 10);
  assert_int_equal(reading().taken_ns, taken_ns); /* when the first of them came */
  assert_true(reading().busy);
  assert_int_equal(puppet__do(&puppet, PUPPET_DROP_THREADS, 0), 0);
  assert_int_equal(kworker()->held, 1);
  assert_true(reading().busy);
  assert_int_equal(sensor->ops->events(sensor, events, 16), 9); /* each of them is a job of its own … */
  for (int i = 0; i < 9; i++) {
    assert_false(events[i].resting);
    assert_in_range(events[i].turn, 2, 10); /* … the second to the tenth; two at one moment may have one number */
  }
  assert_int_equal(puppet__do(&puppet, PUPPET_UNLOCK, 0), 0);
  assert_int_equal(kworker()->held, 0);
  assert_false(reading().busy);
  assert_int_equal(sensor->ops->events(sensor, events, 16), 1);
  assert_int_equal(events[0].turn, 1);
  assert_true(events[0].resting);
  assert_true(events[0].held_ns >= events[0].at_ns - taken_ns);
}

static void test_locking_twice_is_one_turn(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK_SHARED, 0), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK, 0), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK, 0), 0);
  assert_int_equal(kworker()->held, 1);
  assert_int_equal(puppet__do(&puppet, PUPPET_UNLOCK, 0), 0);
  assert_false(reading().busy);
  assert_int_equal(puppet__do(&puppet, PUPPET_UNLOCK, 0), 0);
  assert_int_equal(kworker()->held, 0);
}

/* From shared to exclusive while somebody else shares: the kernel lets the old lock go before it waits for the new one. */
static void test_a_conversion_that_waits_gives_up_the_lock(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK_SHARED, 0), 0);
  assert_int_equal(flock(puppet.lease_fd, LOCK_SH), 0);
  puppet__send(&puppet, PUPPET_LOCK, 0);
  await(!reading().busy);
  assert_int_equal(flock(puppet.lease_fd, LOCK_UN), 0);
  assert_int_equal(puppet__answer(&puppet), 0);
  assert_true(reading().busy);
  assert_int_equal(kworker()->held, 1);
}

static void test_death_lets_go(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK, 0), 0);
  assert_int_equal(kworker()->held, 1);
  assert_int_equal(kill(puppet.pid, SIGKILL), 0);
  await(kworker()->held == 0);
  assert_int_equal(next_event(sensor).kind, SENSOR_RELEASED);
}

static void test_a_forked_helper_holds_on(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK, 0), 0);
  pid_t helper = (pid_t)puppet__do(&puppet, PUPPET_FORK, 0);
  assert_int_equal(kill(puppet.pid, SIGKILL), 0);
  assert_int_equal(waitpid(puppet.pid, NULL, 0), puppet.pid);
  assert_int_equal(kworker()->held, 1);
  assert_true(reading().busy);
  assert_int_equal(reading().processes, 1);
  assert_int_equal(kill(helper, SIGKILL), 0);
  await(kworker()->held == 0);
}

/* The watch is started anew in the middle of a job. */
static void test_a_turn_from_before_is_found(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK, 0), 0);
  sensor->ops->close(sensor);
  sensor = open_bpf();
  assert_non_null(sensor);
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_true(reading().busy);
  assert_true(reading().fresh_bytes == EBB_UNKNOWN); /* it is in a job: nothing fresh about it */
  assert_int_equal(puppet__do(&puppet, PUPPET_UNLOCK, 0), 0);
  assert_false(reading().busy);
  assert_int_equal(next_event(sensor).kind, SENSOR_RELEASED);
  assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, 5), 0);
  assert_int_equal(kworker()->held, 0);
}

/* … and the process that took the lock is dead; a child lives on with it. */
static void test_an_inherited_lock_from_before_is_found(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK, 0), 0);
  pid_t child = (pid_t)puppet__do(&puppet, PUPPET_FORK, 0);
  assert_int_equal(kill(puppet.pid, SIGKILL), 0);
  assert_int_equal(waitpid(puppet.pid, NULL, 0), puppet.pid);
  sensor->ops->close(sensor);
  sensor = open_bpf();
  assert_non_null(sensor);
  struct puppet orphan = puppet;
  orphan.pid = child;
  assert_int_equal(puppet__follow(&orphan, sensor, 3), 0);
  assert_true(reading().busy);
  assert_int_equal(kill(child, SIGKILL), 0);
  await(kworker()->held == 0);
}

/* … and it is a child of the worker that locked, known only after the search. */
static void test_a_childs_lock_from_before_is_found(void **state) {
  (void)state;
  NEED_BPF();
  sensor->ops->close(sensor);
  struct puppet child;
  puppet__start(&child);
  assert_int_equal(puppet__do(&child, PUPPET_LOCK, 0), 0);
  sensor = open_bpf();
  assert_non_null(sensor);
  /* This process stands in for the worker, and its children for the worker's. */
  struct sensor_target target = {
      .worker = 3, .generation = 7, .pid = getpid(), .lease_fd = child.lease_fd, .lease_path = child.lease_path};
  assert_int_equal(sensor->ops->add(sensor, &target), 0);
  assert_int_equal(kworker()->held, 0);
  assert_true(reading().busy);
  assert_true(reading().processes >= 3);
  puppet__stop(&child);
  await(kworker()->held == 0);
}

/* ebbd holds the lease of a worker that starts or retires. */
static void test_ebbds_lock_from_before_is_not_taken_for_a_turn(void **state) {
  (void)state;
  NEED_BPF();
  sensor->ops->close(sensor);
  int report[2];
  assert_int_equal(pipe2(report, O_CLOEXEC), 0);
  pid_t ebbd = fork();
  if (!ebbd) {
    int fd = open(puppet.lease_path, O_RDWR | O_CLOEXEC);
    (void)!write(report[1], flock(fd, LOCK_EX) ? "n" : "y", 1);
    sleep_for_ever();
  }
  char answer = 0;
  assert_int_equal(read(report[0], &answer, 1), 1);
  assert_int_equal(answer, 'y');
  sensor = open_bpf();
  assert_non_null(sensor);
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_false(reading().busy);
  assert_int_equal(kill(ebbd, SIGKILL), 0);
  assert_int_equal(waitpid(ebbd, NULL, 0), ebbd);
  assert_false(reading().busy);
  assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, 3), 0);
  assert_int_equal(reading().turns, 3);
  (void)close(report[0]);
  (void)close(report[1]);
}

/* The caller's descriptor may hold the lock itself; looking must not take it away. */
static void test_looking_releases_nothing(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(flock(puppet.lease_fd, LOCK_EX), 0);
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  int other = open(puppet.lease_path, O_RDWR | O_CLOEXEC);
  assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
  (void)close(other);
}

static void test_a_full_ring_counts_its_drops(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, 1), 0);
  assert_int_equal(next_event(sensor).turn, 1);
  assert_false(is_woken(sensor));
  assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, 6000), 0);
  assert_true(is_woken(sensor)); /* over half full it does wake */
  static struct sensor_event events[512];
  uint64_t got = 0;
  for (int n; (n = sensor->ops->events(sensor, events, 512)); got += (uint64_t)n)
    assert_in_range(n, 1, 512);
  const uint64_t record = sizeof(struct ebb_event) + 8; /* with its head in the ring */
  assert_in_range(got, EBB_RING_BYTES / record - 1, EBB_RING_BYTES / record);
  assert_int_equal(sensor->ops->drops(sensor), 6000 - got);
  assert_int_equal(reading().turns, 6001); /* absolute: nothing is lost for good */
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      T(test_one_turn),
      T(test_turns_are_counted_exactly),
      T(test_short_turns_do_not_wake),
      T(test_turns_apart_wake),
      T(test_foreign_locks_are_not_turns),
      T(test_job_threads_share_the_lease),
      T(test_locking_twice_is_one_turn),
      T(test_a_conversion_that_waits_gives_up_the_lock),
      T(test_death_lets_go),
      T(test_a_forked_helper_holds_on),
      T(test_a_turn_from_before_is_found),
      T(test_an_inherited_lock_from_before_is_found),
      T(test_a_childs_lock_from_before_is_found),
      T(test_ebbds_lock_from_before_is_not_taken_for_a_turn),
      T(test_looking_releases_nothing),
      T(test_a_full_ring_counts_its_drops),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

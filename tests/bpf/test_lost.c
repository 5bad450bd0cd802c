/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* When there is no room for a record, a process or a lock: is that counted, and are all figures right again afterwards? */
#include "kernside.h"
#include "puppet.h"
#include "truth.h"

#define RING_BYTES 4096
#define ROOM (RING_BYTES / (sizeof(struct ebb_event) + 8)) /* with the head of each in the ring */

static struct sensor *sensor;
static struct puppet puppet, other;

static int tear_down(void **state) {
  (void)state;
  if (!sensor)
    return 0;
  puppet__stop(&puppet);
  puppet__stop(&other);
  sensor->ops->close(sensor);
  sensor = NULL;
  return 0;
}

/* False, with the reason: no kernel programs here. */
static bool set_up(const struct loader_options *options) {
  char why[200];
  int r = feed__open(options, &sensor, why, sizeof(why));
  if (r) {
    print_message("skipped: %s (%s)\n", why, strerror(-r));
    sensor = NULL;
    return false;
  }
  puppet__start(&puppet);
  puppet__start(&other);
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  return true;
}

static struct sensor_reading reading(bool exact) {
  struct sensor_reading r;
  assert_int_equal(sensor->ops->read(sensor, 3, exact, &r), 0);
  return r;
}

static uint64_t footprint(void) {
  struct sensor_reading r = reading(true);
  return r.anon_bytes + r.shmem_bytes + r.swap_bytes;
}

static uint64_t missed(void) {
  return skel_of(sensor)->bss->missed;
}

static void sweep(void) {
  assert_int_equal(sensor->ops->sweep(sensor), 0);
}

/* Take all events; how many turns ended by them, and did a threshold fall? */
static uint64_t drain(uint64_t *ret_last_turn, bool *ret_crossed) {
  struct sensor_event events[16];
  uint64_t turns = 0;
  for (int n; (n = sensor->ops->events(sensor, events, 16));)
    for (int i = 0; i < n; i++) {
      turns += events[i].kind == SENSOR_RELEASED;
      *ret_crossed |= events[i].kind == SENSOR_CROSSED;
      if (events[i].kind == SENSOR_RELEASED)
        *ret_last_turn = events[i].turn;
    }
  return turns;
}

/* The ring is a page, and nobody reads it. */
static void test_a_flooded_ring(void **state) {
  (void)state;
  if (!set_up(&(struct loader_options){.ring_bytes = RING_BYTES}))
    skip();
  uint64_t last = 0;
  bool crossed = false;
  assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, 1), 0);
  assert_int_equal(drain(&last, &crossed), 1);
  assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, 5000), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 16 * MIB), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK, 0), 0);
  assert_true(sensor->ops->drops(sensor) >= 5000 - ROOM);
  sweep();
  assert_true(reading(false).busy);
  assert_int_equal(reading(false).turns, 5002); /* the count is the kernel side's, not that of the records */
  assert_int_equal(footprint(), truth__of_tree(puppet.pid));
  uint64_t got = drain(&last, &crossed);
  assert_in_range(got, ROOM - 1, ROOM);
  /* What is lost is known: turns that ended, less those that were told of. */
  assert_int_equal(got + sensor->ops->drops(sensor), 5000);
  assert_int_equal(puppet__do(&puppet, PUPPET_UNLOCK, 0), 0);
  uint64_t lost = sensor->ops->drops(sensor);
  assert_int_equal(drain(&last, &crossed), 1);
  assert_int_equal(last, 5002);
  assert_false(reading(false).busy);
  assert_int_equal(sensor->ops->drops(sensor), lost);
  assert_false(crossed);
}

static void test_a_small_ring_wakes_at_its_half(void **state) {
  (void)state;
  if (!set_up(&(struct loader_options){.ring_bytes = RING_BYTES}))
    skip();
  assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, 1), 0);
  assert_int_equal(next_event(sensor).turn, 1);
  assert_false(is_woken(sensor));
  assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, ROOM / 4), 0);
  bool was_woken = is_woken(sensor); /* by a turn in which we were kept from running, perhaps */
  assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, ROOM / 2), 0);
  assert_true(is_woken(sensor));
  assert_int_equal(sensor->ops->drops(sensor), 0);
  if (was_woken)
    print_message("one short turn took long\n");
}

/* The record of a crossing finds no room, and the kernel side is disarmed by it all the same. */
static void test_a_crossing_that_is_dropped(void **state) {
  (void)state;
  if (!set_up(&(struct loader_options){.ring_bytes = RING_BYTES}))
    skip();
  uint64_t last = 0;
  bool crossed = false;
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 64 * MIB), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_TURNS, 1000), 0);
  uint64_t lost = sensor->ops->drops(sensor);
  sensor->ops->arm(sensor, 3, footprint() + 16 * MIB);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 32 * MIB), 0);
  if (sensor->ops->level(sensor))
    assert_true(sensor->ops->drops(sensor) > lost);
  (void)drain(&last, &crossed);
  assert_false(crossed);
  sweep();
  (void)drain(&last, &crossed);
  assert_true(crossed);
}

/* Four places for processes: the worker's seven have no room, then they have. */
static void test_more_processes_than_places(void **state) {
  (void)state;
  if (!set_up(&(struct loader_options){.procs_max = 4}))
    skip();
  pid_t children[6];
  assert_int_equal(reading(true).processes, 1);
  for (int i = 0; i < 6; i++)
    children[i] = (pid_t)puppet__do(&puppet, PUPPET_FORK_GROWING, MIB);
  assert_int_equal(missed(), 3);
  sweep();
  assert_int_equal(reading(true).processes, 4);
  sweep();
  for (int i = 0; i < 3; i++)
    assert_int_equal(puppet__do(&puppet, PUPPET_KILL, (uint64_t)children[i]), 0);
  sweep();
  assert_int_equal(reading(true).processes, 4);
  assert_int_equal(footprint(), truth__of_tree(puppet.pid));
  for (int i = 3; i < 6; i++)
    assert_int_equal(kernel_owner(sensor, children[i]), 3);
}

/* There is room for the process, but none for its memory: it counts as soon as there is. */
static void test_more_address_spaces_than_places(void **state) {
  (void)state;
  if (!set_up(&(struct loader_options){.procs_max = 4}))
    skip();
  int mms = bpf_map__fd(skel_of(sensor)->maps.mms);
  char nobodys[64] = {0};
  assert_int_equal(reading(true).processes, 1);
  for (uint64_t key = 1; key <= 3; key++)
    assert_int_equal(bpf_map_update_elem(mms, &key, nobodys, BPF_ANY), 0);
  assert_true(puppet__do(&puppet, PUPPET_FORK_GROWING, MIB) > 0);
  assert_int_equal(missed(), 1);
  sweep();
  assert_int_equal(reading(true).processes, 1);
  assert_int_equal(bpf_map_delete_elem(mms, &(uint64_t){1}), 0);
  sweep();
  assert_int_equal(reading(true).processes, 2);
  assert_int_equal(footprint(), truth__of_tree(puppet.pid));
}

/* One place for locks, and another worker has it. */
static void test_more_locks_than_places(void **state) {
  (void)state;
  if (!set_up(&(struct loader_options){.held_max = 1}))
    skip();
  uint64_t last = 0;
  bool crossed = false;
  assert_int_equal(puppet__follow(&other, sensor, 4), 0);
  sweep();
  assert_int_equal(puppet__do(&other, PUPPET_LOCK, 0), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK, 0), 0);
  assert_int_equal(missed(), 1);
  sweep(); /* still none */
  assert_false(reading(false).busy);
  assert_int_equal(puppet__do(&other, PUPPET_UNLOCK, 0), 0);
  sweep();
  assert_true(reading(false).busy);
  assert_int_equal(reading(false).turns, 1);
  (void)drain(&last, &crossed);
  assert_int_equal(puppet__do(&puppet, PUPPET_UNLOCK, 0), 0);
  assert_int_equal(drain(&last, &crossed), 1);
  assert_false(reading(false).busy);
}

int main(void) {
#define T(name) cmocka_unit_test_teardown(name, tear_down)
  const struct CMUnitTest tests[] = {
      T(test_a_flooded_ring),
      T(test_a_small_ring_wakes_at_its_half),
      T(test_a_crossing_that_is_dropped),
      T(test_more_processes_than_places),
      T(test_more_address_spaces_than_places),
      T(test_more_locks_than_places),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

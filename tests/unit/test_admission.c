/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Does a piece of work start when it fits, and only then; who comes first; and is something always done? */
#include "world.h"

/* Pools 0 and 1 are of pieces, which take 100 and 300 MiB; pool 2 serves. 1000 MiB are available, 100 of them in reserve. */
static struct world oneshot_world(void) {
  struct world world = calm_world();
  world.host.mem_available_bytes = 1000 * MIB;
  for (uint32_t pool = 0; pool < 2; pool++)
    world.pool_rules[pool].mode = EBB_MODE_ONESHOT;
  world.pools[0].piece_bytes = 100 * MIB;
  world.pools[1].piece_bytes = 300 * MIB;
  return world;
}

static struct ebb_worker_facts *add_empty(struct world *world, uint32_t pool) {
  struct ebb_worker_facts *worker = add(world, pool, 0);
  worker->pid = 0;
  worker->generation = 7; /* it has had some */
  worker->state = EBB_SLOT_EMPTY;
  worker->waits = 1;
  worker->footprint_bytes = worker->rest_bytes = worker->private_bytes = EBB_UNKNOWN;
  return worker;
}

/* One piece of pool 1 runs and holds 300 MiB; one of each pool waits. */
static struct world waiting_world(void) {
  struct world world = oneshot_world();
  (void)add_empty(&world, 0);
  (void)add_empty(&world, 1);
  (void)add(&world, 1, 300);
  return world;
}

CHANGE(nothing, )
CHANGE(room_for_both_to_the_byte, world->host.mem_available_bytes = 500 * MIB;)
CHANGE(room_for_one, world->host.mem_available_bytes = 500 * MIB - 1;)
CHANGE(room_for_none, world->host.mem_available_bytes = 200 * MIB - 1;)
CHANGE(room_for_one_beside_what_grows, world->host.mem_available_bytes = 500 * MIB;
       world->workers[2].footprint_bytes = 100 * MIB;)
CHANGE(what_has_grown_beyond, world->host.mem_available_bytes = 500 * MIB;
       world->workers[2].footprint_bytes = 900 * MIB;)
CHANGE(what_ends_grows_no_more, world->host.mem_available_bytes = 500 * MIB;
       world->workers[2].footprint_bytes = 100 * MIB; world->workers[2].state = EBB_SLOT_LEAVING;)
CHANGE(one_of_unknown_size, world->host.mem_available_bytes = 799 * MIB;
       world->workers[2].footprint_bytes = EBB_UNKNOWN;)
CHANGE(available_unknown, world->host.mem_available_bytes = EBB_UNKNOWN;)
CHANGE(within_the_budget, world->host_rules.memory_budget_bytes = 700 * MIB;)
CHANGE(over_the_budget, world->host_rules.memory_budget_bytes = 700 * MIB - 1;)
CHANGE(first_by_priority, world->host.mem_available_bytes = 500 * MIB - 1; world->pool_rules[1].priority = 1;)
CHANGE(blocked_by_priority, world->host.mem_available_bytes = 400 * MIB - 1; world->pool_rules[1].priority = 1;)
CHANGE(blocked_by_nobody, world->host.mem_available_bytes = 400 * MIB - 1; world->pool_rules[0].priority = 1;)
CHANGE(somebody_holds_it, world->pools[0].hold_refill_ns = NOW + SEC;)
CHANGE(the_hold_is_over, world->pools[0].hold_refill_ns = NOW;)
CHANGE(held_and_of_higher_priority, world->host.mem_available_bytes = 400 * MIB - 1; world->pool_rules[1].priority = 1;
       world->pools[1].hold_refill_ns = NOW + SEC;)
CHANGE(just_let_in, world->host.mem_available_bytes = 500 * MIB; worker->state = EBB_SLOT_STARTING;)
CHANGE(not_waiting, worker->waits = 0;)
CHANGE(in_backoff, worker->waits = 0; worker->state = EBB_SLOT_BACKOFF;)
CHANGE(waits_but_has_a_process, worker->pid = 99; worker->state = EBB_SLOT_SERVING;
       worker->footprint_bytes = 100 * MIB;)
CHANGE(of_a_pool_that_serves, worker->pool = 2;)
CHANGE(out_of_range, worker->pool = POOLS_MAX; world->workers[1].pool = UINT32_MAX;)
CHANGE(dry, world->host_rules.dry_run = 1;)

static void who_fits(void **state) {
  (void)state;
  struct world world = waiting_world();
  static const struct case_ cases[] = {
      {"both", nothing, "+0 +1"},
      {"both to the byte", room_for_both_to_the_byte, "+0 +1"},
      {"the first only", room_for_one, "+0 held:1"},
      {"none", room_for_none, "held:0 held:1"},
      {"what runs may still grow", room_for_one_beside_what_grows, "+0 held:1"},
      {"what is larger than it should be has taken it already", what_has_grown_beyond, "+0 +1"},
      {"what ends grows no more", what_ends_grows_no_more, "+0 +1"},
      {"what is not known may be nothing so far", one_of_unknown_size, "+0 held:1"},
      {"available unknown", available_unknown, "held:0 held:1"},
      {"within the budget", within_the_budget, "+0 +1"},
      {"over the budget", over_the_budget, "+0 held:1"},
      {"the higher priority has the room", first_by_priority, "+1 held:0"},
      {"… and is waited for, though another one would fit", blocked_by_priority, "held:0 held:1"},
      {"the lower one is not waited for", blocked_by_nobody, "+0 held:1"},
      {"somebody holds the pool", somebody_holds_it, "+1"},
      {"somebody held it", the_hold_is_over, "+0 +1"},
      {"who is held blocks nobody", held_and_of_higher_priority, "+0"},
      {"who was let in just now counts as running", just_let_in, "+1"},
      {"nobody waits there", not_waiting, "+1"},
      {"in backoff", in_backoff, "+1"},
      {"a place that is taken", waits_but_has_a_process, "+1"},
      {"a pool that serves", of_a_pool_that_serves, "+1"},
      {"pools that are not there", out_of_range, ""},
      {"a dry run starts them too", dry, "+0 +1"},
  };
  RUN(&world, cases);
}

static void something_is_always_done(void **state) {
  (void)state;
  struct world world = waiting_world();
  world.n_workers = 2;
  world.host.mem_available_bytes = 0;
  expect("one at least", &world, "+0 held:1");
  world.host.mem_available_bytes = EBB_UNKNOWN;
  expect("one at least", &world, "+0 held:1");
  world.pool_rules[1].priority = 9;
  expect("of the highest priority", &world, "+1 held:0");
  world.host_rules.memory_budget_bytes = 0;
  expect("whatever the budget", &world, "+1 held:0");
  (void)add(&world, 2, 500); /* who serves is no piece */
  expect("and who else there is", &world, "budget/2 +1 held:0");
}

/* Of a pool of which nothing is known, one at a time, and nobody is blocked by that. */
static void what_is_not_known_is_tried(void **state) {
  (void)state;
  struct world world = oneshot_world();
  world.pools[0].piece_bytes = EBB_UNKNOWN;
  world.pool_rules[0].priority = 1;
  (void)add_empty(&world, 0);
  (void)add_empty(&world, 0);
  (void)add_empty(&world, 1);
  expect("one of them, and another pool's", &world, "+0 +2 held:0");
  world.workers[0].pid = 1;
  world.workers[0].waits = 0;
  expect("while it runs, no other", &world, "+2 held:0");
  struct world others = world;
  others.workers[0].pool = 1; /* it is another pool's that runs */
  expect("that others run is no matter", &others, "+1 +2");
  world.host.mem_available_bytes = 99 * MIB;
  expect("none if the reserve is gone", &world, "held:0 held:1");
  world.pools[0].piece_bytes = 10 * MIB;
  world.host.mem_available_bytes = 130 * MIB; /* the running one may take 10 */
  expect("known: all that fit", &world, "+1 held:1");
}

static void slots_come_in_their_order(void **state) {
  (void)state;
  struct world world = oneshot_world();
  world.host.mem_available_bytes = 300 * MIB;
  for (int i = 0; i < 4; i++)
    (void)add_empty(&world, 0);
  world.workers[0].slot = 9, world.workers[1].slot = UINT32_MAX, world.workers[2].slot = 3, world.workers[3].slot = 5;
  expect("by number", &world, "+2 +3 held:0");
  for (int i = 4; i < 2 * PLAN_ACTS_MAX; i++)
    (void)add_empty(&world, 0);
  world.host.mem_available_bytes = 99999 * MIB;
  struct plan plan = decide("many", &world);
  assert_int_equal(plan.n_starts, PLAN_ACTS_MAX);
  assert_true(plan.hold_refill[0]);
}

static void absurd_sums_do_not_fit(void **state) {
  (void)state;
  struct world world = waiting_world();
  world.pools[0].piece_bytes = EBB_UNKNOWN - 1;
  world.host.mem_available_bytes = EBB_UNKNOWN - 1;
  expect("too large a piece", &world, "+1 held:0");
  world.host_rules.reserve_bytes = EBB_UNKNOWN;
  expect("too large a reserve", &world, "held:0 held:1");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(who_fits),
      cmocka_unit_test(something_is_always_done),
      cmocka_unit_test(what_is_not_known_is_tried),
      cmocka_unit_test(slots_come_in_their_order),
      cmocka_unit_test(absurd_sums_do_not_fit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

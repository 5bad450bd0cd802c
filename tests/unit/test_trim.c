/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Is a worker asked to give memory back before a memory rule retires it, once, and does nobody else go meanwhile? */
#include "world.h"

#define WAIT (10 * SEC)

/* Two workers over their limit, the first of which may be busy; nothing has been ordered yet. */
static struct world trimming_world(void) {
  struct world world = calm_world();
  for (uint32_t i = 0; i < 2; i++) {
    world.pool_rules[i].trim = 1;
    world.pool_rules[i].trim_wait_ns = WAIT;
  }
  world.pool_rules[0].footprint_limit_bytes = 100 * MIB;
  (void)add(&world, 0, 200);
  return world;
}

CHANGE(nothing, )
CHANGE(off, world->pool_rules[0].trim = 0;)
CHANGE(ordered_just_now, worker->trimmed_ns = NOW;)
CHANGE(ordered_a_while_ago, worker->trimmed_ns = NOW - WAIT + 1;)
CHANGE(wait_is_over, worker->trimmed_ns = NOW - WAIT;)
CHANGE(turn_began_after, worker->trimmed_ns = NOW - 2 * SEC; worker->turn_ns = NOW - SEC;)
CHANGE(turn_began_before, worker->trimmed_ns = NOW - 2 * SEC; worker->turn_ns = NOW - 3 * SEC;)
CHANGE(turn_began_with_it, worker->trimmed_ns = NOW - 2 * SEC; worker->turn_ns = NOW - 2 * SEC;)
CHANGE(private_is_of_before, worker->trimmed_ns = NOW - SEC; worker->turn_ns = NOW - SEC / 2;
       worker->private_ns = NOW - SEC;)
CHANGE(gave_it_back, worker->trimmed_ns = NOW - 2 * SEC; worker->turn_ns = NOW - SEC;
       worker->footprint_bytes = 50 * MIB; worker->private_bytes = 50 * MIB;)
CHANGE(nearly_forgotten, worker->trimmed_ns = NOW - 10 * WAIT + 1;)
CHANGE(forgotten, worker->trimmed_ns = NOW - 10 * WAIT;)
CHANGE(busy, worker->busy = 1;)
CHANGE(private_unread, worker->private_ns = 0;)
CHANGE(mostly_shared, worker->private_bytes = 10 * MIB;)
CHANGE(strikes_short, world->pool_rules[0].strikes = 2;)
CHANGE(strikes_reached, world->pool_rules[0].strikes = 2; worker->strikes = 2;)
CHANGE(last_of_its_pool, world->pool_rules[0].min_ready = 1;)
CHANGE(held, world->pools[0].hold_retire_ns = NOW + SEC;)
CHANGE(asked_for, world->pools[0].requests = 1;)
CHANGE(no_time_at_all, world->pool_rules[0].trim_wait_ns = 0;)
CHANGE(retained_too, world->pool_rules[0].retained_limit_bytes = 10 * MIB; worker->fresh_bytes = 10 * MIB;)

static void once_and_with_time(void **state) {
  (void)state;
  struct world world = trimming_world();
  static const struct case_ cases[] = {
      {"first it is ordered", nothing, "footprint~0"},
      {"where that is wanted", off, "footprint/0"},
      {"then it has time", ordered_just_now, ""},
      {"to the last moment", ordered_a_while_ago, ""},
      {"but no longer", wait_is_over, "footprint/0"},
      {"it has read the order, and is still over", turn_began_after, "footprint/0"},
      {"that turn had not read it", turn_began_before, ""},
      {"nor perhaps this one", turn_began_with_it, ""},
      {"what was read before the order counts no more", private_is_of_before, "?0"},
      {"it is not over any more", gave_it_back, ""},
      {"an order of a while ago still counts", nearly_forgotten, "footprint/0"},
      {"one of long ago does not", forgotten, "footprint~0"},
      {"busy: it reads it with the next job", busy, "footprint~0"},
      {"not before its private bytes agree", private_unread, "?0"},
      {"not if they do not", mostly_shared, ""},
      {"not before it has been confirmed", strikes_short, "!0"},
      {"when it has", strikes_reached, "footprint~0"},
      {"not if it may not go", last_of_its_pool, ""},
      {"nor if that is held", held, ""},
      {"who was asked for goes", asked_for, "request/0"},
      {"without any time it is not worth it", no_time_at_all, "footprint/0"},
      {"one order for all rules", retained_too, "footprint~0"},
  };
  RUN(&world, cases);
  struct plan plan = expect("figures", &world, "footprint~0");
  assert_true(plan.trims[0].limit_bytes == 100 * MIB);
  struct policy_verdict verdict = explain(&world, 0);
  assert_true(line_of(&verdict, REASON_TRIM)->fires && line_of(&verdict, REASON_TRIM)->value == EBB_UNKNOWN);
  world.workers[0].trimmed_ns = NOW - 3 * SEC;
  verdict = explain(&world, 0);
  assert_true(line_of(&verdict, REASON_FOOTPRINT)->fires && line_of(&verdict, REASON_TRIM)->fires);
  assert_true(line_of(&verdict, REASON_TRIM)->value == 3 * SEC && line_of(&verdict, REASON_TRIM)->limit == WAIT);
}

/* 200, 150 and 100 MiB; who gives back, if anybody, is the first. */
static struct world budget_world(uint64_t budget_mib) {
  struct world world = trimming_world();
  world.pool_rules[0].footprint_limit_bytes = EBB_UNKNOWN;
  (void)add(&world, 2, 150);
  (void)add(&world, 2, 100);
  world.host_rules.memory_budget_bytes = budget_mib * MIB;
  return world;
}

static void the_budget_waits_for_what_is_given_back(void **state) {
  (void)state;
  struct world world = budget_world(300);
  expect("the largest is ordered, nobody else goes for its bytes", &world, "budget~0");
  world.workers[0].trimmed_ns = NOW - SEC;
  expect("nor while that is awaited", &world, "");
  world.host_rules.memory_budget_bytes = 220 * MIB;
  expect("but what is over even so", &world, "budget/1");
  world.host_rules.memory_budget_bytes = 300 * MIB;
  world.workers[0].turn_ns = NOW - SEC / 2;
  expect("it had its chance", &world, "budget/0");
  world.workers[0].footprint_bytes = 20 * MIB;
  world.host.pools_footprint_bytes = 270 * MIB;
  expect("and has used it", &world, "");
  world = budget_world(300);
  world.workers[0].trimmed_ns = NOW - SEC;
  struct policy_verdict verdict = explain(&world, 0);
  assert_true(line_of(&verdict, REASON_BUDGET)->fires && line_of(&verdict, REASON_TRIM)->fires);
}

static struct world pressed_world(void) {
  struct world world = budget_world(1000);
  world.host_rules.memory_budget_bytes = EBB_UNKNOWN;
  world.host.level = EBB_PRESSURE_ELEVATED;
  world.host.reclaim_moved = 1;
  return world;
}

static void pressure_waits_for_what_is_given_back(void **state) {
  (void)state;
  struct world world = pressed_world();
  expect("the one that frees most is ordered", &world, "pressure~0");
  world.workers[0].trimmed_ns = NOW - SEC;
  expect("one at a time", &world, "");
  struct policy_verdict verdict = explain(&world, 0);
  assert_true(line_of(&verdict, REASON_PRESSURE)->fires && line_of(&verdict, REASON_TRIM)->fires);
  world.workers[0].busy = 1;
  expect("a busy one frees nothing for now", &world, "pressure/1");
  world.workers[0].busy = 0;
  world.workers[0].turn_ns = NOW - SEC / 2;
  expect("it had its chance", &world, "pressure/0");
  world.workers[0].turn_ns = 0;
  world.pool_rules[0].trim_wait_ns = 100 * SEC;
  world.workers[0].trimmed_ns = NOW - 16 * SEC;
  expect("a long wait does not silence the rule for longer than a cooldown", &world, "pressure/1");
  world.host.last_act_ns = NOW - SEC;
  expect("the order was an act for pressure itself", &world, "");
}

static void contribution_too(void **state) {
  (void)state;
  struct world world = pressed_world();
  world.pool_rules[0].contribution_limit_permille = 500;
  world.workers[0].contribution_permille = 800;
  expect("ordered first", &world, "contribution~0");
  world.workers[0].busy = 1;
  expect("busy: an idle one goes meanwhile", &world, "pressure/1 contribution~0");
  world.workers[0].busy = 0;
  world.workers[0].trimmed_ns = NOW - SEC;
  expect("awaited", &world, "");
  world.workers[0].turn_ns = NOW - SEC / 2;
  expect("in vain", &world, "contribution/0");
}

/* It serves on: for others, it counts among those that are left. */
static void who_gives_back_still_serves(void **state) {
  (void)state;
  struct world world = trimming_world();
  world.pool_rules[0].min_ready = 1;
  (void)add(&world, 0, 300);
  world.workers[1].trimmed_ns = NOW - SEC;
  world.workers[1].turn_ns = NOW - SEC / 2;
  expect("one is ordered, one goes", &world, "footprint/1 footprint~0");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(once_and_with_time),
      cmocka_unit_test(the_budget_waits_for_what_is_given_back),
      cmocka_unit_test(pressure_waits_for_what_is_given_back),
      cmocka_unit_test(contribution_too),
      cmocka_unit_test(who_gives_back_still_serves),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Does each rule retire whom it should, does each guard keep whom it should, and do all together keep their word? */
#include "world.h"

static void nothing_to_do(void **state) {
  (void)state;
  struct world world = calm_world();
  expect("an empty world", &world, "");
  (void)add(&world, 0, 5000);
  expect("no limits, no pressure", &world, "");
}

/* footprint */

CHANGE(nothing, )
CHANGE(at_the_limit, worker->footprint_bytes = 1000 * MIB;)
CHANGE(no_limit, world->pool_rules[0].footprint_limit_bytes = EBB_UNKNOWN;)
CHANGE(footprint_unknown, worker->footprint_bytes = EBB_UNKNOWN;)
CHANGE(busy_and_over_at_rest, worker->busy = 1; worker->footprint_bytes = 3000 * MIB; worker->private_ns = 0;
       worker->private_bytes = EBB_UNKNOWN;)
CHANGE(busy_and_under_at_rest, worker->busy = 1; worker->footprint_bytes = 3000 * MIB; worker->rest_bytes = 1000 * MIB;)
CHANGE(busy_and_rest_unknown, worker->busy = 1; worker->rest_bytes = EBB_UNKNOWN;)
CHANGE(idle_and_rest_is_old, worker->rest_bytes = 10 * MIB;)
CHANGE(starting, worker->state = EBB_SLOT_STARTING;)
CHANGE(unleased, worker->state = EBB_SLOT_UNLEASED;)
CHANGE(due, worker->state = EBB_SLOT_DUE;)
CHANGE(retiring, worker->state = EBB_SLOT_RETIRING;)
CHANGE(leaving, worker->state = EBB_SLOT_LEAVING;)
CHANGE(backoff, worker->state = EBB_SLOT_BACKOFF;)
CHANGE(no_process, worker->pid = 0;)
CHANGE(no_generation, worker->generation = 0;)
CHANGE(pool_out_of_range, worker->pool = POOLS_MAX;)
CHANGE(pool_far_out_of_range, worker->pool = UINT32_MAX;)
CHANGE(nonsense_state, worker->state = 99;)
CHANGE(just_old_enough, worker->born_ns = NOW - 10 * SEC;)
CHANGE(a_moment_too_young, worker->born_ns = NOW - 10 * SEC + 1;)
CHANGE(born_later, worker->born_ns = NOW + SEC;)
CHANGE(birth_unknown, worker->born_ns = EBB_UNKNOWN;)
CHANGE(born_at_zero, worker->born_ns = 0;)
CHANGE(any_age_will_do, worker->born_ns = NOW; world->pool_rules[0].min_lifetime_ns = 0;)
CHANGE(min_lifetime_off, worker->born_ns = NOW; world->pool_rules[0].min_lifetime_ns = EBB_UNKNOWN;)
CHANGE(baseline_at_the_edge, world->pools[0].baseline_bytes = 1000 * MIB / 12 * 10;)
CHANGE(baseline_too_high, world->pools[0].baseline_bytes = 1000 * MIB / 12 * 10 + 10;)
CHANGE(baseline_odd, worker->footprint_bytes = worker->private_bytes = 1300; world->pools[0].baseline_bytes = 1001;
       world->pool_rules[0].footprint_limit_bytes = 1202;)
CHANGE(baseline_odd_and_too_high, worker->footprint_bytes = worker->private_bytes = 1300;
       world->pools[0].baseline_bytes = 1001; world->pool_rules[0].footprint_limit_bytes = 1201;)
CHANGE(baseline_absurd, world->pools[0].baseline_bytes = EBB_UNKNOWN - 1;)
CHANGE(baseline_zero, world->pools[0].baseline_bytes = 0;)
CHANGE(private_never_read, worker->private_ns = 0; worker->private_bytes = EBB_UNKNOWN;)
CHANGE(private_just_fresh, worker->private_ns = NOW - 2 * SEC;)
CHANGE(private_stale, worker->private_ns = NOW - 2 * SEC - 1;)
CHANGE(private_stale_and_under, worker->private_ns = NOW - 9 * SEC; worker->private_bytes = 10 * MIB;)
CHANGE(busy_and_private_under, worker->busy = 1; worker->private_bytes = 10 * MIB;)
CHANGE(private_from_later, worker->private_ns = NOW + SEC;)
CHANGE(private_time_unknown, worker->private_ns = EBB_UNKNOWN;)
CHANGE(private_under, worker->private_bytes = 900 * MIB;)
CHANGE(private_at_the_limit, worker->private_bytes = 1000 * MIB;)
CHANGE(private_could_not_be_read, worker->private_bytes = EBB_UNKNOWN;)
CHANGE(strikes_first, world->pool_rules[0].strikes = 3;)
CHANGE(strikes_short, world->pool_rules[0].strikes = 3; worker->strikes = 2;)
CHANGE(strikes_reached, world->pool_rules[0].strikes = 3; worker->strikes = 3;)
CHANGE(strikes_unconfirmed, world->pool_rules[0].strikes = 3; worker->private_ns = 0;)
CHANGE(strikes_of_a_busy_one, world->pool_rules[0].strikes = 3; worker->busy = 1;)
CHANGE(strikes_zero, world->pool_rules[0].strikes = 0;)
CHANGE(min_ready_one, world->pool_rules[0].min_ready = 1;)
CHANGE(min_ready_one_of_two, world->pool_rules[0].min_ready = 1; (void)add(world, 0, 10);)
CHANGE(min_ready_with_a_busy_one, world->pool_rules[0].min_ready = 1; add(world, 0, 10)->busy = 1;)
CHANGE(min_ready_with_one_of_another_pool, world->pool_rules[0].min_ready = 1; (void)add(world, 1, 10);)
CHANGE(min_ready_with_one_that_starts, world->pool_rules[0].min_ready = 1; add(world, 0, 1)->state = EBB_SLOT_STARTING;)
CHANGE(min_ready_with_one_that_is_due, world->pool_rules[0].min_ready = 1; add(world, 0, 1)->state = EBB_SLOT_DUE;)
CHANGE(held, world->pools[0].hold_retire_ns = NOW + 1;)
CHANGE(hold_over, world->pools[0].hold_retire_ns = NOW;)
CHANGE(held_for_ever, world->pools[0].hold_retire_ns = EBB_UNKNOWN;)
CHANGE(another_pool_held, world->pools[1].hold_retire_ns = NOW + SEC;)

static void footprint(void **state) {
  (void)state;
  struct world world = calm_world();
  world.pool_rules[0].footprint_limit_bytes = 1000 * MIB;
  (void)add(&world, 0, 1200);
  static const struct case_ cases[] = {
      {"over the limit", nothing, "footprint/0"},
      {"at the limit", at_the_limit, ""},
      {"no limit", no_limit, ""},
      {"footprint unknown", footprint_unknown, ""},
      {"busy, over when last at rest: its private bytes are asked for", busy_and_over_at_rest, "?0"},
      {"busy with a large job", busy_and_under_at_rest, ""},
      {"busy, never seen at rest", busy_and_rest_unknown, ""},
      {"idle, grown in the background", idle_and_rest_is_old, "footprint/0"},
      {"starting", starting, ""},
      {"unleased", unleased, ""},
      {"due already", due, ""},
      {"retiring", retiring, ""},
      {"leaving", leaving, ""},
      {"in backoff", backoff, ""},
      {"no process", no_process, ""},
      {"no generation", no_generation, ""},
      {"a pool that is not there", pool_out_of_range, ""},
      {"a pool far out", pool_far_out_of_range, ""},
      {"a state that is none", nonsense_state, ""},
      {"just old enough", just_old_enough, "footprint/0"},
      {"a moment too young", a_moment_too_young, ""},
      {"born later than now", born_later, ""},
      {"birth unknown", birth_unknown, ""},
      {"born at zero", born_at_zero, "footprint/0"},
      {"any age", any_age_will_do, "footprint/0"},
      {"min_lifetime off", min_lifetime_off, "footprint/0"},
      {"limit just 1.2 baselines", baseline_at_the_edge, "footprint/0"},
      {"limit under 1.2 baselines", baseline_too_high, ""},
      {"limit over 1.2 baselines by a fraction", baseline_odd, "footprint/0"},
      {"limit under 1.2 baselines by a fraction", baseline_odd_and_too_high, ""},
      {"absurd baseline", baseline_absurd, ""},
      {"baseline 0", baseline_zero, "footprint/0"},
      {"private never read", private_never_read, "?0"},
      {"private just fresh", private_just_fresh, "footprint/0"},
      {"private stale", private_stale, "?0"},
      {"private stale and under: read again", private_stale_and_under, "?0"},
      {"busy, private under: what it shares is not its own", busy_and_private_under, ""},
      {"private read a moment later", private_from_later, "footprint/0"},
      {"private read nobody knows when", private_time_unknown, "?0"},
      {"private under the limit", private_under, ""},
      {"private at the limit", private_at_the_limit, ""},
      {"private could not be read", private_could_not_be_read, ""},
      {"first strike", strikes_first, "!0"},
      {"one strike short", strikes_short, "!0"},
      {"strikes reached", strikes_reached, "footprint/0"},
      {"no strike unless private confirms", strikes_unconfirmed, "?0"},
      {"busy ones are struck too", strikes_of_a_busy_one, "!0"},
      {"strikes 0", strikes_zero, "footprint/0"},
      {"last of its pool", min_ready_one, ""},
      {"one of two", min_ready_one_of_two, "footprint/0"},
      {"the other one is busy", min_ready_with_a_busy_one, "footprint/0"},
      {"the other one is another pool's", min_ready_with_one_of_another_pool, ""},
      {"the other one is starting", min_ready_with_one_that_starts, ""},
      {"the other one is due", min_ready_with_one_that_is_due, ""},
      {"held", held, ""},
      {"hold over", hold_over, "footprint/0"},
      {"held for ever", held_for_ever, ""},
      {"another pool held", another_pool_held, "footprint/0"},
  };
  RUN(&world, cases);
  struct plan plan = expect("act carries the limit", &world, "footprint/0");
  assert_true(plan.acts[0].limit_bytes == 1000 * MIB);
}

static void a_limit_under_the_baseline_is_told_even_if_nobody_is_over(void **state) {
  (void)state;
  struct world world = calm_world();
  world.pool_rules[1].footprint_limit_bytes = 100 * MIB;
  world.pools[1].baseline_bytes = 90 * MIB;
  (void)add(&world, 1, 90);
  struct plan plan = expect("quiet", &world, "");
  assert_true(plan.below_baseline[1]);
  assert_false(plan.below_baseline[0]);
  world.pools[1].baseline_bytes = EBB_UNKNOWN;
  plan = expect("not known", &world, "");
  assert_false(plan.below_baseline[1]);
  world.pools[0].baseline_bytes = 90 * MIB;
  plan = expect("no limit", &world, "");
  assert_false(plan.below_baseline[0]);
}

static void idle_ones_are_retired_before_busy_ones_are_due(void **state) {
  (void)state;
  struct world world = calm_world();
  world.pool_rules[0] = (struct ebb_pool_rules){NO_OTHER_LIMITS, .footprint_limit_bytes = 100 * MIB, .min_ready = 1,
                                                .strikes = 1, .contribution_limit_permille = EBB_SHARE_OFF};
  add(&world, 0, 500)->busy = 1;
  (void)add(&world, 0, 200);
  (void)add(&world, 0, 300);
  expect("min_ready leaves one", &world, "footprint/1 footprint/2");
  world.pool_rules[0].min_ready = 0;
  expect("all may go", &world, "footprint/1 footprint/2 footprint/0");
}

static void a_plan_has_an_end(void **state) {
  (void)state;
  struct world world = calm_world();
  world.pool_rules[0] = (struct ebb_pool_rules){NO_OTHER_LIMITS, .footprint_limit_bytes = 100 * MIB, .strikes = 1,
                                                .contribution_limit_permille = EBB_SHARE_OFF};
  for (int i = 0; i < WORKERS_MAX; i++)
    (void)add(&world, 0, 200);
  assert_int_equal(decide("acts", &world).n_acts, PLAN_ACTS_MAX);
  for (int i = 0; i < WORKERS_MAX; i++)
    world.workers[i].private_ns = 0;
  struct plan plan = decide("confirm", &world);
  assert_int_equal(plan.n_acts, 0);
  assert_int_equal(plan.n_confirm, PLAN_ACTS_MAX);
  world.pool_rules[0].strikes = 2;
  for (int i = 0; i < WORKERS_MAX; i++)
    world.workers[i].private_ns = NOW;
  plan = decide("struck", &world);
  assert_int_equal(plan.n_acts, 0);
  assert_int_equal(plan.n_struck, PLAN_ACTS_MAX);
  world.pool_rules[0] = (struct ebb_pool_rules){NO_OTHER_LIMITS, .footprint_limit_bytes = EBB_UNKNOWN, .strikes = 1,
                                                .contribution_limit_permille = EBB_SHARE_OFF};
  world.pools[0].requests = UINT32_MAX;
  assert_int_equal(decide("requests", &world).n_acts, PLAN_ACTS_MAX);
  world.pools[0].requests = 0;
  world.host_rules.memory_budget_bytes = 0;
  assert_int_equal(decide("budget", &world).n_acts, PLAN_ACTS_MAX);
}

/* request */

CHANGE(request, world->pools[0].requests = 1;)
CHANGE(two_requests, world->pools[0].requests = 2;)
CHANGE(three_requests, world->pools[0].requests = 3;)
CHANGE(many_requests, world->pools[0].requests = 4000000000u;)
CHANGE(request_elsewhere, world->pools[2].requests = 1;)
CHANGE(request_and_all_busy, world->pools[0].requests = 1; for (int i = 0; i < 3; i++) world->workers[i].busy = 1;)
CHANGE(request_with_every_guard, world->pools[0].requests = 1; world->pools[0].hold_retire_ns = NOW + SEC;
       world->pool_rules[0].min_ready = 4; world->pool_rules[0].min_lifetime_ns = 9999 * SEC;
       world->pool_rules[0].strikes = 5; world->workers[1].private_ns = 0;)
CHANGE(request_and_the_largest_unleased, world->pools[0].requests = 1; world->workers[1].state = EBB_SLOT_UNLEASED;)
CHANGE(request_and_the_largest_due, world->pools[0].requests = 1; world->workers[1].state = EBB_SLOT_DUE;)
CHANGE(request_and_footprints_unknown, world->pools[0].requests = 1;
       for (int i = 0; i < 3; i++) world->workers[i].footprint_bytes = EBB_UNKNOWN;)
CHANGE(request_and_one_footprint_unknown, world->pools[0].requests = 1; worker->footprint_bytes = EBB_UNKNOWN;)
CHANGE(request_and_a_tie, world->pools[0].requests = 1; worker->footprint_bytes = 300 * MIB;)
CHANGE(request_and_over_the_limit, world->pools[0].requests = 1;
       world->pool_rules[0].footprint_limit_bytes = 250 * MIB;)

static void requests(void **state) {
  (void)state;
  struct world world = calm_world();
  (void)add(&world, 0, 100);
  (void)add(&world, 0, 300);
  add(&world, 0, 900)->busy = 1;
  (void)add(&world, 1, 5000);
  static const struct case_ cases[] = {
      {"the largest idle one of the pool", request, "request/1"},
      {"one for each", two_requests, "request/1 request/0"},
      {"then busy ones", three_requests, "request/1 request/0 request/2"},
      {"more than there are", many_requests, "request/1 request/0 request/2"},
      {"a pool without workers", request_elsewhere, ""},
      {"all are busy: the largest", request_and_all_busy, "request/2"},
      {"nothing else is asked", request_with_every_guard, "request/1"},
      {"an unleased one is not chosen", request_and_the_largest_unleased, "request/0"},
      {"nor is one that is due", request_and_the_largest_due, "request/0"},
      {"nobody's size is known", request_and_footprints_unknown, "request/0"},
      {"an unknown size is no large one", request_and_one_footprint_unknown, "request/1"},
      {"equal ones: the first", request_and_a_tie, "request/0"},
      {"nobody goes twice", request_and_over_the_limit, "request/1 footprint/2"},
  };
  RUN(&world, cases);
  world.pools[0].requests = 1;
  assert_true(expect("no limit", &world, "request/1").acts[0].limit_bytes == EBB_UNKNOWN);
}

/* budget */

#define BUDGET(mib) world->host_rules.memory_budget_bytes = (mib)*MIB;

CHANGE(budget_kept, BUDGET(1000))
CHANGE(budget_missed_by_a_byte, world->host_rules.memory_budget_bytes = 1000 * MIB - 1;)
CHANGE(budget_needs_two, BUDGET(500))
CHANGE(budget_needs_more, BUDGET(100))
CHANGE(budget_off, world->host_rules.memory_budget_bytes = EBB_UNKNOWN;)
CHANGE(budget_sum_unknown, BUDGET(1) world->host.pools_footprint_bytes = EBB_UNKNOWN;)
CHANGE(budget_with_a_due_one, BUDGET(900) add(world, 3, 500)->state = EBB_SLOT_DUE;)
CHANGE(budget_met_by_one_that_is_due, BUDGET(1000) add(world, 3, 500)->state = EBB_SLOT_DUE;)
CHANGE(budget_with_a_due_one_of_unknown_size, BUDGET(900) add(world, 3, 1)->state = EBB_SLOT_DUE;
       worker[3].footprint_bytes = EBB_UNKNOWN;)
CHANGE(budget_met_by_one_that_is_retiring, BUDGET(1000) add(world, 3, 500)->state = EBB_SLOT_RETIRING;)
CHANGE(budget_met_by_one_that_is_leaving, BUDGET(1000) add(world, 3, 500)->state = EBB_SLOT_LEAVING;)
CHANGE(budget_met_by_the_footprint_rule, BUDGET(700) world->pool_rules[0].footprint_limit_bytes = 200 * MIB;)
CHANGE(budget_not_met_by_the_footprint_rule, BUDGET(600) world->pool_rules[0].footprint_limit_bytes = 200 * MIB;)
CHANGE(budget_met_by_a_request, BUDGET(700) world->pools[0].requests = 1;)
CHANGE(budget_and_too_young, BUDGET(900) worker[1].born_ns = NOW;)
CHANGE(budget_and_busy, BUDGET(900) worker[1].busy = 1;)
CHANGE(budget_and_held, BUDGET(900) world->pools[1].hold_retire_ns = NOW + SEC;)
CHANGE(budget_and_min_ready, BUDGET(900) world->pool_rules[1].min_ready = 1;)
CHANGE(budget_and_unleased, BUDGET(900) worker[1].state = EBB_SLOT_UNLEASED;)
CHANGE(budget_and_strikes, BUDGET(900) world->pool_rules[1].strikes = 9;)
CHANGE(budget_and_baseline, BUDGET(900) world->pools[1].baseline_bytes = 400 * MIB;)
CHANGE(budget_and_private_unknown, BUDGET(900) worker[1].private_ns = 0;)
CHANGE(budget_and_nothing_known, BUDGET(500) for (int i = 0; i < 3; i++) worker[i].private_ns = 0;)
CHANGE(budget_and_private_nothing, BUDGET(900) worker[1].private_bytes = 0;)
CHANGE(budget_and_private_unreadable, BUDGET(900) worker[1].private_bytes = EBB_UNKNOWN;)
CHANGE(budget_and_footprint_unknown, BUDGET(900) worker[1].footprint_bytes = EBB_UNKNOWN;)
CHANGE(budget_and_a_tie, BUDGET(900) worker[0].footprint_bytes = 400 * MIB;)
CHANGE(budget_and_an_empty_one, BUDGET(10) for (int i = 0; i < 3; i++) worker[i].footprint_bytes = 0;)

static void budget(void **state) {
  (void)state;
  struct world world = calm_world();
  (void)add(&world, 0, 300);
  (void)add(&world, 1, 400);
  (void)add(&world, 2, 300);
  static const struct case_ cases[] = {
      {"at the budget", budget_kept, ""},
      {"over by a byte: the largest", budget_missed_by_a_byte, "budget/1"},
      {"until under", budget_needs_two, "budget/1 budget/0"},
      {"all of them", budget_needs_more, "budget/1 budget/0 budget/2"},
      {"off", budget_off, ""},
      {"sum unknown", budget_sum_unknown, ""},
      {"what is due counts as gone", budget_with_a_due_one, "budget/1"},
      {"… and that is enough: due", budget_met_by_one_that_is_due, ""},
      {"… but who knows how much", budget_with_a_due_one_of_unknown_size, "budget/1"},
      {"… retiring", budget_met_by_one_that_is_retiring, ""},
      {"… leaving", budget_met_by_one_that_is_leaving, ""},
      {"the footprint rule has freed enough", budget_met_by_the_footprint_rule, "footprint/0"},
      {"the footprint rule has not freed enough", budget_not_met_by_the_footprint_rule, "footprint/0 budget/1"},
      {"the request has freed enough", budget_met_by_a_request, "request/0"},
      {"too young: the next", budget_and_too_young, "budget/0"},
      {"busy: the next", budget_and_busy, "budget/0"},
      {"held: the next", budget_and_held, "budget/0"},
      {"min_ready: the next", budget_and_min_ready, "budget/0"},
      {"unleased: the next", budget_and_unleased, "budget/0"},
      {"strikes are not asked", budget_and_strikes, "budget/1"},
      {"as much as a fresh one: its successor would hold it again", budget_and_baseline, "budget/0"},
      {"private unknown: nobody goes in its place", budget_and_private_unknown, "?1"},
      {"private unknown: as many as are needed", budget_and_nothing_known, "?1 ?0"},
      {"nothing private: the next", budget_and_private_nothing, "budget/0"},
      {"private unreadable: the next", budget_and_private_unreadable, "budget/0"},
      {"footprint unknown: the next", budget_and_footprint_unknown, "budget/0"},
      {"equal ones: the first", budget_and_a_tie, "budget/0"},
      {"who holds nothing stays", budget_and_an_empty_one, ""},
  };
  RUN(&world, cases);
  world.host_rules.memory_budget_bytes = 900 * MIB;
  assert_true(expect("act carries the budget", &world, "budget/1").acts[0].limit_bytes == 900 * MIB);
}

/* pressure */

CHANGE(calm, world->host.level = EBB_PRESSURE_CALM;)
CHANGE(level_unknown, world->host.level = EBB_PRESSURE_UNKNOWN;)
CHANGE(level_nonsense, world->host.level = 77;)
CHANGE(critical, world->host.level = EBB_PRESSURE_CRITICAL;)
CHANGE(no_reclaim, world->host.reclaim_moved = 0;)
CHANGE(no_reclaim_but_short, world->host.reclaim_moved = 0; world->host.mem_available_bytes = 100 * MIB - 1;)
CHANGE(no_reclaim_just_not_short, world->host.reclaim_moved = 0; world->host.mem_available_bytes = 100 * MIB;)
CHANGE(no_reclaim_available_unknown, world->host.reclaim_moved = 0; world->host.mem_available_bytes = EBB_UNKNOWN;)
CHANGE(stall_has_stopped, world->host.stall_growing = 0;)
CHANGE(act_just_now, world->host.last_act_ns = NOW;)
CHANGE(act_14_s_ago, world->host.last_act_ns = NOW - 15 * SEC + 1;)
CHANGE(act_15_s_ago, world->host.last_act_ns = NOW - 15 * SEC;)
CHANGE(act_later, world->host.last_act_ns = NOW + SEC;)
CHANGE(act_unknown, world->host.last_act_ns = EBB_UNKNOWN;)
CHANGE(critical_act_2_s_ago, world->host.level = EBB_PRESSURE_CRITICAL; world->host.last_act_ns = NOW - 2 * SEC;)
CHANGE(critical_act_1_s_ago, world->host.level = EBB_PRESSURE_CRITICAL; world->host.last_act_ns = NOW - 2 * SEC + 1;)
CHANGE(critical_short_cooldown, world->host.level = EBB_PRESSURE_CRITICAL; world->host.last_act_ns = NOW - SEC;
       world->host_rules.cooldown_ns = SEC;)
CHANGE(one_retiring, add(world, 3, 1)->state = EBB_SLOT_RETIRING;)
CHANGE(one_leaving, add(world, 3, 1)->state = EBB_SLOT_LEAVING;)
CHANGE(one_due, add(world, 3, 1)->state = EBB_SLOT_DUE;)
CHANGE(footprint_acts, world->pool_rules[0].footprint_limit_bytes = 200 * MIB;)
CHANGE(footprint_confirms, world->pool_rules[0].footprint_limit_bytes = 200 * MIB; worker[0].private_ns = 0;)
CHANGE(footprint_marks_due, world->pool_rules[0].footprint_limit_bytes = 200 * MIB; worker[0].busy = 1;)
CHANGE(largest_busy, worker[1].busy = 1;)
CHANGE(largest_young, worker[1].born_ns = NOW;)
CHANGE(largest_held, world->pools[1].hold_retire_ns = NOW + SEC;)
CHANGE(largest_kept_by_min_ready, world->pool_rules[1].min_ready = 1;)
CHANGE(largest_unleased, worker[1].state = EBB_SLOT_UNLEASED;)
CHANGE(largest_footprint_unknown, worker[1].footprint_bytes = EBB_UNKNOWN; worker[1].private_bytes = EBB_UNKNOWN;
       worker[1].private_ns = 0;)
CHANGE(strikes_do_not_matter, world->pool_rules[1].strikes = 9;)
CHANGE(most_private_is_not_the_largest, worker[1].private_bytes = 100 * MIB;)
CHANGE(largest_unread, worker[1].private_ns = 0;)
CHANGE(largest_read_long_ago, worker[1].private_ns = NOW - 61 * SEC; worker[1].private_bytes = 10 * MIB;)
CHANGE(largest_read_a_while_ago, worker[1].private_ns = NOW - 30 * SEC; worker[1].private_bytes = 10 * MIB;)
CHANGE(largest_read_a_moment_later, worker[1].private_ns = NOW + 1; worker[1].private_bytes = 10 * MIB;)
CHANGE(largest_unreadable, worker[1].private_bytes = EBB_UNKNOWN;)
CHANGE(small_one_unread, worker[2].private_ns = 0;)
CHANGE(unread_one_could_only_equal, worker[0].footprint_bytes = 400 * MIB; worker[0].private_ns = 0;)
CHANGE(all_unread, for (int i = 0; i < 3; i++) worker[i].private_ns = 0;)
CHANGE(nobody_worth_it, for (int i = 0; i < 3; i++) worker[i].private_bytes = MIB - 1;)
CHANGE(one_just_worth_it, for (int i = 0; i < 3; i++) worker[i].private_bytes = MIB - (i != 2);)
CHANGE(all_tiny_and_unread, for (int i = 0; i < 3; i++) worker[i].footprint_bytes = MIB - 1, worker[i].private_ns = 0;)
CHANGE(private_over_footprint, worker[2].private_bytes = 9999 * MIB;)

static struct world pressed_world(void) {
  struct world world = calm_world();
  world.host.level = EBB_PRESSURE_ELEVATED;
  world.host.reclaim_moved = 1;
  (void)add(&world, 0, 300);
  (void)add(&world, 1, 400);
  (void)add(&world, 2, 200);
  return world;
}

static void pressure(void **state) {
  (void)state;
  struct world world = pressed_world();
  static const struct case_ cases[] = {
      {"the one that frees most", nothing, "pressure/1"},
      {"calm", calm, ""},
      {"level unknown", level_unknown, ""},
      {"level nonsense", level_nonsense, ""},
      {"critical: still one", critical, "pressure/1"},
      {"stall without reclaim", no_reclaim, ""},
      {"under reserve", no_reclaim_but_short, "pressure/1"},
      {"at reserve", no_reclaim_just_not_short, ""},
      {"MemAvailable unknown", no_reclaim_available_unknown, ""},
      {"the stall has stopped", stall_has_stopped, ""},
      {"cooling down", act_just_now, ""},
      {"cooling down, nearly over", act_14_s_ago, ""},
      {"cooled down", act_15_s_ago, "pressure/1"},
      {"acted a moment later than now", act_later, ""},
      {"acted nobody knows when", act_unknown, "pressure/1"},
      {"critical, 2 s", critical_act_2_s_ago, "pressure/1"},
      {"critical, not quite 2 s", critical_act_1_s_ago, ""},
      {"critical, the cooldown is shorter than 2 s", critical_short_cooldown, "pressure/1"},
      {"one at a time: retiring", one_retiring, ""},
      {"one at a time: leaving", one_leaving, ""},
      {"a due one may take hours", one_due, "pressure/1"},
      {"the footprint rule acts: see first", footprint_acts, "footprint/0"},
      {"the footprint rule is about to act", footprint_confirms, "?0"},
      {"the footprint rule only marks due", footprint_marks_due, "footprint/0 pressure/1"},
      {"busy: the next", largest_busy, "pressure/0"},
      {"too young: the next", largest_young, "pressure/0"},
      {"held: the next", largest_held, "pressure/0"},
      {"min_ready: the next", largest_kept_by_min_ready, "pressure/0"},
      {"unleased: the next", largest_unleased, "pressure/0"},
      {"nothing known: the next", largest_footprint_unknown, "pressure/0"},
      {"strikes are not asked", strikes_do_not_matter, "pressure/1"},
      {"private decides, not the footprint", most_private_is_not_the_largest, "pressure/0"},
      {"the largest is read first", largest_unread, "?1"},
      {"what was read long ago says nothing", largest_read_long_ago, "?1"},
      {"what was read a while ago ranks", largest_read_a_while_ago, "pressure/0"},
      {"what was read a moment later decides", largest_read_a_moment_later, "pressure/0"},
      {"unreadable: the next", largest_unreadable, "pressure/0"},
      {"the small one need not be read", small_one_unread, "pressure/1"},
      {"one that can only be equal need not be read", unread_one_could_only_equal, "pressure/1"},
      {"one is read at a time", all_unread, "?1"},
      {"not for less than a MiB", nobody_worth_it, ""},
      {"for a MiB", one_just_worth_it, "pressure/2"},
      {"who has less need not be read", all_tiny_and_unread, ""},
      {"private is never more than the footprint", private_over_footprint, "pressure/1"},
  };
  RUN(&world, cases);
  assert_true(expect("no limit", &world, "pressure/1").acts[0].limit_bytes == EBB_UNKNOWN);
}

/* The caller's side of it: read whom the plan names, ask again. */
static uint32_t settle(struct world *world, const uint64_t *private_mib, struct plan *ret_plan) {
  for (uint32_t round = 0; round < 100; round++) {
    struct plan plan = decide("settling", world);
    if (plan.n_acts > 0 || plan.n_confirm == 0) {
      *ret_plan = plan;
      return round;
    }
    for (uint32_t i = 0; i < plan.n_confirm; i++) {
      world->workers[plan.confirm[i]].private_bytes = private_mib[plan.confirm[i]] * MIB;
      world->workers[plan.confirm[i]].private_ns = NOW;
    }
  }
  fail_msg("does not settle");
  return 0;
}

static void pressure_reads_no_more_than_it_must(void **state) {
  (void)state;
  struct world world = pressed_world();
  struct plan plan;
  for (int i = 0; i < 3; i++)
    world.workers[i].private_ns = 0, world.workers[i].private_bytes = EBB_UNKNOWN;
  struct world fresh = world;
  static const uint64_t lean[] = {250, 390, 200};
  assert_int_equal(settle(&world, lean, &plan), 1); /* 390 is more than the others can have */
  assert_int_equal(plan.acts[0].worker, 1);
  world = fresh;
  static const uint64_t shared[] = {250, 100, 150};
  assert_int_equal(settle(&world, shared, &plan), 2); /* 250 is more than 200 */
  assert_int_equal(plan.acts[0].worker, 0);
  world = fresh;
  static const uint64_t all_shared[] = {5, 4, 6};
  assert_int_equal(settle(&world, all_shared, &plan), 3);
  assert_int_equal(plan.acts[0].worker, 2);
  world = fresh;
  static const uint64_t nothing_own[] = {0, 0, 0};
  assert_int_equal(settle(&world, nothing_own, &plan), 3);
  assert_int_equal(plan.n_acts, 0);
}

/* explain */

static void explain_shows_the_numbers(void **state) {
  (void)state;
  struct world world = pressed_world();
  world.host_rules.memory_budget_bytes = 850 * MIB;
  world.pool_rules[1].footprint_limit_bytes = 350 * MIB;
  world.pools[1].baseline_bytes = 100 * MIB;
  world.pools[1].hold_retire_ns = NOW + 3 * SEC;
  world.pools[1].requests = 0;
  world.host.last_act_ns = NOW - 4 * SEC;
  struct policy_verdict verdict = explain(&world, 1);
  assert_int_equal(verdict.outcome, REASON_NONE);
  static const struct {
    enum reason code;
    bool on, fires;
    uint64_t value, limit;
  } lines[] = {
      {REASON_REQUEST, true, false, 0, 0},
      {REASON_FOOTPRINT, true, true, 400 * MIB, 350 * MIB},
      {REASON_BUDGET, true, true, 900 * MIB, 850 * MIB},
      {REASON_PRESSURE, true, true, 400 * MIB, 400 * MIB},
      {REASON_UNLEASED, true, false, EBB_UNKNOWN, EBB_UNKNOWN},
      {REASON_LEAVING, true, false, EBB_UNKNOWN, EBB_UNKNOWN},
      {REASON_BUSY, true, false, EBB_UNKNOWN, EBB_UNKNOWN},
      {REASON_TOO_YOUNG, true, false, 500 * SEC, 10 * SEC},
      {REASON_BELOW_BASELINE, true, false, 350 * MIB, 120 * MIB},
      {REASON_PRIVATE, true, false, 400 * MIB, 350 * MIB},
      {REASON_STRIKES, true, false, 0, 1},
      {REASON_COOLDOWN, true, false, 4 * SEC, 15 * SEC}, /* the footprint rule does not ask it */
      {REASON_MIN_READY, true, false, 0, 0},
      {REASON_HOLD, true, true, 3 * SEC, 0},
  };
  for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
    const struct policy_line *line = line_of(&verdict, lines[i].code);
    if (line->on != lines[i].on || line->fires != lines[i].fires || line->value != lines[i].value ||
        line->limit != lines[i].limit)
      fail_msg("%s: on %d, fires %d, %llu, %llu", reason__name(lines[i].code), line->on, line->fires,
               (unsigned long long)line->value, (unsigned long long)line->limit);
  }
}

static void explain_names_the_guard(void **state) {
  (void)state;
  static const struct {
    enum reason guard;
    void (*change)(struct world *world, struct ebb_worker_facts *worker);
  } rows[] = {
      {REASON_UNLEASED, unleased},
      {REASON_LEAVING, starting},
      {REASON_TOO_YOUNG, born_later},
      {REASON_BELOW_BASELINE, baseline_too_high},
      {REASON_PRIVATE, private_under},
      {REASON_PRIVATE, private_could_not_be_read},
      {REASON_STRIKES, strikes_short},
      {REASON_MIN_READY, min_ready_one},
      {REASON_HOLD, held},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    struct world world = calm_world();
    world.pool_rules[0].footprint_limit_bytes = 1000 * MIB;
    (void)add(&world, 0, 1200);
    rows[i].change(&world, &world.workers[0]);
    struct policy_verdict verdict = explain(&world, 0);
    assert_int_equal(verdict.outcome, REASON_NONE);
    assert_true(line_of(&verdict, REASON_FOOTPRINT)->fires);
    for (int guard = REASON_UNLEASED; guard <= REASON_HOLD; guard++)
      if (line_of(&verdict, (enum reason)guard)->fires != (guard == (int)rows[i].guard))
        fail_msg("%s: %s fires %d", reason__name(rows[i].guard), reason__name((enum reason)guard),
                 line_of(&verdict, (enum reason)guard)->fires);
  }
}

static void explain_of_a_busy_one(void **state) {
  (void)state;
  struct world world = pressed_world();
  world.workers[1].busy = 1;
  struct policy_verdict verdict = explain(&world, 1);
  assert_int_equal(verdict.outcome, REASON_NONE);
  assert_true(line_of(&verdict, REASON_PRESSURE)->fires);
  assert_true(line_of(&verdict, REASON_BUSY)->fires);
  assert_true(line_of(&verdict, REASON_BUSY)->value == 5 * SEC);
  world.pool_rules[1].footprint_limit_bytes = 100 * MIB;
  verdict = explain(&world, 1);
  assert_int_equal(verdict.outcome, REASON_FOOTPRINT); /* becomes due */
  assert_true(line_of(&verdict, REASON_BUSY)->fires);
}

static void explain_names_who_frees_more(void **state) {
  (void)state;
  struct world world = pressed_world();
  struct policy_verdict verdict = explain(&world, 2);
  assert_int_equal(verdict.outcome, REASON_NONE);
  assert_true(line_of(&verdict, REASON_PRESSURE)->on);
  assert_false(line_of(&verdict, REASON_PRESSURE)->fires);
  assert_true(line_of(&verdict, REASON_PRESSURE)->value == 200 * MIB);
  assert_true(line_of(&verdict, REASON_PRESSURE)->limit == 400 * MIB);
  assert_false(line_of(&verdict, REASON_BUDGET)->on);
  assert_false(line_of(&verdict, REASON_FOOTPRINT)->on);
}

static void explain_of_a_content_world(void **state) {
  (void)state;
  struct world world = calm_world();
  (void)add(&world, 0, 100);
  struct policy_verdict verdict = explain(&world, 0);
  for (int code = REASON_REQUEST; code <= REASON_AGE; code++)
    assert_false(line_of(&verdict, (enum reason)code)->fires);
  for (int code = REASON_UNLEASED; code <= REASON_HOLD; code++)
    assert_false(line_of(&verdict, (enum reason)code)->fires);
}

/* Each rule speaks for itself, as if the one before it had not spoken. */
static void explain_keeps_the_rules_apart(void **state) {
  (void)state;
  struct world world = pressed_world();
  world.pool_rules[2].footprint_limit_bytes = 100 * MIB;
  world.host_rules.memory_budget_bytes = 899 * MIB;
  struct policy_verdict verdict = explain(&world, 2);
  assert_int_equal(verdict.outcome, REASON_FOOTPRINT);
  assert_true(line_of(&verdict, REASON_FOOTPRINT)->fires);
  assert_false(line_of(&verdict, REASON_BUDGET)->fires);
  assert_false(line_of(&verdict, REASON_PRESSURE)->fires);

  struct world pair = pressed_world();
  pair.n_workers = 0;
  add(&pair, 0, 300)->private_bytes = 10 * MIB;
  (void)add(&pair, 0, 200);
  pair.pool_rules[0].min_ready = 1; /* leaves one of them to go, for each rule */
  pair.pools[0].requests = 1;
  verdict = explain(&pair, 0);
  assert_int_equal(verdict.outcome, REASON_REQUEST);
  assert_false(line_of(&verdict, REASON_PRESSURE)->fires);
}

/* What is known of private bytes, however old, is told; it is not what decides. */
static void explain_of_one_that_must_be_read(void **state) {
  (void)state;
  struct world world = calm_world();
  world.pool_rules[0].footprint_limit_bytes = 100 * MIB;
  (void)add(&world, 0, 200);
  world.workers[0].private_ns = NOW - 9 * SEC;
  assert_int_equal(explain(&world, 0).outcome, REASON_FOOTPRINT);
  world.workers[0].private_bytes = EBB_UNKNOWN;
  assert_int_equal(explain(&world, 0).outcome, REASON_FOOTPRINT);
  world.workers[0].private_bytes = 50 * MIB;
  struct policy_verdict verdict = explain(&world, 0);
  assert_int_equal(verdict.outcome, REASON_NONE);
  assert_true(line_of(&verdict, REASON_PRIVATE)->fires);
  assert_true(line_of(&verdict, REASON_PRIVATE)->value == 50 * MIB);
}

/* A second after boot, 0 is not long ago; it still means never. */
static void just_after_boot(void **state) {
  (void)state;
  struct world world = pressed_world();
  for (uint32_t i = 0; i < world.n_workers; i++)
    world.workers[i].born_ns = world.workers[i].private_ns = world.workers[i].private_bytes = 0;
  for (uint32_t i = 0; i < POOLS_MAX; i++)
    world.pool_rules[i].min_lifetime_ns = 0;
  struct policy_input in = input_of(&world);
  struct plan plan;
  in.now_ns = SEC;
  policy__decide(&in, &plan);
  assert_int_equal(plan.n_acts, 0);
  assert_int_equal(plan.n_confirm, 1);
  assert_int_equal(plan.confirm[0], 1); /* the largest, not the first of equals */
  world.workers[1].private_ns = SEC;
  world.workers[1].private_bytes = 400 * MIB;
  policy__decide(&in, &plan);
  assert_int_equal(plan.n_acts, 1); /* and nothing is cooling down */
}

/* Nobody may go yet; but when somebody may, it will be worker 1. */
static void explain_while_cooling_down(void **state) {
  (void)state;
  struct world world = pressed_world();
  world.host.last_act_ns = NOW - SEC;
  for (uint32_t i = 0; i < 3; i++) {
    struct policy_verdict verdict = explain(&world, i);
    assert_int_equal(verdict.outcome, REASON_NONE);
    assert_int_equal(line_of(&verdict, REASON_PRESSURE)->fires, i == 1);
    assert_int_equal(line_of(&verdict, REASON_COOLDOWN)->fires, i == 1);
  }
}

static void explain_of_nobody(void **state) {
  (void)state;
  struct world world = pressed_world();
  world.workers[0].pid = 0;
  static const uint32_t workers[] = {0, 3, WORKERS_MAX, UINT32_MAX};
  for (size_t i = 0; i < sizeof(workers) / sizeof(*workers); i++) {
    struct policy_verdict verdict = explain(&world, workers[i]);
    assert_int_equal(verdict.outcome, REASON_NONE);
    for (int code = REASON_REQUEST; code <= REASON_AGE; code++)
      assert_false(line_of(&verdict, (enum reason)code)->fires);
    for (int code = REASON_UNLEASED; code <= REASON_HOLD; code++)
      assert_false(line_of(&verdict, (enum reason)code)->fires);
  }
}

/* Of more than fit into one plan, the others are told the truth as well: they go, at the next judgement. */
static void explain_of_those_that_come_later(void **state) {
  (void)state;
  struct world world = calm_world();
  world.pool_rules[0].footprint_limit_bytes = 100 * MIB;
  for (int i = 0; i < 2 * PLAN_ACTS_MAX; i++)
    (void)add(&world, 0, 200);
  for (uint32_t i = 0; i < 2 * PLAN_ACTS_MAX; i++)
    assert_int_equal(explain(&world, i).outcome, REASON_FOOTPRINT);
  world.pool_rules[0].footprint_limit_bytes = EBB_UNKNOWN;
  world.host_rules.memory_budget_bytes = 0;
  for (uint32_t i = 0; i < 2 * PLAN_ACTS_MAX; i++)
    assert_int_equal(explain(&world, i).outcome, REASON_BUDGET);
}

/* Random worlds. */

static uint64_t random_state = 88172645463325252ULL;

static uint64_t random_number(uint64_t below) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state % below;
}

static bool one_in(uint64_t n) {
  return random_number(n) == 0;
}

static uint64_t random_bytes(void) {
  return one_in(12) ? EBB_UNKNOWN : one_in(30) ? random_number(UINT64_MAX) : random_number(1000) * MIB;
}

static uint64_t random_time(void) {
  return one_in(12) ? 0 : one_in(20) ? EBB_UNKNOWN : NOW + SEC - random_number(30 * SEC);
}

static void randomize_pool(struct world *world, uint32_t pool) {
  world->pool_rules[pool] = (struct ebb_pool_rules){
      .retained_limit_bytes = one_in(2) ? EBB_UNKNOWN : random_number(600) * MIB,
      .max_jobs = one_in(3) ? 1 + random_number(30) : EBB_UNKNOWN,
      .max_lifetime_ns = one_in(3) ? 1 + random_number(60 * SEC) : EBB_UNKNOWN,
      .trim = one_in(3),
      .trim_wait_ns = one_in(20) ? 0 : random_number(10 * SEC),
      .mode = one_in(8) ? EBB_MODE_ONESHOT : EBB_MODE_SERVICE,
      .idle = one_in(10) ? EBB_IDLE_SIGNAL : EBB_IDLE_LEASE,
      .priority = (uint32_t)random_number(3),
      .footprint_limit_bytes = one_in(3) ? EBB_UNKNOWN : random_number(1500) * MIB,
      .min_lifetime_ns = one_in(20) ? EBB_UNKNOWN : random_number(20 * SEC),
      .min_ready = (uint32_t)random_number(4),
      .strikes = (uint32_t)random_number(4),
      .min_gain_bytes = random_number(300) * MIB,
      .contribution_limit_permille = one_in(3) ? EBB_SHARE_OFF : (uint32_t)random_number(1001),
  };
  world->pools[pool] = (struct ebb_pool_facts){
      .baseline_bytes = one_in(2) ? EBB_UNKNOWN : random_bytes() / 4,
      .hold_retire_ns = one_in(4) ? random_time() : 0,
      .hold_refill_ns = one_in(4) ? random_time() : 0,
      .piece_bytes = one_in(2) ? EBB_UNKNOWN : random_bytes() / 4,
      .requests = one_in(4) ? (uint32_t)random_number(4) : 0,
  };
}

static void add_random_worker(struct world *world) {
  struct ebb_worker_facts *worker = add(world, (uint32_t)random_number(one_in(20) ? 9 : POOLS_MAX), 0);
  worker->generation = !one_in(20);
  worker->pid = one_in(20) ? 0 : worker->pid;
  worker->state = one_in(3) ? (uint32_t)random_number(EBB_SLOT_N + 1) : EBB_SLOT_SERVING;
  worker->busy = one_in(3);
  worker->strikes = (uint32_t)random_number(4);
  worker->born_ns = random_time();
  worker->since_ns = random_time();
  worker->footprint_bytes = random_bytes();
  worker->rest_bytes = random_bytes();
  worker->fresh_bytes = one_in(4) ? EBB_UNKNOWN : random_bytes() / 4;
  worker->jobs = one_in(20) ? EBB_UNKNOWN : random_number(20);
  worker->turn_ns = one_in(2) ? random_time() : 0;
  worker->trimmed_ns = one_in(2) ? random_time() : 0;
  worker->waits = worker->pid == 0 && one_in(2);
  worker->private_bytes = random_bytes();
  worker->private_ns = one_in(2) ? NOW : random_time();
  worker->contribution_permille = one_in(4) ? EBB_UNKNOWN : random_number(1001);
  if (worker->footprint_bytes != EBB_UNKNOWN && worker->private_bytes != EBB_UNKNOWN &&
      worker->private_bytes > worker->footprint_bytes)
    worker->private_bytes = worker->footprint_bytes;
  if (worker->footprint_bytes != EBB_UNKNOWN)
    world->host.pools_footprint_bytes += worker->footprint_bytes;
}

/* Most random worlds have something that goes before pressure. */
static void press(struct world *world) {
  world->host.level = EBB_PRESSURE_ELEVATED + (uint32_t)random_number(2);
  world->host.reclaim_moved = world->host.stall_growing = 1;
  world->host.last_act_ns = 0;
  world->host_rules.memory_budget_bytes = EBB_UNKNOWN;
  for (uint32_t i = 0; i < POOLS_MAX; i++) {
    world->pools[i].requests = 0;
    world->pool_rules[i].footprint_limit_bytes = world->pool_rules[i].retained_limit_bytes = EBB_UNKNOWN;
    world->pool_rules[i].trim = one_in(3);
  }
  for (uint32_t i = 0; i < world->n_workers; i++)
    if (world->workers[i].state > EBB_SLOT_DUE)
      world->workers[i].state = EBB_SLOT_SERVING;
}

static struct world random_world(void) {
  struct world world = calm_world();
  for (uint32_t i = 0; i < POOLS_MAX; i++)
    randomize_pool(&world, i);
  for (uint64_t n = random_number(one_in(10) ? WORKERS_MAX + 1 : 12); n > 0; n--)
    add_random_worker(&world);
  world.host.level = (uint32_t)random_number(EBB_PRESSURE_N + 1);
  world.host.reclaim_moved = one_in(2);
  world.host.stall_growing = !one_in(4);
  world.host.last_act_ns = one_in(2) ? 0 : random_time();
  world.host.mem_available_bytes = random_bytes();
  world.host_rules.memory_budget_bytes = one_in(2) ? EBB_UNKNOWN : random_number(6000) * MIB;
  if (one_in(20))
    world.host.pools_footprint_bytes = EBB_UNKNOWN;
  if (one_in(4))
    press(&world);
  return world;
}

static uint32_t serving_of(const struct world *world, uint32_t pool) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < world->n_workers; i++) {
    const struct ebb_worker_facts *worker = &world->workers[i];
    n += worker->pool == pool && worker->pid > 0 && worker->generation > 0 && worker->state == EBB_SLOT_SERVING;
  }
  return n;
}

/* What is left when the first n acts have been carried out. */
static uint64_t left_after(const struct world *world, const struct plan *plan, uint32_t n) {
  uint64_t left = world->host.pools_footprint_bytes;
  for (uint32_t i = 0; i < world->n_workers; i++) {
    const struct ebb_worker_facts *worker = &world->workers[i];
    bool gone =
        worker->state == EBB_SLOT_DUE || worker->state == EBB_SLOT_RETIRING || worker->state == EBB_SLOT_LEAVING;
    for (uint32_t j = 0; j < n; j++)
      gone |= plan->acts[j].worker == i;
    if (gone && worker->footprint_bytes != EBB_UNKNOWN)
      left -= worker->footprint_bytes < left ? worker->footprint_bytes : left;
  }
  return left;
}

/* It was asked to give memory back, not too long ago, and was given the time for it. */
static bool has_been_trimmed(const struct ebb_worker_facts *worker, const struct ebb_pool_rules *rules) {
  uint64_t since_ns = worker->trimmed_ns < NOW ? NOW - worker->trimmed_ns : 0;
  return worker->trimmed_ns != 0 && since_ns < 10 * rules->trim_wait_ns &&
         (since_ns >= rules->trim_wait_ns || worker->turn_ns > worker->trimmed_ns);
}

static const char *broken_by_trim(const struct world *world, const struct plan *plan, uint32_t i) {
  const struct ebb_worker_facts *worker = &world->workers[plan->trims[i].worker];
  const struct ebb_pool_rules *rules = &world->pool_rules[worker->pool];
  for (uint32_t j = 0; j < i; j++)
    if (plan->trims[j].worker == plan->trims[i].worker)
      return "one is trimmed twice";
  if (worker->pid <= 0 || worker->generation == 0 || worker->pool >= POOLS_MAX || worker->state != EBB_SLOT_SERVING)
    return "one that does not serve is trimmed";
  if (!rules->trim || rules->idle != EBB_IDLE_LEASE || rules->mode == EBB_MODE_ONESHOT)
    return "one is trimmed that cannot be";
  if (worker->trimmed_ns != 0 && (worker->trimmed_ns >= NOW || NOW - worker->trimmed_ns < 10 * rules->trim_wait_ns))
    return "one is trimmed again and again";
  if (plan->trims[i].reason == REASON_REQUEST || plan->trims[i].reason >= REASON_JOBS)
    return "one is trimmed for what is no matter of memory";
  return world->pools[worker->pool].hold_retire_ns > NOW ? "one is trimmed in spite of a hold" : NULL;
}

static const char *broken_by_start(const struct world *world, const struct plan *plan, uint32_t i) {
  const struct ebb_worker_facts *worker = &world->workers[plan->starts[i]];
  if (worker->pid > 0 || !worker->waits || worker->pool >= POOLS_MAX || worker->state == EBB_SLOT_STARTING ||
      world->pool_rules[worker->pool].mode != EBB_MODE_ONESHOT)
    return "a piece is started where none waits";
  if (world->pools[worker->pool].hold_refill_ns > NOW)
    return "a piece is started in spite of a hold";
  for (uint32_t j = 0; j < i; j++)
    if (plan->starts[j] == plan->starts[i])
      return "a piece is started twice";
  return NULL;
}

static const char *broken_by_extras(const struct world *world, const struct plan *plan) {
  const char *broken = NULL;
  for (uint32_t i = 0; i < plan->n_trims && !broken; i++)
    broken = broken_by_trim(world, plan, i);
  for (uint32_t i = 0; i < plan->n_starts && !broken; i++)
    broken = broken_by_start(world, plan, i);
  for (uint32_t pool = 0; pool < POOLS_MAX && !broken; pool++)
    if (plan->hold_refill[pool] && world->pool_rules[pool].mode != EBB_MODE_ONESHOT &&
        (world->host.level != EBB_PRESSURE_CRITICAL || !world->pool_rules[pool].min_ready))
      broken = "refills are held though nothing is critical";
  return broken;
}

/* What must hold of the i-th act; returns what does not. */
static const char *broken_by_act(const struct world *world, const struct plan *plan, uint32_t i) {
  const struct plan_act *act = &plan->acts[i];
  const struct ebb_worker_facts *worker = &world->workers[act->worker];
  if (act->worker >= world->n_workers)
    return "nobody is retired";
  if (worker->pid <= 0 || worker->generation == 0 || worker->pool >= POOLS_MAX || worker->state != EBB_SLOT_SERVING)
    return "one that does not serve is retired";
  for (uint32_t j = 0; j < i; j++)
    if (plan->acts[j].worker == act->worker)
      return "one is retired twice";
  if (act->reason == REASON_REQUEST)
    return world->pools[worker->pool].requests == 0 ? "nobody has asked" : NULL;
  uint64_t hold_ns = world->pools[worker->pool].hold_retire_ns;
  if (hold_ns > NOW)
    return "one is retired in spite of a hold";
  const struct ebb_pool_rules *rules = &world->pool_rules[worker->pool];
  if (rules->mode == EBB_MODE_ONESHOT)
    return "a piece of work is retired";
  if (act->reason == REASON_JOBS)
    return worker->jobs < rules->max_jobs - rules->max_jobs / 8 ? "one is retired that has done few jobs" : NULL;
  if (act->reason == REASON_AGE)
    return NOW - worker->born_ns < rules->max_lifetime_ns - rules->max_lifetime_ns / 8 ? "a young one is retired"
                                                                                       : NULL;
  if (rules->trim && rules->trim_wait_ns > 0 && rules->idle == EBB_IDLE_LEASE && !has_been_trimmed(worker, rules))
    return "one is retired that was not asked to give memory back";
  bool fresh = worker->private_ns > 0 && worker->private_ns != EBB_UNKNOWN && worker->private_ns + 2 * SEC >= NOW;
  if (!worker->busy && (!fresh || worker->private_bytes == EBB_UNKNOWN))
    return "one is retired unconfirmed";
  if (worker->busy && act->reason != REASON_FOOTPRINT && act->reason != REASON_RETAINED &&
      act->reason != REASON_CONTRIBUTION)
    return "a busy one is retired";
  if (act->reason == REASON_CONTRIBUTION && worker->contribution_permille <= rules->contribution_limit_permille)
    return "one is retired that does not contribute that much";
  if (act->reason == REASON_CONTRIBUTION &&
      (worker->private_bytes < rules->min_gain_bytes || (worker->busy && worker->rest_bytes < rules->min_gain_bytes)))
    return "one is retired that frees too little";
  if (act->reason == REASON_FOOTPRINT &&
      (worker->busy ? worker->rest_bytes : worker->private_bytes) <= act->limit_bytes)
    return "one is retired that is not over its limit";
  if (act->reason == REASON_RETAINED &&
      (worker->busy ? worker->rest_bytes : worker->footprint_bytes) - worker->fresh_bytes <= act->limit_bytes)
    return "one is retired whose jobs left little behind";
  if (act->reason == REASON_BUDGET && left_after(world, plan, i) <= world->host_rules.memory_budget_bytes)
    return "the budget rule does not stop";
  return NULL;
}

static const char *broken_by_plan(const struct world *world, const struct plan *plan) {
  uint32_t idle_contributors = 0, contributors = 0, pressure = 0, went[POOLS_MAX] = {0}, requested[POOLS_MAX] = {0};
  if (plan->n_acts > PLAN_ACTS_MAX || plan->n_confirm > PLAN_ACTS_MAX || plan->n_struck > PLAN_ACTS_MAX)
    return "a list is too long";
  for (uint32_t i = 0; i < plan->n_acts; i++) {
    const char *broken = broken_by_act(world, plan, i);
    if (broken)
      return broken;
    uint32_t pool = world->workers[plan->acts[i].worker].pool;
    went[pool]++;
    requested[pool] += plan->acts[i].reason == REASON_REQUEST;
    pressure += plan->acts[i].reason == REASON_PRESSURE;
    contributors += plan->acts[i].reason == REASON_CONTRIBUTION;
    idle_contributors += plan->acts[i].reason == REASON_CONTRIBUTION && !world->workers[plan->acts[i].worker].busy;
  }
  for (uint32_t pool = 0; pool < POOLS_MAX; pool++) {
    uint32_t left = serving_of(world, pool) - went[pool];
    if (went[pool] > requested[pool] && left < world->pool_rules[pool].min_ready)
      return "a pool falls under its min_ready";
    if (requested[pool] > world->pools[pool].requests)
      return "more are retired than were asked for";
  }
  for (uint32_t i = 0; i < plan->n_confirm; i++)
    if (act_of(plan, plan->confirm[i]) || trim_of(plan, plan->confirm[i]))
      return "one is retired or trimmed, and to be confirmed";
  if (contributors > 1)
    return "more than one is retired by contribution";
  const char *broken = broken_by_extras(world, plan);
  if (broken)
    return broken;
  return pressure + idle_contributors > 1 ? "more than one is retired for pressure" : NULL;
}

static void random_worlds(void **state) {
  (void)state;
  uint32_t acts[REASON_N] = {0}, confirmed = 0, struck = 0, trims = 0, starts = 0;
  for (int round = 0; round < 20000; round++) {
    char name[32];
    (void)snprintf(name, sizeof(name), "world %d", round);
    struct world world = random_world(), before = world;
    struct plan plan = decide(name, &world);
    const char *broken = broken_by_plan(&world, &plan);
    if (broken)
      fail_msg("%s: %s", name, broken);
    assert_memory_equal(&world, &before, sizeof(world));
    for (uint32_t i = 0; i < plan.n_acts; i++)
      acts[plan.acts[i].reason]++;
    confirmed += plan.n_confirm;
    struck += plan.n_struck;
    trims += plan.n_trims;
    starts += plan.n_starts;
  }
  /* The worlds were worth it. */
  for (int rule = REASON_REQUEST; rule <= REASON_AGE; rule++)
    if (acts[rule] < 300)
      fail_msg("only %u acts by %s", acts[rule], reason__name((enum reason)rule));
  if (confirmed < 500 || struck < 200 || trims < 500 || starts < 100)
    fail_msg("only %u to be confirmed, %u struck, %u trimmed, %u started", confirmed, struck, trims, starts);
}

/* Reading whom the plan names and asking again comes to an end, also when reading fails. */
static void random_worlds_settle(void **state) {
  (void)state;
  for (int round = 0; round < 5000; round++) {
    struct world world = random_world();
    struct plan plan;
    uint32_t rounds = 0;
    for (;; rounds++) {
      struct policy_input in = input_of(&world);
      policy__decide(&in, &plan);
      if (plan.n_confirm == 0)
        break;
      if (rounds > WORKERS_MAX)
        fail_msg("world %d does not settle", round);
      for (uint32_t i = 0; i < plan.n_confirm; i++) {
        struct ebb_worker_facts *worker = &world.workers[plan.confirm[i]];
        worker->private_ns = NOW;
        worker->private_bytes = one_in(4) || worker->footprint_bytes == EBB_UNKNOWN
                                    ? EBB_UNKNOWN
                                    : random_number(worker->footprint_bytes + 1);
      }
    }
  }
}

static void many_workers_are_no_problem(void **state) {
  (void)state;
  static struct ebb_worker_facts workers[EBB_SLOTS_MAX + 1];
  struct world world = pressed_world();
  world.host_rules.memory_budget_bytes = MIB;
  world.pools[0].requests = 3;
  for (uint32_t i = 0; i <= EBB_SLOTS_MAX; i++) {
    workers[i] = world.workers[0];
    workers[i].footprint_bytes = workers[i].private_bytes = (i + 1) * MIB; /* the worst order */
  }
  world.host.pools_footprint_bytes = 8192 * 1024 * MIB;
  struct policy_input in = input_of(&world);
  in.workers = workers;
  in.n_workers = EBB_SLOTS_MAX + 1; /* one more than there can be is not looked at */
  struct plan plan;
  policy__decide(&in, &plan);
  assert_int_equal(plan.n_acts, PLAN_ACTS_MAX);
  assert_int_equal(plan.acts[0].worker, EBB_SLOTS_MAX - 1);
  assert_int_equal(plan.acts[2].reason, REASON_REQUEST);
  assert_int_equal(plan.acts[3].reason, REASON_BUDGET);
  struct policy_verdict verdict;
  policy__explain(&in, EBB_SLOTS_MAX, &verdict);
  assert_int_equal(verdict.outcome, REASON_NONE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nothing_to_do),
      cmocka_unit_test(footprint),
      cmocka_unit_test(a_limit_under_the_baseline_is_told_even_if_nobody_is_over),
      cmocka_unit_test(idle_ones_are_retired_before_busy_ones_are_due),
      cmocka_unit_test(a_plan_has_an_end),
      cmocka_unit_test(requests),
      cmocka_unit_test(budget),
      cmocka_unit_test(pressure),
      cmocka_unit_test(pressure_reads_no_more_than_it_must),
      cmocka_unit_test(explain_shows_the_numbers),
      cmocka_unit_test(explain_names_the_guard),
      cmocka_unit_test(explain_of_a_busy_one),
      cmocka_unit_test(explain_names_who_frees_more),
      cmocka_unit_test(explain_of_a_content_world),
      cmocka_unit_test(explain_keeps_the_rules_apart),
      cmocka_unit_test(explain_of_one_that_must_be_read),
      cmocka_unit_test(just_after_boot),
      cmocka_unit_test(explain_while_cooling_down),
      cmocka_unit_test(explain_of_nobody),
      cmocka_unit_test(explain_of_those_that_come_later),
      cmocka_unit_test(random_worlds),
      cmocka_unit_test(random_worlds_settle),
      cmocka_unit_test(many_workers_are_no_problem),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Do retained, jobs and age take whom they should; are pieces of work, and workers whose framework is trusted, left to
 * themselves as they should; and does a successor come first only where there is room for it?
 */
#include "world.h"

#include "headroom.h"

CHANGE(nothing, )

/* retained */

CHANGE(at_the_limit, worker->footprint_bytes = 400 * MIB;)
CHANGE(no_limit, world->pool_rules[0].retained_limit_bytes = EBB_UNKNOWN;)
CHANGE(fresh_unknown, worker->fresh_bytes = EBB_UNKNOWN;)
CHANGE(footprint_unknown, worker->footprint_bytes = EBB_UNKNOWN;)
CHANGE(shrunk, worker->footprint_bytes = 10 * MIB;)
CHANGE(busy_and_over_at_rest, worker->busy = 1;)
CHANGE(busy_with_a_large_job, worker->busy = 1; worker->rest_bytes = 310 * MIB;)
CHANGE(busy_and_rest_unknown, worker->busy = 1; worker->rest_bytes = EBB_UNKNOWN;)
CHANGE(private_unread, worker->private_ns = 0;)
CHANGE(mostly_shared, worker->private_bytes = 100 * MIB;)
CHANGE(too_young, worker->born_ns = NOW - SEC;)
CHANGE(last_of_its_pool, world->pool_rules[0].min_ready = 1;)
CHANGE(held, world->pools[0].hold_retire_ns = NOW + SEC;)
CHANGE(first_strike, world->pool_rules[0].strikes = 2;)
CHANGE(a_large_baseline, world->pools[0].baseline_bytes = 5000 * MIB;)
CHANGE(over_both, world->pool_rules[0].footprint_limit_bytes = 400 * MIB;)
CHANGE(unleased, worker->state = EBB_SLOT_UNLEASED;)
CHANGE(spare, worker->state = EBB_SLOT_SPARE;)
CHANGE(a_piece_of_work, world->pool_rules[0].mode = EBB_MODE_ONESHOT;)

static void retained(void **state) {
  (void)state;
  struct world world = calm_world();
  world.pool_rules[0].retained_limit_bytes = 100 * MIB;
  add(&world, 0, 450)->fresh_bytes = 300 * MIB;
  static const struct case_ cases[] = {
      {"over the limit", nothing, "retained/0"},
      {"at the limit", at_the_limit, ""},
      {"no limit", no_limit, ""},
      {"nobody knows what it began with", fresh_unknown, ""},
      {"footprint unknown", footprint_unknown, ""},
      {"less than it began with", shrunk, ""},
      {"busy, over when last at rest", busy_and_over_at_rest, "retained/0"},
      {"busy with a large job", busy_with_a_large_job, ""},
      {"busy, never seen at rest", busy_and_rest_unknown, ""},
      {"private bytes are asked for", private_unread, "?0"},
      {"what it shares is not its own", mostly_shared, ""},
      {"too young", too_young, ""},
      {"last of its pool", last_of_its_pool, ""},
      {"held", held, ""},
      {"first strike", first_strike, "!0"},
      {"a baseline says nothing of growth", a_large_baseline, "retained/0"},
      {"over both: the first rule has it", over_both, "footprint/0"},
      {"unleased", unleased, ""},
      {"a spare", spare, ""},
      {"a piece of work", a_piece_of_work, ""},
  };
  RUN(&world, cases);
  assert_true(expect("the limit", &world, "retained/0").acts[0].limit_bytes == 100 * MIB);
  struct policy_verdict verdict = explain(&world, 0);
  assert_true(line_of(&verdict, REASON_RETAINED)->value == 150 * MIB);
  assert_true(line_of(&verdict, REASON_RETAINED)->limit == 100 * MIB);
}

/* jobs, age */

CHANGE(one_job_short, worker->jobs = 4;)
CHANGE(jobs_unknown, worker->jobs = EBB_UNKNOWN;)
CHANGE(jobs_off, world->pool_rules[0].max_jobs = EBB_UNKNOWN;)
CHANGE(busy, worker->busy = 1;)
CHANGE(nothing_known, worker->footprint_bytes = worker->rest_bytes = worker->private_bytes = EBB_UNKNOWN;
       worker->private_ns = 0;)
CHANGE(young_and_through, worker->born_ns = NOW - SEC;)
CHANGE(due_already, worker->state = EBB_SLOT_DUE;)
CHANGE(too_many_strikes_wanted, world->pool_rules[0].strikes = 99;)
CHANGE(with_trim, world->pool_rules[0].trim = 1; world->pool_rules[0].trim_wait_ns = SEC;)
CHANGE(one_of_three, world->pool_rules[0].min_ready = 2; add(world, 0, 10)->jobs = 5; add(world, 0, 10)->jobs = 5;)

static void jobs(void **state) {
  (void)state;
  struct world world = calm_world();
  world.pool_rules[0].max_jobs = 5;
  add(&world, 0, 100)->jobs = 5;
  static const struct case_ cases[] = {
      {"reached", nothing, "jobs/0"},
      {"one short", one_job_short, ""},
      {"not known", jobs_unknown, ""},
      {"off", jobs_off, ""},
      {"busy: due", busy, "jobs/0"},
      {"nothing is asked of its memory", nothing_known, "jobs/0"},
      {"nor of its age", young_and_through, "jobs/0"},
      {"unleased", unleased, ""},
      {"due already", due_already, ""},
      {"last of its pool", last_of_its_pool, ""},
      {"as many as min_ready lets", one_of_three, "jobs/0"},
      {"held", held, ""},
      {"strikes are not asked", too_many_strikes_wanted, "jobs/0"},
      {"it need not give memory back", with_trim, "jobs/0"},
      {"a piece of work", a_piece_of_work, ""},
  };
  RUN(&world, cases);
  assert_true(expect("no bytes", &world, "jobs/0").acts[0].limit_bytes == EBB_UNKNOWN);
}

CHANGE(a_moment_short, worker->born_ns = NOW - 400 * SEC;)
CHANGE(age_off, world->pool_rules[0].max_lifetime_ns = EBB_UNKNOWN;)
CHANGE(born_later, worker->born_ns = NOW + SEC;)
CHANGE(birth_unknown, worker->born_ns = EBB_UNKNOWN;)
CHANGE(jobs_too, world->pool_rules[0].max_jobs = 1; worker->jobs = 1;)

static void age(void **state) {
  (void)state;
  struct world world = calm_world();
  world.pool_rules[0].max_lifetime_ns = 500 * SEC; /* 437.5 s at the least */
  (void)add(&world, 0, 100);
  static const struct case_ cases[] = {
      {"reached", nothing, "age/0"},
      {"younger", a_moment_short, ""},
      {"off", age_off, ""},
      {"born later than now", born_later, ""},
      {"birth unknown", birth_unknown, ""},
      {"busy: due", busy, "age/0"},
      {"nothing is asked of its memory", nothing_known, "age/0"},
      {"last of its pool", last_of_its_pool, ""},
      {"held", held, ""},
      {"jobs come first", jobs_too, "jobs/0"},
      {"a piece of work", a_piece_of_work, ""},
  };
  RUN(&world, cases);
  struct policy_verdict verdict = explain(&world, 0);
  assert_true(line_of(&verdict, REASON_AGE)->value == 500 * SEC);
  uint64_t limit_ns = line_of(&verdict, REASON_AGE)->limit;
  assert_true(limit_ns <= 500 * SEC && limit_ns >= 437 * SEC);
}

/* A pool that was started all at once goes one after another, and none later than it should. */
static void a_pool_does_not_turn_over_in_lockstep(void **state) {
  (void)state;
  struct world world = calm_world();
  world.pool_rules[0].max_lifetime_ns = 800 * SEC;
  for (int i = 0; i < 12; i++)
    add(&world, 0, 10)->born_ns = NOW - 800 * SEC;
  struct policy_input in = input_of(&world);
  struct plan plan;
  uint32_t most = 0, before = 0, whole = 0;
  for (in.now_ns = NOW - 110 * SEC; in.now_ns <= NOW; in.now_ns += SEC) {
    policy__decide(&in, &plan);
    most = plan.n_acts - before > most ? plan.n_acts - before : most;
    before = whole = plan.n_acts;
  }
  assert_int_equal(whole, 12);
  assert_true(most <= 3);
  in.now_ns = NOW - 101 * SEC; /* an eighth before */
  policy__decide(&in, &plan);
  assert_int_equal(plan.n_acts, 0);
}

/* Pieces of work, and frameworks that are trusted. */

CHANGE(budget_exceeded, world->host_rules.memory_budget_bytes = 10 * MIB;)
CHANGE(asked_for, world->pools[0].requests = 1;)

static void pieces_of_work_are_not_retired(void **state) {
  (void)state;
  struct world world = calm_world();
  world.pool_rules[0].mode = EBB_MODE_ONESHOT;
  world.pool_rules[0].footprint_limit_bytes = MIB;
  world.pool_rules[0].contribution_limit_permille = 1;
  world.host.level = EBB_PRESSURE_ELEVATED;
  world.host.reclaim_moved = 1;
  add(&world, 0, 500)->contribution_permille = 1000;
  static const struct case_ cases[] = {
      {"by no rule", nothing, ""},
      {"nor for a budget", budget_exceeded, ""},
      {"but on request", asked_for, "request/0"},
  };
  RUN(&world, cases);
  struct policy_verdict verdict = explain(&world, 0);
  for (int rule = REASON_FOOTPRINT; rule <= REASON_AGE; rule++)
    assert_false(line_of(&verdict, (enum reason)rule)->on || line_of(&verdict, (enum reason)rule)->fires);
  assert_true(line_of(&verdict, REASON_REQUEST)->on);
}

static void a_trusted_framework_is_told_at_any_time(void **state) {
  (void)state;
  struct world world = calm_world();
  world.pool_rules[0].idle = EBB_IDLE_SIGNAL;
  world.pool_rules[0].footprint_limit_bytes = 100 * MIB;
  world.pool_rules[0].trim = 1; /* it would read no order */
  world.pool_rules[0].trim_wait_ns = SEC;
  (void)add(&world, 0, 200);
  struct plan plan = expect("it goes", &world, "footprint/0");
  assert_false(plan.acts[0].first);
}

/* Who comes first: the successor, or the end of its predecessor? */

static void headroom(void **state) {
  (void)state;
  assert_true(headroom__has(101, 50, 50));
  assert_false(headroom__has(100, 50, 50));
  assert_false(headroom__has(10, 50, 0));
  assert_false(headroom__has(EBB_UNKNOWN, 50, 0));
  assert_false(headroom__has(100, EBB_UNKNOWN, 0));
  assert_false(headroom__has(100, 50, EBB_UNKNOWN));
}

CHANGE(just_room, world->host.mem_available_bytes = 150 * MIB + 1;)
CHANGE(room_to_the_byte, world->host.mem_available_bytes = 150 * MIB;)
CHANGE(available_unknown, world->host.mem_available_bytes = EBB_UNKNOWN;)
CHANGE(baseline_unknown, world->pools[0].baseline_bytes = EBB_UNKNOWN;)
CHANGE(one_that_starts, world->host.mem_available_bytes = 190 * MIB; struct ebb_worker_facts *other = add(world, 0, 5);
       other->state = EBB_SLOT_STARTING;)
CHANGE(one_that_has_nearly_started, world->host.mem_available_bytes = 190 * MIB;
       struct ebb_worker_facts *other = add(world, 0, 15); other->state = EBB_SLOT_STARTING;)
CHANGE(ready_spare, add(world, 0, 10)->state = EBB_SLOT_SPARE;)
CHANGE(spare_of_another_pool, add(world, 1, 10)->state = EBB_SLOT_SPARE;)
CHANGE(adopted, world->pool_rules[0].mode = EBB_MODE_ADOPT;)
CHANGE(within_the_budget, world->host_rules.memory_budget_bytes = 251 * MIB;)
CHANGE(over_the_budget, world->host_rules.memory_budget_bytes = 250 * MIB;)
CHANGE(elevated, world->host.level = EBB_PRESSURE_ELEVATED;)
CHANGE(critical, world->host.level = EBB_PRESSURE_CRITICAL;)
CHANGE(pressure_unknown, world->host.level = EBB_PRESSURE_UNKNOWN;)

static void successors_come_first_where_there_is_room(void **state) {
  (void)state;
  struct world base = calm_world();
  base.pool_rules[0].footprint_limit_bytes = 100 * MIB;
  base.pools[0].baseline_bytes = 50 * MIB;
  (void)add(&base, 0, 200); /* reserve is 100 MiB */
  static const struct {
    const char *name;
    void (*change)(struct world *world, struct ebb_worker_facts *worker);
    bool first;
  } cases[] = {
      {"plenty", nothing, true},
      {"just enough", just_room, true},
      {"to the byte", room_to_the_byte, false},
      {"available unknown", available_unknown, false},
      {"baseline unknown", baseline_unknown, false},
      {"another one will take it", one_that_starts, false},
      {"another one has it already", one_that_has_nearly_started, true},
      {"a spare is ready", ready_spare, false},
      {"a spare of another pool", spare_of_another_pool, true},
      {"a foreign process", adopted, false},
      {"within the budget", within_the_budget, true},
      {"it would break the budget", over_the_budget, false},
      {"under pressure", elevated, false},
      {"under critical pressure", critical, false},
      {"pressure unknown", pressure_unknown, true},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
    struct world world = base;
    cases[i].change(&world, &world.workers[0]);
    struct plan plan = decide(cases[i].name, &world);
    if (plan.n_acts != 1 || plan.acts[0].first != cases[i].first)
      fail_msg("%s: %u acts, first %d", cases[i].name, plan.n_acts, plan.acts[0].first);
  }
}

/* What is promised to one is not promised to the next. */
static void room_is_given_away_once(void **state) {
  (void)state;
  struct world world = calm_world();
  world.pool_rules[0].footprint_limit_bytes = 100 * MIB;
  world.pools[0].baseline_bytes = 50 * MIB;
  world.host.mem_available_bytes = 210 * MIB;
  for (int i = 0; i < 3; i++)
    (void)add(&world, 0, 200);
  struct plan plan = expect("three", &world, "footprint/0 footprint/1 footprint/2");
  assert_true(plan.acts[0].first && plan.acts[1].first && !plan.acts[2].first);
}

static void the_budget_rule_makes_room_first(void **state) {
  (void)state;
  struct world world = calm_world();
  world.pools[0].baseline_bytes = MIB;
  (void)add(&world, 0, 200);
  world.host.pools_footprint_bytes = 100 * MIB; /* as if the sum lagged behind */
  world.host_rules.memory_budget_bytes = 99 * MIB;
  assert_false(expect("over it", &world, "budget/0").acts[0].first);
}

/* Refills under critical pressure. */

static void refills_are_held_under_critical_pressure(void **state) {
  (void)state;
  struct world world = calm_world();
  for (uint32_t pool = 0; pool < 3; pool++)
    for (int i = 0; i < 2; i++)
      (void)add(&world, pool, 100);
  world.pool_rules[0].min_ready = 2;
  world.pool_rules[1].min_ready = 3; /* it needs another one */
  world.pool_rules[2].min_ready = 0;
  world.host.level = EBB_PRESSURE_ELEVATED;
  expect("elevated", &world, "");
  world.host.level = EBB_PRESSURE_CRITICAL;
  expect("critical", &world, "held:0");
  world.pool_rules[1].min_ready = 1;
  expect("critical", &world, "held:0 held:1");
  world.workers[0].busy = 1;
  expect("busy ones serve", &world, "held:0 held:1");
  world.workers[0].state = EBB_SLOT_DUE;
  expect("due ones do not", &world, "held:1");
  world.pool_rules[1].mode = EBB_MODE_ADOPT;
  expect("nobody is started there", &world, "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(retained),
      cmocka_unit_test(jobs),
      cmocka_unit_test(age),
      cmocka_unit_test(a_pool_does_not_turn_over_in_lockstep),
      cmocka_unit_test(pieces_of_work_are_not_retired),
      cmocka_unit_test(a_trusted_framework_is_told_at_any_time),
      cmocka_unit_test(headroom),
      cmocka_unit_test(successors_come_first_where_there_is_room),
      cmocka_unit_test(room_is_given_away_once),
      cmocka_unit_test(the_budget_rule_makes_room_first),
      cmocka_unit_test(refills_are_held_under_critical_pressure),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

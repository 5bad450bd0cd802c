/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Does a turn read what the policy asks for, and keep strikes, cooldown and rhythm as they are meant? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "turn.h"

#define SEC 1000000000ULL
#define MIB (1024ULL * 1024)
#define NOW (1000 * SEC)
#define WORKERS 3

struct world {
  struct ebb_host_rules host_rules;
  struct ebb_host_facts host;
  struct ebb_pool_rules rules;
  struct ebb_pool_facts pool;
  struct ebb_worker_facts workers[WORKERS];
  uint64_t struck_ns[WORKERS];
  struct policy_input in;
  int reads;
  bool forgetful;
};

/* Each worker is over its limit, and nobody has looked at its private bytes. */
static void build(struct world *world, uint32_t strikes) {
  *world = (struct world){
      .host_rules = {.memory_budget_bytes = EBB_UNKNOWN},
      .rules = {.footprint_limit_bytes = 100 * MIB,
                .strikes = strikes,
                .contribution_limit_permille = EBB_SHARE_OFF,
                .retained_limit_bytes = EBB_UNKNOWN,
                .max_jobs = EBB_UNKNOWN,
                .max_lifetime_ns = EBB_UNKNOWN},
      .pool = {.baseline_bytes = EBB_UNKNOWN},
  };
  for (uint32_t i = 0; i < WORKERS; i++)
    world->workers[i] = (struct ebb_worker_facts){.generation = 1,
                                                  .pid = 1,
                                                  .state = EBB_SLOT_SERVING,
                                                  .footprint_bytes = 200 * MIB,
                                                  .rest_bytes = 200 * MIB,
                                                  .private_bytes = EBB_UNKNOWN};
  world->in = (struct policy_input){.host_rules = &world->host_rules,
                                    .host = &world->host,
                                    .pool_rules = &world->rules,
                                    .pools = &world->pool,
                                    .workers = world->workers,
                                    .n_pools = 1,
                                    .n_workers = WORKERS,
                                    .now_ns = NOW};
}

/* All of it is its own, but of worker 1, whose memory is shared. */
static void read_private(void *arg, uint32_t worker) {
  struct world *world = arg;
  world->reads++;
  if (world->forgetful)
    return;
  world->workers[worker].private_ns = world->in.now_ns;
  world->workers[worker].private_bytes = worker == 1 ? 10 * MIB : 200 * MIB;
}

static void what_is_asked_for_is_read_and_then_decided_by(void **state) {
  (void)state;
  struct world world;
  struct plan plan;
  build(&world, 1);
  turn__decide(&world.in, read_private, &world, &plan);
  assert_int_equal(world.reads, WORKERS);
  assert_int_equal(plan.n_confirm, 0);
  assert_int_equal(plan.n_acts, 2);
  assert_int_equal(plan.acts[0].worker, 0);
  assert_int_equal(plan.acts[1].worker, 2);
}

static void a_reader_that_records_nothing_ends_it_too(void **state) {
  (void)state;
  struct world world;
  struct plan plan;
  build(&world, 1);
  world.forgetful = true;
  turn__decide(&world.in, read_private, &world, &plan);
  assert_int_equal(plan.n_acts, 0);
  assert_int_equal(plan.n_confirm, WORKERS);
}

static uint32_t strikes_after(struct world *world, uint64_t now_ns) {
  struct plan plan;
  world->in.now_ns = now_ns;
  turn__decide(&world->in, read_private, world, &plan);
  turn__strike(&world->in, &plan, world->workers, world->struck_ns);
  return world->workers[0].strikes;
}

static void strikes_count_a_second_apart(void **state) {
  (void)state;
  struct world world;
  build(&world, 3);
  assert_int_equal(strikes_after(&world, NOW), 1);
  assert_int_equal(strikes_after(&world, NOW + TURN_STRIKE_NS - 1), 1);
  assert_int_equal(strikes_after(&world, NOW + TURN_STRIKE_NS), 2);
  assert_int_equal(strikes_after(&world, NOW + TURN_STRIKE_NS * 3), 3);
}

static void strikes_are_taken_back_once_it_is_not_over_its_limit(void **state) {
  (void)state;
  struct world world;
  build(&world, 3);
  assert_int_equal(strikes_after(&world, NOW), 1);
  world.workers[0].footprint_bytes = world.workers[0].rest_bytes = 100 * MIB;
  assert_int_equal(strikes_after(&world, NOW + SEC), 0);
}

static void the_cooldown_counts_from_acts_for_pressure(void **state) {
  (void)state;
  struct ebb_host_facts host = {0};
  turn__acted(&host, REASON_FOOTPRINT, NOW);
  turn__acted(&host, REASON_REQUEST, NOW);
  turn__acted(&host, REASON_BUDGET, NOW);
  assert_int_equal(host.last_act_ns, 0);
  turn__acted(&host, REASON_PRESSURE, NOW);
  assert_int_equal(host.last_act_ns, NOW);
  turn__acted(&host, REASON_CONTRIBUTION, NOW + 1);
  assert_int_equal(host.last_act_ns, NOW + 1);
}

static void turns_come_faster_under_pressure(void **state) {
  (void)state;
  static const uint64_t waits[EBB_PRESSURE_N] = {
      [EBB_PRESSURE_UNKNOWN] = TURN_TICK_NS,
      [EBB_PRESSURE_CALM] = TURN_TICK_NS,
      [EBB_PRESSURE_ELEVATED] = TURN_TICK_PRESSED_NS,
      [EBB_PRESSURE_CRITICAL] = TURN_TICK_PRESSED_NS,
  };
  for (uint32_t level = 0; level < EBB_PRESSURE_N; level++)
    assert_int_equal(turn__wait_ns(&(struct ebb_host_facts){.level = level}), waits[level]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_asked_for_is_read_and_then_decided_by),
      cmocka_unit_test(a_reader_that_records_nothing_ends_it_too),
      cmocka_unit_test(strikes_count_a_second_apart),
      cmocka_unit_test(strikes_are_taken_back_once_it_is_not_over_its_limit),
      cmocka_unit_test(the_cooldown_counts_from_acts_for_pressure),
      cmocka_unit_test(turns_come_faster_under_pressure),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

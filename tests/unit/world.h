/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Small worlds of facts and rules for tests of the policy, what a plan says of them in one line, and the check that `ebb why`
 * says the same.
 */
#ifndef TESTS_UNIT_WORLD_H
#define TESTS_UNIT_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "policy.h"
#include "text.h"

#define NO_OTHER_LIMITS .retained_limit_bytes = EBB_UNKNOWN, .max_jobs = EBB_UNKNOWN, .max_lifetime_ns = EBB_UNKNOWN

#define SEC 1000000000ULL
#define MIB (1024ULL * 1024)
#define NOW (1000 * SEC)
#define WORKERS_MAX 64
#define POOLS_MAX 4

/* A world with nothing wrong in it: no limits, no pressure; each test changes what it is about. */
struct world {
  struct ebb_host_rules host_rules;
  struct ebb_host_facts host;
  struct ebb_pool_rules pool_rules[POOLS_MAX];
  struct ebb_pool_facts pools[POOLS_MAX];
  struct ebb_worker_facts workers[WORKERS_MAX];
  uint32_t n_workers;
};

static struct world calm_world(void) {
  struct world world = {
      .host_rules = {.memory_budget_bytes = EBB_UNKNOWN, .reserve_bytes = 100 * MIB, .cooldown_ns = 15 * SEC},
      .host = {.now_ns = NOW,
               .mem_available_bytes = 5000 * MIB,
               .pools_footprint_bytes = 0,
               .level = EBB_PRESSURE_CALM,
               .stall_growing = 1},
  };
  for (int i = 0; i < POOLS_MAX; i++) {
    world.pool_rules[i] =
        (struct ebb_pool_rules){NO_OTHER_LIMITS, .footprint_limit_bytes = EBB_UNKNOWN, .min_lifetime_ns = 10 * SEC,
                                .strikes = 1, .contribution_limit_permille = EBB_SHARE_OFF};
    world.pools[i] = (struct ebb_pool_facts){.baseline_bytes = EBB_UNKNOWN, .piece_bytes = EBB_UNKNOWN};
  }
  return world;
}

/* An idle worker, old enough, all of its memory its own and just read. */
static struct ebb_worker_facts *add(struct world *world, uint32_t pool, uint64_t mib) {
  struct ebb_worker_facts *worker = &world->workers[world->n_workers];
  *worker = (struct ebb_worker_facts){
      .pool = pool,
      .slot = world->n_workers,
      .generation = 1,
      .pid = 1000 + (int)world->n_workers,
      .state = EBB_SLOT_SERVING,
      .born_ns = NOW - 500 * SEC,
      .since_ns = NOW - 5 * SEC,
      .footprint_bytes = mib * MIB,
      .rest_bytes = mib * MIB,
      .fresh_bytes = EBB_UNKNOWN,
      .private_bytes = mib * MIB,
      .private_ns = NOW - SEC / 10,
  };
  world->n_workers++;
  world->host.pools_footprint_bytes += mib * MIB;
  return worker;
}

static struct policy_input input_of(const struct world *world) {
  return (struct policy_input){
      .host_rules = &world->host_rules,
      .host = &world->host,
      .pool_rules = world->pool_rules,
      .pools = world->pools,
      .workers = world->workers,
      .n_pools = POOLS_MAX,
      .n_workers = world->n_workers,
      .now_ns = NOW,
  };
}

/* "footprint/2 pressure/1 ?4 !5 retained~6 +7 held:1": acts in their order, workers to confirm, workers struck, workers to
 * be trimmed, pieces to be started, pools whose refills are held. */
static void describe(const struct plan *plan, struct text *text) {
  for (uint32_t i = 0; i < plan->n_acts; i++)
    text__addf(text, "%s%s/%u", text->used ? " " : "", reason__name(plan->acts[i].reason), plan->acts[i].worker);
  for (uint32_t i = 0; i < plan->n_confirm; i++)
    text__addf(text, "%s?%u", text->used ? " " : "", plan->confirm[i]);
  for (uint32_t i = 0; i < plan->n_struck; i++)
    text__addf(text, "%s!%u", text->used ? " " : "", plan->struck[i]);
  for (uint32_t i = 0; i < plan->n_trims; i++)
    text__addf(text, "%s%s~%u", text->used ? " " : "", reason__name(plan->trims[i].reason), plan->trims[i].worker);
  for (uint32_t i = 0; i < plan->n_starts; i++)
    text__addf(text, "%s+%u", text->used ? " " : "", plan->starts[i]);
  for (uint32_t i = 0; i < POOLS_MAX; i++)
    if (plan->hold_refill[i])
      text__addf(text, "%sheld:%u", text->used ? " " : "", i);
}

static const struct plan_act *act_of(const struct plan *plan, uint32_t worker) {
  for (uint32_t i = 0; i < plan->n_acts; i++)
    if (plan->acts[i].worker == worker)
      return &plan->acts[i];
  return NULL;
}

static const struct plan_act *trim_of(const struct plan *plan, uint32_t worker) {
  for (uint32_t i = 0; i < plan->n_trims; i++)
    if (plan->trims[i].worker == worker)
      return &plan->trims[i];
  return NULL;
}

static bool is_listed(const uint32_t *list, uint32_t n, uint32_t worker) {
  for (uint32_t i = 0; i < n; i++)
    if (list[i] == worker)
      return true;
  return false;
}

/* What explain says of each worker must be what decide does. Returns what is wrong; NULL: nothing. */
static const char *contradiction(const struct policy_input *in, const struct plan *plan, uint32_t worker) {
  struct policy_verdict verdict;
  policy__explain(in, worker, &verdict);
  bool refused = false, wanted = false;
  for (uint32_t i = 0; i < POLICY_GUARDS_N; i++)
    refused |= verdict.guards[i].fires && verdict.guards[i].code != REASON_BUSY;
  for (uint32_t i = 0; i < POLICY_RULES_N; i++)
    wanted |= verdict.rules[i].fires;
  const struct plan_act *act = act_of(plan, worker);
  if (act && verdict.outcome != act->reason)
    return "it goes, and is told that it stays";
  if (act && !verdict.rules[act->reason - REASON_REQUEST].fires)
    return "it goes by a rule that is said not to want it";
  if (act && verdict.rules[REASON_REQUEST - REASON_REQUEST].fires && act->reason != REASON_REQUEST)
    return "a request is not asked first";
  if (act && refused)
    return "it goes, and a guard is said to refuse";
  const struct plan_act *trim = trim_of(plan, worker);
  if (trim && (act || verdict.outcome != REASON_NONE || !verdict.guards[REASON_TRIM - REASON_UNLEASED].fires))
    return "it is to give memory back first, and is told that it goes";
  if (trim && !verdict.rules[trim->reason - REASON_REQUEST].fires)
    return "it is to give memory back for a rule that is said not to want it";
  bool full = plan->n_acts == PLAN_ACTS_MAX || plan->n_confirm == PLAN_ACTS_MAX || plan->n_trims == PLAN_ACTS_MAX;
  if (!act && !full && verdict.outcome != REASON_NONE && !is_listed(plan->confirm, plan->n_confirm, worker))
    return "it stays, and is told that it goes";
  if (verdict.outcome != REASON_NONE && !wanted)
    return "it goes, and no rule wants it";
  if (is_listed(plan->struck, plan->n_struck, worker) && verdict.outcome == REASON_NONE && !refused)
    return "it was struck, and no guard says so";
  return NULL;
}

static struct plan decide(const char *name, const struct world *world) {
  struct plan plan;
  struct policy_input in = input_of(world);
  memset(&plan, 0xee, sizeof(plan));
  policy__decide(&in, &plan);
  for (uint32_t i = 0; i < world->n_workers; i++) {
    const char *wrong = contradiction(&in, &plan, i);
    if (wrong)
      fail_msg("%s: worker %u: %s", name, i, wrong);
  }
  return plan;
}

static struct plan expect(const char *name, const struct world *world, const char *expected) {
  char said[1024];
  struct text text = TEXT(said);
  said[0] = 0;
  struct plan plan = decide(name, world);
  describe(&plan, &text);
  if (strcmp(said, expected) != 0)
    fail_msg("%s: '%s' instead of '%s'", name, said, expected);
  return plan;
}

__attribute__((unused)) static struct policy_verdict explain(const struct world *world, uint32_t worker) {
  struct policy_verdict verdict;
  struct policy_input in = input_of(world);
  policy__explain(&in, worker, &verdict);
  return verdict;
}

__attribute__((unused)) static const struct policy_line *line_of(const struct policy_verdict *verdict,
                                                                 enum reason code) {
  const struct policy_line *line =
      code >= REASON_UNLEASED ? &verdict->guards[code - REASON_UNLEASED] : &verdict->rules[code - REASON_REQUEST];
  assert_int_equal(line->code, code);
  return line;
}

struct case_ {
  const char *name;
  void (*change)(struct world *world, struct ebb_worker_facts *worker);
  const char *expected;
};

static void run_cases(const struct world *base, const struct case_ *cases, size_t n) {
  for (size_t i = 0; i < n; i++) {
    struct world world = *base;
    cases[i].change(&world, &world.workers[0]);
    expect(cases[i].name, &world, cases[i].expected);
  }
}
#define RUN(base, cases) run_cases(base, cases, sizeof(cases) / sizeof(*(cases)))

#define CHANGE(name, ...)                                                                                              \
  static void name(struct world *world, struct ebb_worker_facts *worker) {                                             \
    (void)world;                                                                                                       \
    (void)worker;                                                                                                      \
    __VA_ARGS__                                                                                                        \
  }

#endif

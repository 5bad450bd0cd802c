/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Any facts and rules: does a plan only name workers that may go, is it always the same, does it settle when private bytes
 * are read, and does `ebb why` tell the same story?
 */
#include "fuzz.h"

#include "policy.h"
#include "units.h"

#define POOLS 4
#define WORKERS 24
#define NOW_NS (1000ULL * 1000000000ULL)
#define MIB (1ULL << 20)

struct world {
  struct ebb_host_rules host_rules;
  struct ebb_host_facts host;
  struct ebb_pool_rules rules[POOLS];
  struct ebb_pool_facts pools[POOLS];
  struct ebb_worker_facts workers[WORKERS];
  uint64_t readable[WORKERS]; /* what reading a worker's private bytes gives */
  struct policy_input in;
};

/* Mostly sizes that are near each other, and all that is special. */
static uint64_t take_number(struct bytes *bytes) {
  static const uint64_t special[] = {0, 1, EBB_UNKNOWN, EBB_UNKNOWN - 1, NOW_NS, NOW_NS - 1, NOW_NS + 1, 1ULL << 63};
  uint8_t byte = take_byte(bytes);
  uint64_t number;
  if (byte < 200)
    return byte * MIB;
  if (byte < 200 + sizeof(special) / sizeof(*special))
    return special[byte - 200];
  take_bytes(bytes, &number, sizeof(number));
  return number;
}

static uint64_t take_time(struct bytes *bytes) {
  uint8_t byte = take_byte(bytes);
  return byte < 128 ? NOW_NS - byte * 250000000ULL : take_number(bytes);
}

static void take_pool(struct bytes *bytes, struct ebb_pool_rules *rules, struct ebb_pool_facts *facts) {
  *rules = (struct ebb_pool_rules){
      .footprint_limit_bytes = take_number(bytes),
      .min_lifetime_ns = take_number(bytes),
      .min_ready = take_byte(bytes) % 8,
      .strikes = take_byte(bytes) % 4,
      .min_gain_bytes = take_number(bytes),
      .contribution_limit_permille = (uint32_t)take_number(bytes),
      .retained_limit_bytes = take_number(bytes),
      .max_jobs = take_number(bytes) / MIB,
      .max_lifetime_ns = take_number(bytes),
      .trim_wait_ns = take_number(bytes) / MIB * NS_PER_SEC,
  };
  uint8_t kind = take_byte(bytes);
  rules->trim = kind & 1;
  rules->idle = kind >> 1 & 1;
  rules->mode = kind >> 2 & 3; /* one of them is none */
  rules->priority = kind >> 4 & 3;
  *facts = (struct ebb_pool_facts){.baseline_bytes = take_number(bytes),
                                   .hold_retire_ns = take_time(bytes),
                                   .hold_refill_ns = take_time(bytes),
                                   .piece_bytes = take_number(bytes),
                                   .requests = take_byte(bytes)};
}

static void take_worker(struct bytes *bytes, struct ebb_worker_facts *facts) {
  uint8_t who = take_byte(bytes), state = take_byte(bytes);
  *facts = (struct ebb_worker_facts){
      .pool = who % (POOLS + 1),
      .generation = who < 250,
      .pid = who < 245 ? 100 : who - 250,
      .state = state % 4 ? EBB_SLOT_SERVING : state / 4 % (EBB_SLOT_N + 1),
      .busy = state >> 7,
      .strikes = take_byte(bytes) % 4,
      .born_ns = take_time(bytes),
      .since_ns = take_time(bytes),
      .footprint_bytes = take_number(bytes),
      .rest_bytes = take_number(bytes),
      .private_bytes = take_number(bytes),
      .private_ns = take_time(bytes),
      .contribution_permille = take_number(bytes) / MIB * 8,
      .fresh_bytes = take_number(bytes),
      .jobs = take_number(bytes) / MIB,
      .turn_ns = take_time(bytes),
      .trimmed_ns = take_time(bytes),
      .waits = who >= 245,
  };
}

static void take_world(struct bytes *bytes, struct world *world) {
  *world = (struct world){0};
  uint8_t host = take_byte(bytes);
  world->host_rules = (struct ebb_host_rules){.memory_budget_bytes = take_number(bytes),
                                              .reserve_bytes = take_number(bytes),
                                              .cooldown_ns = take_number(bytes)};
  world->host = (struct ebb_host_facts){
      .now_ns = NOW_NS,
      .mem_available_bytes = take_number(bytes),
      .pools_footprint_bytes = take_number(bytes),
      .last_act_ns = take_time(bytes),
      .level = host % (EBB_PRESSURE_N + 1),
      .reclaim_moved = host >> 6 & 1,
      .stall_growing = host >> 7,
  };
  for (int i = 0; i < POOLS; i++)
    take_pool(bytes, &world->rules[i], &world->pools[i]);
  uint32_t n = 0;
  for (; n < WORKERS && bytes->left; n++) {
    take_worker(bytes, &world->workers[n]);
    world->readable[n] = take_number(bytes);
  }
  world->in = (struct policy_input){
      .host_rules = &world->host_rules,
      .host = &world->host,
      .pool_rules = world->rules,
      .pools = world->pools,
      .workers = world->workers,
      .n_pools = POOLS,
      .n_workers = n,
      .now_ns = NOW_NS,
  };
}

static uint32_t staying(const struct world *world, const struct plan *plan, uint32_t pool) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < world->in.n_workers; i++) {
    const struct ebb_worker_facts *facts = &world->workers[i];
    n += facts->generation && facts->pid > 0 && facts->pool == pool && facts->state == EBB_SLOT_SERVING;
  }
  for (uint32_t i = 0; i < plan->n_acts; i++)
    n -= world->workers[plan->acts[i].worker].pool == pool;
  return n;
}

static void check_private(const struct world *world, const struct ebb_worker_facts *facts, enum reason reason) {
  uint64_t over = world->rules[facts->pool].footprint_limit_bytes;
  bool fresh = facts->private_ns >= NOW_NS - POLICY_PRIVATE_FRESH_NS;
  if (reason == REASON_FOOTPRINT)
    MUST(fresh && facts->private_bytes != EBB_UNKNOWN && facts->private_bytes > over && over != EBB_UNKNOWN);
  if (reason == REASON_PRESSURE)
    MUST(fresh && facts->private_bytes != EBB_UNKNOWN && facts->private_bytes >= MIB);
  if (reason == REASON_CONTRIBUTION)
    MUST(fresh && facts->private_bytes != EBB_UNKNOWN &&
         facts->private_bytes >= world->rules[facts->pool].min_gain_bytes);
}

static void check_act(const struct world *world, const struct plan_act *act) {
  MUST(act->worker < world->in.n_workers);
  const struct ebb_worker_facts *facts = &world->workers[act->worker];
  struct policy_verdict verdict;
  MUST(facts->generation > 0 && facts->pid > 0 && facts->pool < POOLS && facts->state == EBB_SLOT_SERVING);
  MUST(act->reason >= REASON_REQUEST && act->reason <= REASON_AGE);
  MUST(act->reason == REASON_REQUEST || world->rules[facts->pool].mode != EBB_MODE_ONESHOT);
  MUST(act->reason == REASON_REQUEST || world->pools[facts->pool].hold_retire_ns <= NOW_NS);
  MUST(!facts->busy || (act->reason != REASON_BUDGET && act->reason != REASON_PRESSURE));
  bool pressed = world->host.level == EBB_PRESSURE_ELEVATED || world->host.level == EBB_PRESSURE_CRITICAL;
  MUST(pressed || (act->reason != REASON_PRESSURE && act->reason != REASON_CONTRIBUTION));
  check_private(world, facts, act->reason);
  policy__explain(&world->in, act->worker, &verdict);
  MUST(verdict.outcome == act->reason && verdict.rules[act->reason - REASON_REQUEST].fires);
}

static void check_trim(const struct world *world, const struct plan_act *trim) {
  struct policy_verdict verdict;
  MUST(trim->worker < world->in.n_workers);
  const struct ebb_worker_facts *facts = &world->workers[trim->worker];
  MUST(facts->generation > 0 && facts->pid > 0 && facts->pool < POOLS && facts->state == EBB_SLOT_SERVING);
  MUST(trim->reason > REASON_REQUEST && trim->reason < REASON_JOBS);
  const struct ebb_pool_rules *rules = &world->rules[facts->pool];
  MUST(rules->trim && rules->idle == EBB_IDLE_LEASE && rules->mode != EBB_MODE_ONESHOT);
  MUST(facts->trimmed_ns == 0 || NOW_NS - facts->trimmed_ns >= rules->trim_wait_ns);
  policy__explain(&world->in, trim->worker, &verdict);
  MUST(verdict.outcome == REASON_NONE && verdict.rules[trim->reason - REASON_REQUEST].fires);
}

static void check_start(const struct world *world, uint32_t worker) {
  MUST(worker < world->in.n_workers);
  const struct ebb_worker_facts *facts = &world->workers[worker];
  MUST(facts->pid <= 0 && facts->waits && facts->pool < POOLS && world->rules[facts->pool].mode == EBB_MODE_ONESHOT);
  MUST(world->pools[facts->pool].hold_refill_ns <= NOW_NS);
}

static void check_plan(const struct world *world, const struct plan *plan) {
  bool named[WORKERS] = {false}, wanted[POOLS] = {false};
  uint32_t for_pressure = 0;
  MUST(plan->n_acts <= PLAN_ACTS_MAX && plan->n_confirm <= PLAN_ACTS_MAX && plan->n_struck <= PLAN_ACTS_MAX);
  for (uint32_t i = 0; i < plan->n_acts; i++) {
    const struct plan_act *act = &plan->acts[i];
    check_act(world, act);
    MUST(!named[act->worker]);
    named[act->worker] = true;
    for_pressure += act->reason == REASON_PRESSURE;
    wanted[world->workers[act->worker].pool] |= act->reason != REASON_REQUEST;
  }
  MUST(for_pressure <= 1 && plan->n_trims <= PLAN_ACTS_MAX && plan->n_starts <= PLAN_ACTS_MAX);
  for (uint32_t i = 0; i < plan->n_trims; i++) {
    check_trim(world, &plan->trims[i]);
    MUST(!named[plan->trims[i].worker]);
    named[plan->trims[i].worker] = true;
  }
  for (uint32_t i = 0; i < plan->n_starts; i++)
    check_start(world, plan->starts[i]);
  for (uint32_t pool = 0; pool < POOLS; pool++)
    MUST(!wanted[pool] || staying(world, plan, pool) >= world->rules[pool].min_ready);
  for (uint32_t i = 0; i < plan->n_confirm; i++)
    MUST(plan->confirm[i] < world->in.n_workers && !named[plan->confirm[i]]);
  for (uint32_t i = 0; i < plan->n_struck; i++)
    MUST(plan->struck[i] < world->in.n_workers);
}

static void explain(const struct world *world, uint32_t worker) {
  struct policy_verdict verdict;
  policy__explain(&world->in, worker, &verdict);
  MUST(verdict.outcome <= REASON_AGE && (worker < world->in.n_workers || verdict.outcome == REASON_NONE));
  for (int rule = 0; rule < POLICY_RULES_N; rule++)
    MUST(verdict.rules[rule].code == (enum reason)(REASON_REQUEST + rule));
  for (int guard = 0; guard < POLICY_GUARDS_N; guard++)
    MUST(verdict.guards[guard].code == (enum reason)(REASON_UNLEASED + guard));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  static struct world world;
  struct bytes bytes = {data, n};
  struct plan plan, again;
  take_world(&bytes, &world);
  for (uint32_t round = 0;; round++) {
    MUST(round <= WORKERS);
    policy__decide(&world.in, &plan);
    policy__decide(&world.in, &again);
    MUST(!memcmp(&plan, &again, sizeof(plan)));
    check_plan(&world, &plan);
    explain(&world, (world.in.n_workers + round) % (WORKERS + 1));
    if (!plan.n_confirm)
      return 0;
    for (uint32_t i = 0; i < plan.n_confirm; i++) {
      struct ebb_worker_facts *facts = &world.workers[plan.confirm[i]];
      uint64_t bytes_read = world.readable[plan.confirm[i]];
      bool more = bytes_read != EBB_UNKNOWN && bytes_read > facts->footprint_bytes;
      MUST(facts->private_ns == EBB_UNKNOWN || facts->private_ns < NOW_NS - POLICY_PRIVATE_FRESH_NS ||
           facts->private_ns <= facts->trimmed_ns);
      facts->private_ns = NOW_NS;
      facts->private_bytes = more ? facts->footprint_bytes : bytes_read;
    }
  }
}

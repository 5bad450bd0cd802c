/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "rule.h"

#include "headroom.h"

/* Retiring a worker costs a start: it is not done for less. */
#define PRESSURE_LEAST_BYTES (1024ULL * 1024)

/* What a worker that has just been started will still take, as far as that is known. */
static uint64_t coming_bytes(const struct judgement *judgement, uint32_t worker) {
  const struct ebb_worker_facts *facts = &judgement->in->workers[worker];
  if (!judgement__knows(judgement, worker) || facts->state != EBB_SLOT_STARTING)
    return 0;
  uint64_t baseline = judgement->in->pools[facts->pool].baseline_bytes, has = facts->footprint_bytes;
  if (baseline == EBB_UNKNOWN || has == EBB_UNKNOWN)
    return baseline == EBB_UNKNOWN ? 0 : baseline;
  return baseline > has ? baseline - has : 0;
}

static uint64_t sum_of(uint64_t a, uint64_t b) {
  uint64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? EBB_UNKNOWN : sum;
}

void run__init(struct run *run, const struct policy_input *in, struct plan *plan, uint32_t asked, bool unguarded) {
  *plan = (struct plan){0};
  *run = (struct run){.plan = plan};
  judgement__init(&run->judgement, in, asked, unguarded);
  for (uint32_t i = 0; i < run->judgement.n_workers; i++)
    run->coming_bytes = sum_of(run->coming_bytes, coming_bytes(&run->judgement, i));
}

const struct ebb_worker_facts *run__facts(const struct run *run, uint32_t worker) {
  return &run->judgement.in->workers[worker];
}

const struct ebb_pool_rules *run__rules(const struct run *run, uint32_t worker) {
  return &run->judgement.in->pool_rules[run__facts(run, worker)->pool];
}

bool run__is_full(const struct run *run) {
  const struct plan *plan = run->plan;
  bool full = plan->n_acts == PLAN_ACTS_MAX || plan->n_confirm == PLAN_ACTS_MAX || plan->n_trims == PLAN_ACTS_MAX;
  return full && run->judgement.asked == NOBODY;
}

/* Claims. */

bool run__applies(const struct run *run, enum reason rule, uint32_t worker) {
  return rule == REASON_REQUEST || run__rules(run, worker)->mode != EBB_MODE_ONESHOT;
}

struct claim run__claim(const struct run *run, enum reason rule, uint32_t worker) {
  struct claim claim = {.rule = rule, .worker = worker};
  if (rule == REASON_FOOTPRINT)
    claim.private_over_bytes = run__rules(run, worker)->footprint_limit_bytes;
  if (rule == REASON_RETAINED)
    claim.private_over_bytes = run__rules(run, worker)->retained_limit_bytes;
  if (rule == REASON_BUDGET) /* its successor would take the rest again at once */
    claim.private_over_bytes = guard__fresh_bytes(&run->judgement, run__facts(run, worker)->pool);
  if (rule == REASON_CONTRIBUTION)
    claim.private_over_bytes = guard__gain_over(&run->judgement, worker);
  if (rule == REASON_PRESSURE)
    claim.private_over_bytes = PRESSURE_LEAST_BYTES - 1;
  return claim;
}

static bool is_pressed(const struct run *run) {
  uint32_t level = run->judgement.in->host->level;
  return level == EBB_PRESSURE_ELEVATED || level == EBB_PRESSURE_CRITICAL;
}

/* Is there room for its successor while it is still there? What was promised once is not promised again. */
static bool has_headroom(const struct run *run, uint32_t worker, uint64_t *ret_needed) {
  const struct policy_input *in = run->judgement.in;
  uint64_t baseline = in->pools[run__facts(run, worker)->pool].baseline_bytes,
           budget = in->host_rules->memory_budget_bytes;
  uint64_t needed = sum_of(baseline, run->coming_bytes);
  if (baseline == EBB_UNKNOWN || !headroom__has(in->host->mem_available_bytes, needed, in->host_rules->reserve_bytes))
    return false;
  *ret_needed = needed;
  return budget == EBB_UNKNOWN || headroom__has(budget, sum_of(in->host->pools_footprint_bytes, needed), 0);
}

/* Under pressure there is no time for two workers in one place. A spare is a successor that is ready already. */
static bool is_successor_first(struct run *run, const struct claim *claim) {
  const struct ebb_pool_rules *rules = run__rules(run, claim->worker);
  uint64_t needed;
  if (rules->mode != EBB_MODE_SERVICE || rules->idle != EBB_IDLE_LEASE || rules->refill != EBB_REFILL_AUTO ||
      is_pressed(run) || run->judgement.spares[run__facts(run, claim->worker)->pool] ||
      !has_headroom(run, claim->worker, &needed))
    return false;
  run->coming_bytes = needed;
  return true;
}

static void note(uint32_t *list, uint32_t *n, uint32_t worker) {
  if (*n < PLAN_ACTS_MAX)
    list[(*n)++] = worker;
}

static void go(struct run *run, const struct claim *claim, uint64_t limit_bytes) {
  struct plan *plan = run->plan;
  if (plan->n_acts < PLAN_ACTS_MAX)
    plan->acts[plan->n_acts++] = (struct plan_act){.worker = claim->worker,
                                                   .reason = claim->rule,
                                                   .limit_bytes = limit_bytes,
                                                   .first = is_successor_first(run, claim)};
}

static void trim(struct run *run, const struct claim *claim, uint64_t limit_bytes) {
  struct plan *plan = run->plan;
  if (plan->n_trims < PLAN_ACTS_MAX)
    plan->trims[plan->n_trims++] =
        (struct plan_act){.worker = claim->worker, .reason = claim->rule, .limit_bytes = limit_bytes};
  judgement__trim(&run->judgement, claim->worker);
}

void run__settle(struct run *run, enum reason rule, uint32_t worker, uint64_t limit_bytes) {
  struct claim claim = run__claim(run, rule, worker);
  struct plan *plan = run->plan;
  enum guard_answer answer = guard__answer(&run->judgement, &claim);
  if (answer == GUARD_COUNTS)
    note(plan->struck, &plan->n_struck, worker);
  if (answer == GUARD_TRIMS)
    trim(run, &claim, limit_bytes);
  if (answer != GUARD_LETS && answer != GUARD_ASKS)
    return;
  if (answer == GUARD_LETS)
    go(run, &claim, limit_bytes);
  else
    note(plan->confirm, &plan->n_confirm, worker);
  if (worker == run->judgement.asked && !guard__is_refuted(&run->judgement, &claim))
    run->outcome = rule;
  judgement__take(&run->judgement, worker);
}

/* Whom a rule may look at: in a place that there is, and not spoken for by a rule before it. */
static bool is_free(const struct run *run, enum reason rule, uint32_t worker) {
  const struct judgement *judgement = &run->judgement;
  return judgement__knows(judgement, worker) && !judgement__has_taken(judgement, worker) &&
         !judgement__has_trimmed(judgement, worker) && run__applies(run, rule, worker);
}

void run__settle_each(struct run *run, enum reason rule, const struct rule *by) {
  for (int busy = 0; busy <= 1; busy++)
    for (uint32_t i = 0; i < run->judgement.n_workers; i++) {
      if (!is_free(run, rule, i) || !!run__facts(run, i)->busy != busy)
        continue;
      struct policy_line line = by->line(run, i);
      if (line.fires)
        run__settle(run, rule, i, rule == REASON_FOOTPRINT || rule == REASON_RETAINED ? line.limit : EBB_UNKNOWN);
    }
}

/* Ranking. */

static bool is_higher(const struct rank *a, const struct rank *b) {
  return a->first > b->first || (a->first == b->first && a->then > b->then);
}

static bool is_eligible(const struct run *run, enum reason rule, uint32_t worker) {
  struct claim claim = run__claim(run, rule, worker);
  enum guard_answer answer = guard__answer(&run->judgement, &claim);
  return answer == GUARD_LETS || answer == GUARD_ASKS || answer == GUARD_TRIMS;
}

uint32_t run__pick(const struct run *run, enum reason rule, uint32_t pool, ranking *ranking) {
  uint32_t best = NOBODY;
  struct rank best_rank = {0}, rank;
  for (uint32_t i = 0; i < run->judgement.n_workers; i++) {
    if (!is_free(run, rule, i))
      continue;
    if ((pool != EBB_POOLS_MAX && run__facts(run, i)->pool != pool) || !ranking(run, i, &rank))
      continue;
    if ((best != NOBODY && !is_higher(&rank, &best_rank)) || !is_eligible(run, rule, i))
      continue;
    best = i;
    best_rank = rank;
  }
  return best;
}

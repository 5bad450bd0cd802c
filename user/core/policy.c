/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "policy.h"

#include "guard.h"

/* Retiring a worker costs a start: it is not done for less. */
#define PRESSURE_LEAST_BYTES (1024ULL * 1024)
/* Private bytes this old still tell who is worth another look. */
#define PRIVATE_STALE_NS (60ULL * 1000000000ULL)

struct run {
  struct judgement judgement;
  struct plan *plan;
  enum reason outcome;         /* rule by which the asked one goes */
  bool wanted[POLICY_RULES_N]; /* rules that want it out, whatever its guards say */
};

static const struct ebb_worker_facts *facts_of(const struct run *run, uint32_t worker) {
  return &run->judgement.in->workers[worker];
}

/* Claims. */

static struct claim claim_of(const struct run *run, enum reason rule, uint32_t worker) {
  struct claim claim = {.rule = rule, .worker = worker};
  if (rule == REASON_FOOTPRINT)
    claim.private_over_bytes = run->judgement.in->pool_rules[facts_of(run, worker)->pool].footprint_limit_bytes;
  if (rule == REASON_RETAINED)
    claim.private_over_bytes = run->judgement.in->pool_rules[facts_of(run, worker)->pool].retained_limit_bytes;
  if (rule == REASON_CONTRIBUTION)
    claim.private_over_bytes = guard__gain_over(&run->judgement, worker);
  if (rule == REASON_PRESSURE)
    claim.private_over_bytes = PRESSURE_LEAST_BYTES - 1;
  return claim;
}

/* Nothing more fits into the plan, so that looking on is idle; but explain wants to know who would come later. */
static bool is_full(const struct run *run) {
  bool full = run->plan->n_acts == PLAN_ACTS_MAX || run->plan->n_confirm == PLAN_ACTS_MAX;
  return full && run->judgement.asked == NOBODY;
}

static void note(uint32_t *list, uint32_t *n, uint32_t worker) {
  if (*n < PLAN_ACTS_MAX)
    list[(*n)++] = worker;
}

static void go(struct run *run, const struct claim *claim, uint64_t limit_bytes) {
  struct plan *plan = run->plan;
  if (plan->n_acts < PLAN_ACTS_MAX)
    plan->acts[plan->n_acts++] = (struct plan_act){claim->worker, claim->rule, limit_bytes};
}

/* Ask the guards, and write their answer into the plan. */
static void settle(struct run *run, enum reason rule, uint32_t worker, uint64_t limit_bytes) {
  struct claim claim = claim_of(run, rule, worker);
  struct plan *plan = run->plan;
  enum guard_answer answer = guard__answer(&run->judgement, &claim);
  if (answer == GUARD_COUNTS)
    note(plan->struck, &plan->n_struck, worker);
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

/* All that the rule wants out. Idle ones first: a busy one may take long to leave its place. */
static void settle_each(struct run *run, enum reason rule,
                        struct policy_line (*line_of)(const struct run *, uint32_t)) {
  for (int busy = 0; busy <= 1; busy++)
    for (uint32_t i = 0; i < run->judgement.n_workers; i++) {
      if (!judgement__knows(&run->judgement, i) || judgement__has_taken(&run->judgement, i))
        continue;
      struct policy_line line = line_of(run, i);
      if (line.fires && !!facts_of(run, i)->busy == busy)
        settle(run, rule, i, line.limit);
    }
}

/* Ranking. */

struct rank {
  uint64_t first, then;
};

/* false: not to be ranked at all. */
typedef bool ranking(const struct run *run, uint32_t worker, struct rank *ret_rank);

static bool is_higher(const struct rank *a, const struct rank *b) {
  return a->first > b->first || (a->first == b->first && a->then > b->then);
}

static bool is_eligible(const struct run *run, enum reason rule, uint32_t worker) {
  struct claim claim = claim_of(run, rule, worker);
  enum guard_answer answer = guard__answer(&run->judgement, &claim);
  return answer == GUARD_LETS || answer == GUARD_ASKS;
}

/* The highest ranked that the guards do not refuse, of one pool or (EBB_POOLS_MAX) of all; the first among equals. */
static uint32_t pick(const struct run *run, enum reason rule, uint32_t pool, ranking *ranking) {
  uint32_t best = NOBODY;
  struct rank best_rank = {0}, rank;
  for (uint32_t i = 0; i < run->judgement.n_workers; i++) {
    if (!judgement__knows(&run->judgement, i) || judgement__has_taken(&run->judgement, i))
      continue;
    if ((pool != EBB_POOLS_MAX && facts_of(run, i)->pool != pool) || !ranking(run, i, &rank))
      continue;
    if ((best != NOBODY && !is_higher(&rank, &best_rank)) || !is_eligible(run, rule, i))
      continue;
    best = i;
    best_rank = rank;
  }
  return best;
}

/* request: the largest idle one, else the largest. */

static bool rank_idle_and_large(const struct run *run, uint32_t worker, struct rank *ret_rank) {
  const struct ebb_worker_facts *facts = facts_of(run, worker);
  uint64_t bytes = facts->footprint_bytes == EBB_UNKNOWN ? 0 : facts->footprint_bytes;
  *ret_rank = (struct rank){.first = !facts->busy, .then = bytes};
  return true;
}

static void rule_request(struct run *run) {
  for (uint32_t pool = 0; pool < run->judgement.n_pools; pool++)
    for (uint32_t n = run->judgement.in->pools[pool].requests; n > 0 && !is_full(run); n--) {
      uint32_t worker = pick(run, REASON_REQUEST, pool, rank_idle_and_large);
      if (worker == NOBODY)
        break;
      settle(run, REASON_REQUEST, worker, EBB_UNKNOWN);
    }
}

static struct policy_line request_line(const struct run *run, uint32_t worker) {
  return (struct policy_line){.on = true, .value = run->judgement.in->pools[facts_of(run, worker)->pool].requests};
}

/* footprint: each that is over its limit. */

static struct policy_line footprint_line(const struct run *run, uint32_t worker) {
  const struct ebb_worker_facts *facts = facts_of(run, worker);
  uint64_t limit = run->judgement.in->pool_rules[facts->pool].footprint_limit_bytes;
  uint64_t bytes = facts->busy ? facts->rest_bytes : facts->footprint_bytes;
  bool on = limit != EBB_UNKNOWN;
  return (struct policy_line){
      .on = on, .value = bytes, .limit = limit, .fires = on && bytes != EBB_UNKNOWN && bytes > limit};
}

static void rule_footprint(struct run *run) {
  settle_each(run, REASON_FOOTPRINT, footprint_line);
}

/* retained: each whose jobs left too much behind, whatever a fresh worker of its pool holds. */

static struct policy_line retained_line(const struct run *run, uint32_t worker) {
  const struct ebb_worker_facts *facts = facts_of(run, worker);
  uint64_t limit = run->judgement.in->pool_rules[facts->pool].retained_limit_bytes;
  uint64_t rest = facts->busy ? facts->rest_bytes : facts->footprint_bytes, fresh = facts->fresh_bytes;
  uint64_t grown = rest == EBB_UNKNOWN || fresh == EBB_UNKNOWN ? EBB_UNKNOWN : rest > fresh ? rest - fresh : 0;
  bool on = limit != EBB_UNKNOWN;
  return (struct policy_line){
      .on = on, .value = grown, .limit = limit, .fires = on && grown != EBB_UNKNOWN && grown > limit};
}

static void rule_retained(struct run *run) {
  settle_each(run, REASON_RETAINED, retained_line);
}

/* budget: the largest idle ones, until all pools together are under it. */

static bool is_on_its_way(const struct run *run, uint32_t worker) {
  uint32_t state = facts_of(run, worker)->state;
  return state == EBB_SLOT_RETIRING || state == EBB_SLOT_LEAVING;
}

/* What all pools hold, without what is leaving already. */
static uint64_t staying_bytes(const struct run *run) {
  uint64_t bytes = run->judgement.in->host->pools_footprint_bytes;
  if (bytes == EBB_UNKNOWN)
    return EBB_UNKNOWN;
  for (uint32_t i = 0; i < run->judgement.n_workers; i++) {
    const struct ebb_worker_facts *facts = facts_of(run, i);
    bool leaves = facts->state == EBB_SLOT_DUE || is_on_its_way(run, i) || judgement__has_taken(&run->judgement, i);
    if (leaves && facts->footprint_bytes != EBB_UNKNOWN)
      bytes -= facts->footprint_bytes < bytes ? facts->footprint_bytes : bytes;
  }
  return bytes;
}

static struct policy_line budget_line(const struct run *run, uint32_t worker) {
  (void)worker;
  uint64_t budget = run->judgement.in->host_rules->memory_budget_bytes, bytes = staying_bytes(run);
  bool on = budget != EBB_UNKNOWN;
  return (struct policy_line){
      .on = on, .value = bytes, .limit = budget, .fires = on && bytes != EBB_UNKNOWN && bytes > budget};
}

static bool rank_large(const struct run *run, uint32_t worker, struct rank *ret_rank) {
  uint64_t bytes = facts_of(run, worker)->footprint_bytes;
  *ret_rank = (struct rank){.first = bytes};
  return bytes != EBB_UNKNOWN;
}

static void rule_budget(struct run *run) {
  while (!is_full(run) && budget_line(run, 0).fires) {
    uint32_t worker = pick(run, REASON_BUDGET, EBB_POOLS_MAX, rank_large);
    if (worker == NOBODY)
      return;
    settle(run, REASON_BUDGET, worker, run->judgement.in->host_rules->memory_budget_bytes);
  }
}

/* pressure: the one whose retirement frees most, one at a time. */

static bool is_pressed(const struct run *run) {
  const struct ebb_host_facts *host = run->judgement.in->host;
  uint64_t available = host->mem_available_bytes;
  bool high = host->level == EBB_PRESSURE_ELEVATED || host->level == EBB_PRESSURE_CRITICAL;
  bool short_of_memory = available != EBB_UNKNOWN && available < run->judgement.in->host_rules->reserve_bytes;
  /* The level lingers for some seconds: without new stall, the last act has helped. */
  return high && host->stall_growing && (host->reclaim_moved || short_of_memory);
}

/* A worker whose helper works on, or with a long grace, must not silence the rule for hours. */
static bool has_just_left(const struct run *run, uint32_t worker) {
  uint64_t since_ns = facts_of(run, worker)->since_ns, now_ns = run->judgement.in->now_ns;
  return is_on_its_way(run, worker) &&
         (now_ns < since_ns || now_ns - since_ns <= run->judgement.in->host_rules->cooldown_ns);
}

/* Somebody is leaving, or about to: see first what that frees. */
static bool is_under_way(const struct run *run) {
  for (uint32_t i = 0; i < run->judgement.n_workers; i++)
    if (has_just_left(run, i) || (judgement__has_taken(&run->judgement, i) && !facts_of(run, i)->busy))
      return true;
  return false;
}

/* Private bytes, or the most that they can be. Old ones are better than none to find out whom to ask next: workers that
 * share most of their memory would otherwise all have to be read again and again. */
static uint64_t freed_at_most(const struct run *run, uint32_t worker) {
  const struct ebb_worker_facts *facts = facts_of(run, worker);
  uint64_t now_ns = run->judgement.in->now_ns;
  bool known = facts->private_bytes != EBB_UNKNOWN && facts->private_ns > 0;
  bool stale = known && now_ns > facts->private_ns && now_ns - facts->private_ns > PRIVATE_STALE_NS;
  return known && !stale && facts->private_bytes < facts->footprint_bytes ? facts->private_bytes
                                                                          : facts->footprint_bytes;
}

static bool rank_freeing_most(const struct run *run, uint32_t worker, struct rank *ret_rank) {
  uint64_t bytes = freed_at_most(run, worker);
  *ret_rank = (struct rank){.first = bytes, .then = guard__private_is_fresh(&run->judgement, worker)};
  return bytes != EBB_UNKNOWN;
}

static uint32_t pick_for_pressure(const struct run *run) {
  return pick(run, REASON_PRESSURE, EBB_POOLS_MAX, rank_freeing_most);
}

static void rule_pressure(struct run *run) {
  if (!is_pressed(run) || is_under_way(run))
    return;
  uint32_t worker = pick_for_pressure(run);
  if (worker != NOBODY)
    settle(run, REASON_PRESSURE, worker, EBB_UNKNOWN);
}

static struct policy_line pressure_line(const struct run *run, uint32_t worker) {
  uint32_t most = is_pressed(run) ? pick_for_pressure(run) : NOBODY;
  return (struct policy_line){
      .on = is_pressed(run),
      .value = freed_at_most(run, worker),
      .limit = most == NOBODY ? EBB_UNKNOWN : freed_at_most(run, most),
  };
}

/* contribution: who makes the pressure, one at a time, the largest share first; an idle one before a busy one. */

static struct policy_line contribution_line(const struct run *run, uint32_t worker) {
  const struct ebb_worker_facts *facts = facts_of(run, worker);
  uint32_t limit = run->judgement.in->pool_rules[facts->pool].contribution_limit_permille;
  bool limited = limit != EBB_SHARE_OFF, on = limited && is_pressed(run);
  uint64_t share = facts->contribution_permille;
  return (struct policy_line){.on = on,
                              .value = share,
                              .limit = limited ? limit : EBB_UNKNOWN,
                              .fires = on && share != EBB_UNKNOWN && share > limit};
}

static bool is_asked_unguarded(const struct run *run, uint32_t worker) {
  return run->judgement.unguarded && worker == run->judgement.asked;
}

static bool rank_contributing(const struct run *run, uint32_t worker, struct rank *ret_rank) {
  struct policy_line line = contribution_line(run, worker);
  *ret_rank = (struct rank){.first = line.value, .then = !facts_of(run, worker)->busy};
  return line.fires && !is_asked_unguarded(run, worker);
}

static void rule_contribution(struct run *run) {
  uint32_t asked = run->judgement.asked, worker = NOBODY;
  if (is_pressed(run) && !is_under_way(run))
    worker = pick(run, REASON_CONTRIBUTION, EBB_POOLS_MAX, rank_contributing);
  if (worker != NOBODY)
    settle(run, REASON_CONTRIBUTION, worker, EBB_UNKNOWN);
  /* That another one goes first is no verdict on the one that explain asks about: all that are over it are wanted. */
  if (run->judgement.unguarded && contribution_line(run, asked).fires)
    judgement__take(&run->judgement, asked);
}

/* All of it. */

#define AT(rule) [REASON_##rule - REASON_REQUEST]
static const struct rule {
  void (*apply)(struct run *run);
  struct policy_line (*line)(const struct run *run, uint32_t worker);
} rules[POLICY_RULES_N] = {
    AT(REQUEST) = {rule_request, request_line},    AT(FOOTPRINT) = {rule_footprint, footprint_line},
    AT(RETAINED) = {rule_retained, retained_line}, AT(CONTRIBUTION) = {rule_contribution, contribution_line},
    AT(BUDGET) = {rule_budget, budget_line},       AT(PRESSURE) = {rule_pressure, pressure_line},
};

static void run__init(struct run *run, const struct policy_input *in, struct plan *plan, uint32_t asked,
                      bool unguarded) {
  *plan = (struct plan){0};
  *run = (struct run){.plan = plan};
  judgement__init(&run->judgement, in, asked, unguarded);
}

static void run__rules(struct run *run) {
  for (uint32_t i = 0; i < POLICY_RULES_N; i++) {
    rules[i].apply(run);
    if (!run->judgement.unguarded)
      continue;
    /* Each rule is to say whether it wants the asked one. */
    run->wanted[i] = judgement__has_taken(&run->judgement, run->judgement.asked);
    judgement__give_back(&run->judgement, run->judgement.asked);
  }
}

void policy__decide(const struct policy_input *in, struct plan *ret_plan) {
  struct run run;
  run__init(&run, in, ret_plan, NOBODY, false);
  for (uint32_t pool = 0; pool < run.judgement.n_pools; pool++)
    ret_plan->below_baseline[pool] = guard__below_baseline(&run.judgement, pool);
  run__rules(&run);
}

/* Lines of the rules, and the first that wants it out; `footprint` if none does. */
static enum reason explain_rules(const struct policy_input *in, uint32_t worker, struct policy_verdict *verdict) {
  struct run run;
  struct plan plan;
  enum reason first = REASON_NONE;
  run__init(&run, in, &plan, worker, true);
  for (uint32_t i = 0; i < POLICY_RULES_N; i++)
    verdict->rules[i] = rules[i].line(&run, worker);
  run__rules(&run);
  for (uint32_t i = 0; i < POLICY_RULES_N; i++) {
    verdict->rules[i].code = (enum reason)(REASON_REQUEST + i);
    verdict->rules[i].fires = run.wanted[i];
    if (run.wanted[i] && first == REASON_NONE)
      first = verdict->rules[i].code;
  }
  return first == REASON_NONE ? REASON_FOOTPRINT : first;
}

/* Lines of the guards, as things stand when all the others have been judged; and what comes of it. */
static void explain_guards(const struct policy_input *in, uint32_t worker, enum reason rule,
                           struct policy_verdict *verdict) {
  struct run run;
  struct plan plan;
  run__init(&run, in, &plan, worker, false);
  run__rules(&run);
  verdict->outcome = run.outcome;
  struct claim claim = claim_of(&run, run.outcome == REASON_NONE ? rule : run.outcome, worker);
  for (uint32_t i = 0; i < POLICY_GUARDS_N; i++)
    verdict->guards[i] = guard__line(&run.judgement, &claim, (enum reason)(REASON_UNLEASED + i));
}

static void explain_nothing(struct policy_verdict *verdict) {
  struct policy_line silent = {.value = EBB_UNKNOWN, .limit = EBB_UNKNOWN};
  *verdict = (struct policy_verdict){.outcome = REASON_NONE};
  for (uint32_t i = 0; i < POLICY_RULES_N; i++) {
    verdict->rules[i] = silent;
    verdict->rules[i].code = (enum reason)(REASON_REQUEST + i);
  }
  for (uint32_t i = 0; i < POLICY_GUARDS_N; i++) {
    verdict->guards[i] = silent;
    verdict->guards[i].on = true;
    verdict->guards[i].code = (enum reason)(REASON_UNLEASED + i);
  }
}

void policy__explain(const struct policy_input *in, uint32_t worker, struct policy_verdict *ret_verdict) {
  struct judgement judgement;
  judgement__init(&judgement, in, worker, false);
  explain_nothing(ret_verdict);
  if (worker >= judgement.n_workers || !judgement__knows(&judgement, worker))
    return;
  enum reason rule = explain_rules(in, worker, ret_verdict);
  explain_guards(in, worker, rule, ret_verdict);
}

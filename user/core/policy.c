/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "policy.h"

#include "admission.h"
#include "rule.h"

#define AT(rule) [REASON_##rule - REASON_REQUEST]
static const struct rule *const rules[POLICY_RULES_N] = {
    AT(REQUEST) = &rule_request,   AT(FOOTPRINT) = &rule_footprint,
    AT(RETAINED) = &rule_retained, AT(CONTRIBUTION) = &rule_contribution,
    AT(BUDGET) = &rule_budget,     AT(PRESSURE) = &rule_pressure,
    AT(JOBS) = &rule_jobs,         AT(AGE) = &rule_age,
};

static void apply_all(struct run *run) {
  /* A rule after the one that filled the plan would judge by less than explain, which goes on. */
  for (uint32_t i = 0; i < POLICY_RULES_N && !run__is_full(run); i++) {
    rules[i]->apply(run);
    if (!run->judgement.unguarded)
      continue;
    /* Each rule is to say whether it wants the asked one. */
    run->wanted[i] = judgement__has_taken(&run->judgement, run->judgement.asked);
    judgement__give_back(&run->judgement, run->judgement.asked);
  }
}

/* Where memory is all but gone, and enough are left to serve, a successor would be one too many. */
static void hold_refills(const struct run *run) {
  const struct judgement *judgement = &run->judgement;
  for (uint32_t pool = 0; pool < judgement->n_pools; pool++) {
    const struct ebb_pool_rules *rules = &judgement->in->pool_rules[pool];
    run->plan->hold_refill[pool] = judgement->in->host->level == EBB_PRESSURE_CRITICAL &&
                                   rules->mode == EBB_MODE_SERVICE && rules->min_ready > 0 &&
                                   judgement->serving[pool] >= rules->min_ready;
  }
}

void policy__decide(const struct policy_input *in, struct plan *ret_plan) {
  struct run run;
  run__init(&run, in, ret_plan, NOBODY, false);
  for (uint32_t pool = 0; pool < run.judgement.n_pools; pool++)
    ret_plan->below_baseline[pool] = guard__below_baseline(&run.judgement, pool);
  apply_all(&run);
  hold_refills(&run);
  admission__decide(in, ret_plan);
}

/* Lines of the rules, and the first that wants it out; `footprint` if none does. */
static enum reason explain_rules(const struct policy_input *in, uint32_t worker, struct policy_verdict *verdict) {
  struct run run;
  struct plan plan;
  enum reason first = REASON_NONE;
  run__init(&run, in, &plan, worker, true);
  for (uint32_t i = 0; i < POLICY_RULES_N; i++) {
    if (run__applies(&run, (enum reason)(REASON_REQUEST + i), worker))
      verdict->rules[i] = rules[i]->line(&run, worker);
  }
  apply_all(&run);
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
  apply_all(&run);
  verdict->outcome = run.outcome;
  struct claim claim = run__claim(&run, run.outcome == REASON_NONE ? rule : run.outcome, worker);
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

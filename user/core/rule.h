/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A run through the rules, and what each of them gives: what it does with all workers, and its numbers for one. Part of
 * core/policy. A rule claims workers; the guards answer, and settling a claim writes the answer into the plan.
 */
#ifndef CORE_RULE_H
#define CORE_RULE_H

#include "guard.h"

struct run {
  struct judgement judgement;
  struct plan *plan;
  uint64_t coming_bytes;       /* that workers which start now, or were promised in this run, will still take */
  enum reason outcome;         /* rule by which the asked one goes */
  bool wanted[POLICY_RULES_N]; /* rules that want it out, whatever its guards say */
};

struct rule {
  void (*apply)(struct run *run);
  struct policy_line (*line)(const struct run *run, uint32_t worker);
};

extern const struct rule rule_request, rule_footprint, rule_retained, rule_contribution, rule_budget, rule_pressure,
    rule_jobs, rule_age;

void run__init(struct run *run, const struct policy_input *in, struct plan *plan, uint32_t asked, bool unguarded);
const struct ebb_worker_facts *run__facts(const struct run *run, uint32_t worker);
const struct ebb_pool_rules *run__rules(const struct run *run, uint32_t worker);
/* Nothing more fits into the plan, so that looking on is idle; but explain wants to know who would come later. */
bool run__is_full(const struct run *run);

/* Can the rule want workers of that one's pool at all? Pieces of work end by themselves: only a request retires them. */
bool run__applies(const struct run *run, enum reason rule, uint32_t worker);
struct claim run__claim(const struct run *run, enum reason rule, uint32_t worker);
/* Ask the guards, and write their answer into the plan. */
void run__settle(struct run *run, enum reason rule, uint32_t worker, uint64_t limit_bytes);
/* All that the rule wants out, by its lines. Idle ones first: a busy one may take long to leave its place. */
void run__settle_each(struct run *run, enum reason rule, const struct rule *by);

struct rank {
  uint64_t first, then;
};
/* false: not to be ranked at all. */
typedef bool ranking(const struct run *run, uint32_t worker, struct rank *ret_rank);
/* The highest ranked that the guards do not refuse, of one pool or (EBB_POOLS_MAX) of all; the first among equals. */
uint32_t run__pick(const struct run *run, enum reason rule, uint32_t pool, ranking *ranking);

#endif

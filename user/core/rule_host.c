/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Rules that free memory for all: who goes is a question of who frees, or who takes, most. */
#include "rule.h"

/* Private bytes this old still tell who is worth another look. */
#define PRIVATE_STALE_NS (60ULL * 1000000000ULL)

/* budget: the largest idle ones, until all pools together are under it. */

static bool is_on_its_way(const struct run *run, uint32_t worker) {
  uint32_t state = run__facts(run, worker)->state;
  return state == EBB_SLOT_RETIRING || state == EBB_SLOT_LEAVING;
}

/* What all pools hold, without what is leaving already, or may be given back by somebody who was told to. */
static uint64_t staying_bytes(const struct run *run) {
  uint64_t bytes = run->judgement.in->host->pools_footprint_bytes;
  if (bytes == EBB_UNKNOWN)
    return EBB_UNKNOWN;
  for (uint32_t i = 0; i < run->judgement.n_workers; i++) {
    const struct ebb_worker_facts *facts = run__facts(run, i);
    bool leaves = facts->state == EBB_SLOT_DUE || is_on_its_way(run, i) || judgement__has_taken(&run->judgement, i) ||
                  guard__awaits_trim(&run->judgement, i);
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
  uint64_t bytes = run__facts(run, worker)->footprint_bytes;
  *ret_rank = (struct rank){.first = bytes};
  return bytes != EBB_UNKNOWN;
}

static void apply_budget(struct run *run) {
  while (!run__is_full(run) && budget_line(run, 0).fires) {
    uint32_t worker = run__pick(run, REASON_BUDGET, EBB_POOLS_MAX, rank_large);
    if (worker == NOBODY)
      return;
    run__settle(run, REASON_BUDGET, worker, run->judgement.in->host_rules->memory_budget_bytes);
  }
}

const struct rule rule_budget = {apply_budget, budget_line};

/* pressure: the one whose retirement frees most, one at a time. */

static bool is_pressed(const struct run *run) {
  const struct ebb_host_facts *host = run->judgement.in->host;
  uint64_t available = host->mem_available_bytes;
  bool high = host->level == EBB_PRESSURE_ELEVATED || host->level == EBB_PRESSURE_CRITICAL;
  bool short_of_memory = available != EBB_UNKNOWN && available < run->judgement.in->host_rules->reserve_bytes;
  /* The level lingers for some seconds: without new stall, the last act has helped. */
  return high && host->stall_growing && (host->reclaim_moved || short_of_memory);
}

/* A worker whose helper works on, with a long grace or a long trim_wait, must not silence the rule for hours. */
static bool is_lately(const struct run *run, uint64_t at_ns) {
  uint64_t now_ns = run->judgement.in->now_ns;
  return now_ns < at_ns || now_ns - at_ns <= run->judgement.in->host_rules->cooldown_ns;
}

static bool is_shrinking(const struct run *run, uint32_t worker) {
  const struct judgement *judgement = &run->judgement;
  return judgement__has_trimmed(judgement, worker) ||
         (guard__awaits_trim(judgement, worker) && is_lately(run, run__facts(run, worker)->trimmed_ns));
}

/* Somebody is leaving, or giving memory back, or about to: see first what that frees. */
static bool is_under_way(const struct run *run) {
  for (uint32_t i = 0; i < run->judgement.n_workers; i++) {
    const struct ebb_worker_facts *facts = run__facts(run, i);
    if ((is_on_its_way(run, i) && is_lately(run, facts->since_ns)) ||
        ((judgement__has_taken(&run->judgement, i) || is_shrinking(run, i)) && !facts->busy))
      return true;
  }
  return false;
}

/* Private bytes, or the most that they can be. Old ones are better than none to find out whom to ask next: workers that
 * share most of their memory would otherwise all have to be read again and again. */
static uint64_t freed_at_most(const struct run *run, uint32_t worker) {
  const struct ebb_worker_facts *facts = run__facts(run, worker);
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
  return run__pick(run, REASON_PRESSURE, EBB_POOLS_MAX, rank_freeing_most);
}

static void apply_pressure(struct run *run) {
  if (!is_pressed(run) || is_under_way(run))
    return;
  uint32_t worker = pick_for_pressure(run);
  if (worker != NOBODY)
    run__settle(run, REASON_PRESSURE, worker, EBB_UNKNOWN);
}

static struct policy_line pressure_line(const struct run *run, uint32_t worker) {
  uint32_t most = is_pressed(run) ? pick_for_pressure(run) : NOBODY;
  return (struct policy_line){
      .on = is_pressed(run),
      .value = freed_at_most(run, worker),
      .limit = most == NOBODY ? EBB_UNKNOWN : freed_at_most(run, most),
  };
}

const struct rule rule_pressure = {apply_pressure, pressure_line};

/* contribution: who makes the pressure, one at a time, the largest share first; an idle one before a busy one. */

static struct policy_line contribution_line(const struct run *run, uint32_t worker) {
  const struct ebb_worker_facts *facts = run__facts(run, worker);
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
  *ret_rank = (struct rank){.first = line.value, .then = !run__facts(run, worker)->busy};
  return line.fires && !is_asked_unguarded(run, worker);
}

static void apply_contribution(struct run *run) {
  uint32_t asked = run->judgement.asked, worker = NOBODY;
  if (is_pressed(run) && !is_under_way(run))
    worker = run__pick(run, REASON_CONTRIBUTION, EBB_POOLS_MAX, rank_contributing);
  if (worker != NOBODY)
    run__settle(run, REASON_CONTRIBUTION, worker, EBB_UNKNOWN);
  /* That another one goes first is no verdict on the one that explain asks about: all that are over it are wanted. */
  if (run->judgement.unguarded && run__applies(run, REASON_CONTRIBUTION, asked) && contribution_line(run, asked).fires)
    judgement__take(&run->judgement, asked);
}

const struct rule rule_contribution = {apply_contribution, contribution_line};

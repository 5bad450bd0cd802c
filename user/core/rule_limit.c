/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Rules that hold each worker to a limit of its pool, whatever the others do; and the one that is somebody's wish. */
#include "limit.h"
#include "rule.h"

/* request: the largest idle one, else the largest. */

static bool rank_idle_and_large(const struct run *run, uint32_t worker, struct rank *ret_rank) {
  const struct ebb_worker_facts *facts = run__facts(run, worker);
  uint64_t bytes = facts->footprint_bytes == EBB_UNKNOWN ? 0 : facts->footprint_bytes;
  *ret_rank = (struct rank){.first = !facts->busy, .then = bytes};
  return true;
}

static void apply_request(struct run *run) {
  for (uint32_t pool = 0; pool < run->judgement.n_pools; pool++)
    for (uint32_t n = run->judgement.in->pools[pool].requests; n > 0 && !run__is_full(run); n--) {
      uint32_t worker = run__pick(run, REASON_REQUEST, pool, rank_idle_and_large);
      if (worker == NOBODY)
        break;
      run__settle(run, REASON_REQUEST, worker, EBB_UNKNOWN);
    }
}

static struct policy_line request_line(const struct run *run, uint32_t worker) {
  return (struct policy_line){.on = true, .value = run->judgement.in->pools[run__facts(run, worker)->pool].requests};
}

const struct rule rule_request = {apply_request, request_line};

/* footprint: each that is over its limit. */

static struct policy_line over(uint64_t value, uint64_t limit) {
  bool known = limit != EBB_UNKNOWN && value != EBB_UNKNOWN;
  return (struct policy_line){
      .on = limit != EBB_UNKNOWN, .value = value, .limit = limit, .fires = known && value > limit};
}

static struct policy_line footprint_line(const struct run *run, uint32_t worker) {
  return over(limit__rest_bytes(run__facts(run, worker)), run__rules(run, worker)->footprint_limit_bytes);
}

static void apply_footprint(struct run *run) {
  run__settle_each(run, REASON_FOOTPRINT, &rule_footprint);
}

const struct rule rule_footprint = {apply_footprint, footprint_line};

/* retained: each whose jobs left too much behind, whatever a fresh worker of its pool holds. */

static struct policy_line retained_line(const struct run *run, uint32_t worker) {
  return over(limit__retained_bytes(run__facts(run, worker)), run__rules(run, worker)->retained_limit_bytes);
}

static void apply_retained(struct run *run) {
  run__settle_each(run, REASON_RETAINED, &rule_retained);
}

const struct rule rule_retained = {apply_retained, retained_line};

/* jobs, age: each that has reached its own. Nothing is asked about its memory. */

static struct policy_line reached(uint64_t value, uint64_t limit) {
  bool known = limit != EBB_UNKNOWN && value != EBB_UNKNOWN;
  return (struct policy_line){
      .on = limit != EBB_UNKNOWN, .value = value, .limit = limit, .fires = known && value >= limit};
}

static struct policy_line jobs_line(const struct run *run, uint32_t worker) {
  const struct ebb_worker_facts *facts = run__facts(run, worker);
  return reached(facts->jobs, limit__jobs(run__rules(run, worker), facts));
}

static void apply_jobs(struct run *run) {
  run__settle_each(run, REASON_JOBS, &rule_jobs);
}

const struct rule rule_jobs = {apply_jobs, jobs_line};

static struct policy_line age_line(const struct run *run, uint32_t worker) {
  const struct ebb_worker_facts *facts = run__facts(run, worker);
  return reached(guard__age_ns(&run->judgement, worker), limit__lifetime_ns(run__rules(run, worker), facts));
}

static void apply_age(struct run *run) {
  run__settle_each(run, REASON_AGE, &rule_age);
}

const struct rule rule_age = {apply_age, age_line};

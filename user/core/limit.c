/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "limit.h"

#include "ebb/bounds.h"

uint64_t limit__rest_bytes(const struct ebb_worker_facts *worker) {
  return worker->busy ? worker->rest_bytes : worker->footprint_bytes;
}

uint64_t limit__retained_bytes(const struct ebb_worker_facts *worker) {
  uint64_t rest = limit__rest_bytes(worker), fresh = worker->fresh_bytes;
  if (rest == EBB_UNKNOWN || fresh == EBB_UNKNOWN)
    return EBB_UNKNOWN;
  return rest > fresh ? rest - fresh : 0;
}

static uint64_t footprint_limit(const struct ebb_pool_rules *rules) {
  return rules->mode == EBB_MODE_ONESHOT ? EBB_UNKNOWN : rules->footprint_limit_bytes;
}

/* The footprint at which so much has been retained. */
static uint64_t footprint_at(const struct ebb_worker_facts *worker, uint64_t retained) {
  uint64_t sum;
  if (worker->fresh_bytes == EBB_UNKNOWN || retained == EBB_UNKNOWN ||
      __builtin_add_overflow(worker->fresh_bytes, retained, &sum))
    return EBB_UNKNOWN;
  return sum;
}

static uint64_t retained_limit(const struct ebb_pool_rules *rules, const struct ebb_worker_facts *worker) {
  return rules->mode == EBB_MODE_ONESHOT ? EBB_UNKNOWN : footprint_at(worker, rules->retained_limit_bytes);
}

static uint64_t lower(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

uint64_t limit__lowest_bytes(const struct ebb_pool_rules *rules, const struct ebb_worker_facts *worker) {
  return lower(footprint_limit(rules), retained_limit(rules, worker));
}

uint64_t limit__next_bytes(const struct ebb_pool_rules *rules, const struct ebb_worker_facts *worker) {
  uint64_t footprint = footprint_limit(rules), retained = retained_limit(rules, worker);
  return lower(worker->footprint_bytes < footprint ? footprint : EBB_UNKNOWN,
               worker->footprint_bytes < retained ? retained : EBB_UNKNOWN);
}

bool limit__is_exceeded(const struct ebb_pool_rules *rules, const struct ebb_worker_facts *worker) {
  uint64_t rest = limit__rest_bytes(worker);
  return rest != EBB_UNKNOWN && rest > limit__lowest_bytes(rules, worker);
}

bool limit__is_near(const struct ebb_pool_rules *rules, const struct ebb_worker_facts *worker) {
  uint64_t footprint = worker->footprint_bytes;
  uint64_t of_all = footprint_limit(rules), of_growth = rules->retained_limit_bytes;
  if (footprint == EBB_UNKNOWN || rules->mode == EBB_MODE_ONESHOT)
    return false;
  return (of_all != EBB_UNKNOWN && footprint > of_all / 2) ||
         (of_growth != EBB_UNKNOWN && footprint > footprint_at(worker, of_growth / 2));
}

/* Any bit may tip all others: splitmix64's finisher. */
static uint64_t mixed(uint64_t bits) {
  bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9ULL;
  bits = (bits ^ bits >> 27) * 0x94d049bb133111ebULL;
  return bits ^ bits >> 31;
}

static uint64_t jittered(const struct ebb_pool_rules *rules, const struct ebb_worker_facts *worker, uint64_t limit) {
  if (limit == EBB_UNKNOWN || rules->mode == EBB_MODE_ONESHOT)
    return EBB_UNKNOWN;
  uint64_t hash = mixed(mixed((uint64_t)worker->pool << 32 | worker->slot) + worker->generation);
  return limit - hash % (limit / 8 + 1);
}

uint64_t limit__jobs(const struct ebb_pool_rules *rules, const struct ebb_worker_facts *worker) {
  return jittered(rules, worker, rules->max_jobs);
}

uint64_t limit__lifetime_ns(const struct ebb_pool_rules *rules, const struct ebb_worker_facts *worker) {
  return jittered(rules, worker, rules->max_lifetime_ns);
}

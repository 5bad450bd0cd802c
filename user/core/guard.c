/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "guard.h"

/* So many times trim_wait after an order to give memory back it counts as never given: a new overrun is a new matter. */
#define TRIM_WAITS_KEPT 10

#define BIT(guard) (1u << (REASON_##guard - REASON_UNLEASED))

/* Which rule asks which guards. An operator's request overrides what protects from rules. */
#define BY(rule) [REASON_##rule - REASON_REQUEST]
static const unsigned asked_by[POLICY_RULES_N] = {
    BY(REQUEST) = BIT(UNLEASED) | BIT(LEAVING),
    BY(FOOTPRINT) = BIT(UNLEASED) | BIT(LEAVING) | BIT(TOO_YOUNG) | BIT(BELOW_BASELINE) | BIT(PRIVATE) | BIT(STRIKES) |
                    BIT(TRIM) | BIT(MIN_READY) | BIT(HOLD),
    BY(RETAINED) = BIT(UNLEASED) | BIT(LEAVING) | BIT(TOO_YOUNG) | BIT(PRIVATE) | BIT(STRIKES) | BIT(TRIM) |
                   BIT(MIN_READY) | BIT(HOLD),
    BY(CONTRIBUTION) = BIT(UNLEASED) | BIT(LEAVING) | BIT(TOO_YOUNG) | BIT(MIN_GAIN) | BIT(COOLDOWN) | BIT(TRIM) |
                       BIT(MIN_READY) | BIT(HOLD),
    BY(BUDGET) = BIT(UNLEASED) | BIT(LEAVING) | BIT(BUSY) | BIT(TOO_YOUNG) | BIT(PRIVATE) | BIT(TRIM) | BIT(MIN_READY) |
                 BIT(HOLD),
    BY(PRESSURE) = BIT(UNLEASED) | BIT(LEAVING) | BIT(BUSY) | BIT(TOO_YOUNG) | BIT(PRIVATE) | BIT(COOLDOWN) |
                   BIT(TRIM) | BIT(MIN_READY) | BIT(HOLD),
    BY(JOBS) = BIT(UNLEASED) | BIT(LEAVING) | BIT(MIN_READY) | BIT(HOLD),
    BY(AGE) = BIT(UNLEASED) | BIT(LEAVING) | BIT(MIN_READY) | BIT(HOLD),
};

static bool asks(enum reason rule, enum reason guard) {
  return asked_by[rule - REASON_REQUEST] & 1u << (guard - REASON_UNLEASED);
}

static const struct ebb_worker_facts *facts_of(const struct judgement *judgement, uint32_t worker) {
  return &judgement->in->workers[worker];
}

/* The guards, in the order of their list. A line's numbers are as told in policy.h. */

static struct policy_line compared(uint64_t value, uint64_t limit, bool fires) {
  return (struct policy_line){.on = true, .value = value, .limit = limit, .fires = fires};
}

static const struct ebb_pool_rules *rules_of(const struct judgement *judgement, uint32_t worker) {
  return &judgement->in->pool_rules[facts_of(judgement, worker)->pool];
}

/* 0 when `from` comes later: a newer clock reading, or nonsense. */
static uint64_t time_between(uint64_t from_ns, uint64_t to_ns) {
  return to_ns > from_ns ? to_ns - from_ns : 0;
}

static struct policy_line unleased(const struct judgement *judgement, const struct claim *claim) {
  return compared(EBB_UNKNOWN, EBB_UNKNOWN, facts_of(judgement, claim->worker)->state == EBB_SLOT_UNLEASED);
}

static struct policy_line leaving(const struct judgement *judgement, const struct claim *claim) {
  uint32_t state = facts_of(judgement, claim->worker)->state;
  return compared(EBB_UNKNOWN, EBB_UNKNOWN, state != EBB_SLOT_SERVING && state != EBB_SLOT_UNLEASED);
}

static struct policy_line busy(const struct judgement *judgement, const struct claim *claim) {
  const struct ebb_worker_facts *facts = facts_of(judgement, claim->worker);
  uint64_t busy_ns = facts->busy ? time_between(facts->since_ns, judgement->in->now_ns) : EBB_UNKNOWN;
  return compared(busy_ns, EBB_UNKNOWN, facts->busy);
}

uint64_t guard__age_ns(const struct judgement *judgement, uint32_t worker) {
  return time_between(facts_of(judgement, worker)->born_ns, judgement->in->now_ns);
}

static struct policy_line too_young(const struct judgement *judgement, const struct claim *claim) {
  uint64_t age_ns = guard__age_ns(judgement, claim->worker);
  uint64_t least_ns = rules_of(judgement, claim->worker)->min_lifetime_ns;
  return compared(age_ns, least_ns, least_ns != EBB_UNKNOWN && age_ns < least_ns);
}

/* Rounded up, and in two parts: a baseline times 1200 may not fit. */
static uint64_t least_limit(const struct judgement *judgement, uint32_t pool) {
  uint64_t baseline = judgement->in->pools[pool].baseline_bytes, whole;
  if (baseline == EBB_UNKNOWN)
    return EBB_UNKNOWN;
  uint64_t part = (baseline % 1000 * POLICY_BASELINE_PERMILLE + 999) / 1000;
  if (__builtin_mul_overflow(baseline / 1000, POLICY_BASELINE_PERMILLE, &whole) ||
      __builtin_add_overflow(whole, part, &whole))
    return EBB_UNKNOWN - 1;
  return whole;
}

uint64_t guard__fresh_bytes(const struct judgement *judgement, uint32_t pool) {
  uint64_t least = least_limit(judgement, pool);
  return least == EBB_UNKNOWN ? 0 : least;
}

bool guard__below_baseline(const struct judgement *judgement, uint32_t pool) {
  uint64_t limit = judgement->in->pool_rules[pool].footprint_limit_bytes, least = least_limit(judgement, pool);
  return least != EBB_UNKNOWN && limit < least;
}

static struct policy_line below_baseline(const struct judgement *judgement, const struct claim *claim) {
  uint32_t pool = facts_of(judgement, claim->worker)->pool;
  return compared(judgement->in->pool_rules[pool].footprint_limit_bytes, least_limit(judgement, pool),
                  guard__below_baseline(judgement, pool));
}

bool guard__private_is_fresh(const struct judgement *judgement, uint32_t worker) {
  const struct ebb_worker_facts *facts = facts_of(judgement, worker);
  bool outdated = facts->private_ns <= facts->trimmed_ns && facts->trimmed_ns < judgement->in->now_ns;
  return facts->private_ns > 0 && facts->private_ns != EBB_UNKNOWN && !outdated &&
         time_between(facts->private_ns, judgement->in->now_ns) <= POLICY_PRIVATE_FRESH_NS;
}

/* While a worker is busy its private bytes contain what the job takes: the most that they can be between jobs. Its
 * footprint is never less than they are. */
static struct policy_line private(const struct judgement *judgement, const struct claim *claim) {
  const struct ebb_worker_facts *facts = facts_of(judgement, claim->worker);
  uint64_t over = claim->private_over_bytes, bytes = facts->private_bytes;
  bool too_little = bytes == EBB_UNKNOWN ? guard__private_is_fresh(judgement, claim->worker) : bytes <= over;
  too_little |= facts->footprint_bytes <= over;
  return compared(bytes, over, too_little && over != EBB_UNKNOWN);
}

uint64_t guard__gain_over(const struct judgement *judgement, uint32_t worker) {
  uint64_t gain = rules_of(judgement, worker)->min_gain_bytes;
  return gain > 0 ? gain - 1 : 0;
}

/* What a busy one's job takes comes back without us; of one that was never seen between jobs nothing is known. */
static bool rests_on_too_little(const struct ebb_worker_facts *facts, uint64_t over) {
  return facts->busy && (facts->rest_bytes == EBB_UNKNOWN || facts->rest_bytes <= over);
}

static struct policy_line min_gain(const struct judgement *judgement, const struct claim *claim) {
  const struct ebb_worker_facts *facts = facts_of(judgement, claim->worker);
  struct claim gain = {.worker = claim->worker, .private_over_bytes = guard__gain_over(judgement, claim->worker)};
  struct policy_line line = private(judgement, &gain);
  if (facts->busy && (facts->rest_bytes == EBB_UNKNOWN || facts->rest_bytes < line.value))
    line.value = facts->rest_bytes;
  line.fires |= rests_on_too_little(facts, gain.private_over_bytes);
  line.limit = rules_of(judgement, claim->worker)->min_gain_bytes;
  return line;
}

/* EBB_UNKNOWN: never, or so long ago that it was about something else. */
static uint64_t time_since_trim(const struct judgement *judgement, uint32_t worker) {
  uint64_t trimmed_ns = facts_of(judgement, worker)->trimmed_ns;
  uint64_t since_ns = time_between(trimmed_ns, judgement->in->now_ns);
  bool forgotten = since_ns / TRIM_WAITS_KEPT >= rules_of(judgement, worker)->trim_wait_ns;
  return trimmed_ns == 0 || forgotten ? EBB_UNKNOWN : since_ns;
}

/* A turn that began after the order has read it; a worker that waits for a job reads it with the next one. */
static struct policy_line trim(const struct judgement *judgement, const struct claim *claim) {
  const struct ebb_worker_facts *facts = facts_of(judgement, claim->worker);
  const struct ebb_pool_rules *rules = rules_of(judgement, claim->worker);
  if (!rules->trim || rules->trim_wait_ns == 0 || rules->idle != EBB_IDLE_LEASE)
    return compared(EBB_UNKNOWN, EBB_UNKNOWN, false);
  uint64_t since_ns = time_since_trim(judgement, claim->worker);
  bool awaited = since_ns < rules->trim_wait_ns && facts->turn_ns <= facts->trimmed_ns;
  return compared(since_ns, rules->trim_wait_ns, since_ns == EBB_UNKNOWN || awaited);
}

static bool is_asked_unguarded(const struct judgement *judgement, uint32_t worker) {
  return judgement->unguarded && worker == judgement->asked;
}

bool guard__awaits_trim(const struct judgement *judgement, uint32_t worker) {
  const struct claim claim = {.worker = worker};
  if (judgement__has_trimmed(judgement, worker))
    return true;
  /* What the rules want is asked as if it had not been ordered. */
  if (!judgement__knows(judgement, worker) || is_asked_unguarded(judgement, worker) ||
      facts_of(judgement, worker)->state != EBB_SLOT_SERVING)
    return false;
  struct policy_line line = trim(judgement, &claim);
  return line.fires && line.value != EBB_UNKNOWN;
}

static struct policy_line strikes(const struct judgement *judgement, const struct claim *claim) {
  uint32_t strikes = facts_of(judgement, claim->worker)->strikes, needed = rules_of(judgement, claim->worker)->strikes;
  /* The present judgement is a confirmation too: where one is enough, there is nothing to count. */
  return compared(strikes, needed, needed > 1 && strikes < needed);
}

static struct policy_line cooldown(const struct judgement *judgement, const struct claim *claim) {
  (void)claim;
  const struct ebb_host_facts *host = judgement->in->host;
  uint64_t needed_ns = judgement->in->host_rules->cooldown_ns;
  if (host->level == EBB_PRESSURE_CRITICAL && needed_ns > POLICY_CRITICAL_COOLDOWN_NS)
    needed_ns = POLICY_CRITICAL_COOLDOWN_NS;
  if (host->last_act_ns == 0 || host->last_act_ns == EBB_UNKNOWN)
    return compared(EBB_UNKNOWN, needed_ns, false);
  uint64_t since_ns = time_between(host->last_act_ns, judgement->in->now_ns);
  return compared(since_ns, needed_ns, since_ns < needed_ns);
}

static struct policy_line min_ready(const struct judgement *judgement, const struct claim *claim) {
  uint32_t stay = judgement__serving_without(judgement, claim->worker);
  uint32_t needed = rules_of(judgement, claim->worker)->min_ready;
  return compared(stay, needed, stay < needed);
}

static struct policy_line hold(const struct judgement *judgement, const struct claim *claim) {
  uint64_t until_ns = judgement->in->pools[facts_of(judgement, claim->worker)->pool].hold_retire_ns;
  uint64_t left_ns = time_between(judgement->in->now_ns, until_ns);
  return compared(left_ns, 0, left_ns > 0);
}

typedef struct policy_line guard(const struct judgement *judgement, const struct claim *claim);

#define AT(guard) [REASON_##guard - REASON_UNLEASED]
static guard *const guards[POLICY_GUARDS_N] = {
    AT(UNLEASED) = unleased, AT(LEAVING) = leaving,     AT(BUSY) = busy,         AT(TOO_YOUNG) = too_young,
    AT(PRIVATE) = private,   AT(STRIKES) = strikes,     AT(COOLDOWN) = cooldown, AT(BELOW_BASELINE) = below_baseline,
    AT(HOLD) = hold,         AT(MIN_READY) = min_ready, AT(MIN_GAIN) = min_gain, AT(TRIM) = trim,
};

struct policy_line guard__line(const struct judgement *judgement, const struct claim *claim, enum reason guard) {
  struct policy_line line = guards[guard - REASON_UNLEASED](judgement, claim);
  line.code = guard;
  line.fires &= asks(claim->rule, guard) || guard == REASON_BUSY;
  return line;
}

/* The cooldown is nobody's own guard: where the asked one goes unguarded, it is silent for its competitors too. For
 * `contribution` nobody competes: each that is over its limit is wanted. */
static bool refuses(const struct judgement *judgement, const struct claim *claim, enum reason guard) {
  if (guard == REASON_COOLDOWN && judgement->unguarded && claim->rule == REASON_PRESSURE)
    return false;
  return asks(claim->rule, guard) && guard__line(judgement, claim, guard).fires;
}

/* The guard that weighs private bytes. */
static enum reason weighing(enum reason rule) {
  return asks(rule, REASON_MIN_GAIN) ? REASON_MIN_GAIN : REASON_PRIVATE;
}

bool guard__is_refuted(const struct judgement *judgement, const struct claim *claim) {
  return guard__line(judgement, claim, weighing(claim->rule)).fires;
}

/* Can reading its private bytes change the answer? */
static bool is_worth_reading(const struct judgement *judgement, const struct claim *claim) {
  const struct ebb_worker_facts *facts = facts_of(judgement, claim->worker);
  enum reason weighs = weighing(claim->rule);
  if (facts->footprint_bytes <= claim->private_over_bytes ||
      (weighs == REASON_MIN_GAIN && rests_on_too_little(facts, claim->private_over_bytes)))
    return false;
  return asks(claim->rule, weighs) && !guard__private_is_fresh(judgement, claim->worker);
}

/* What is counted, or ordered, only when all the others agree. */
static bool comes_last(enum reason guard) {
  return guard == REASON_STRIKES || guard == REASON_TRIM;
}

/* Private bytes are dear: they are looked at when nothing else refuses, and a strike is counted when they agree. What
 * was read long ago refuses nobody, or it would never be read again. */
enum guard_answer guard__answer(const struct judgement *judgement, const struct claim *claim) {
  enum reason weighs = weighing(claim->rule);
  if (is_asked_unguarded(judgement, claim->worker))
    return GUARD_LETS;
  for (int guard = REASON_UNLEASED; guard <= REASON_HOLD; guard++)
    if (guard != (int)weighs && !comes_last((enum reason)guard) && refuses(judgement, claim, (enum reason)guard))
      return GUARD_REFUSES;
  if (asks(claim->rule, REASON_TRIM) && guard__awaits_trim(judgement, claim->worker))
    return GUARD_REFUSES;
  if (is_worth_reading(judgement, claim))
    return GUARD_ASKS;
  if (guard__is_refuted(judgement, claim))
    return GUARD_REFUSES;
  if (refuses(judgement, claim, REASON_STRIKES))
    return GUARD_COUNTS;
  return refuses(judgement, claim, REASON_TRIM) ? GUARD_TRIMS : GUARD_LETS;
}

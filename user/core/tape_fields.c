/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What is on a tape: the fields of all records, and facts as they are before anything was said. */
#include <string.h>

#include "tape.h"
#include "text.h"

/* The lists: all fields in their order, and what each is where nothing is said of it: so a tape that was made before there
 * was a rule is judged as if that were off. */

#define HOST_RULES(X)                                                                                                  \
  X(memory_budget_bytes, EBB_UNKNOWN)                                                                                  \
  X(reserve_bytes, 0)                                                                                                  \
  X(cooldown_ns, 0)                                                                                                    \
  X(pressure_some_permille, EBB_SHARE_OFF)                                                                             \
  X(pressure_full_permille, EBB_SHARE_OFF)                                                                             \
  X(dry_run, 0)
#define HOST(X)                                                                                                        \
  X(now_ns, 0)                                                                                                         \
  X(mem_total_bytes, 0)                                                                                                \
  X(mem_available_bytes, EBB_UNKNOWN)                                                                                  \
  X(pools_footprint_bytes, EBB_UNKNOWN)                                                                                \
  X(last_act_ns, 0)                                                                                                    \
  X(stall_some_us, EBB_UNKNOWN)                                                                                        \
  X(stall_full_us, EBB_UNKNOWN)                                                                                        \
  X(drops, 0)                                                                                                          \
  X(some_permille, 0)                                                                                                  \
  X(full_permille, 0)                                                                                                  \
  X(level, 0)                                                                                                          \
  X(tier, 0)                                                                                                           \
  X(probe_level, 0)                                                                                                    \
  X(reclaim_moved, 0)                                                                                                  \
  X(stall_growing, 0)
#define POOL_RULES(X)                                                                                                  \
  X(footprint_limit_bytes, EBB_UNKNOWN)                                                                                \
  X(min_lifetime_ns, 0)                                                                                                \
  X(min_ready, 0)                                                                                                      \
  X(strikes, 1)                                                                                                        \
  X(stuck_after_ns, EBB_UNKNOWN)                                                                                       \
  X(min_gain_bytes, 0)                                                                                                 \
  X(retained_limit_bytes, EBB_UNKNOWN)                                                                                 \
  X(max_jobs, EBB_UNKNOWN)                                                                                             \
  X(max_lifetime_ns, EBB_UNKNOWN)                                                                                      \
  X(trim_wait_ns, 0)                                                                                                   \
  X(contribution_limit_permille, EBB_SHARE_OFF)                                                                        \
  X(trim, 0)                                                                                                           \
  X(priority, 0)                                                                                                       \
  X(spares, 0)                                                                                                         \
  X(mode, 0)                                                                                                           \
  X(idle, 0)                                                                                                           \
  X(refill, 0)
#define POOLS(X)                                                                                                       \
  X(baseline_bytes, EBB_UNKNOWN)                                                                                       \
  X(hold_retire_ns, 0)                                                                                                 \
  X(hold_refill_ns, 0)                                                                                                 \
  X(piece_bytes, EBB_UNKNOWN)                                                                                          \
  X(requests, 0)
#define WORKERS(X)                                                                                                     \
  X(pool, 0)                                                                                                           \
  X(slot, 0)                                                                                                           \
  X(generation, 0)                                                                                                     \
  X(pid, 0)                                                                                                            \
  X(state, 0)                                                                                                          \
  X(busy, 0)                                                                                                           \
  X(strikes, 0)                                                                                                        \
  X(processes, 1)                                                                                                      \
  X(waits, 0)                                                                                                          \
  X(born_ns, 0)                                                                                                        \
  X(since_ns, 0)                                                                                                       \
  X(taken_ns, 0)                                                                                                       \
  X(turn_ns, 0)                                                                                                        \
  X(trimmed_ns, 0)                                                                                                     \
  X(fresh_bytes, EBB_UNKNOWN)                                                                                          \
  X(footprint_bytes, EBB_UNKNOWN)                                                                                      \
  X(anon_bytes, EBB_UNKNOWN)                                                                                           \
  X(shmem_bytes, EBB_UNKNOWN)                                                                                          \
  X(swap_bytes, EBB_UNKNOWN)                                                                                           \
  X(rest_bytes, EBB_UNKNOWN)                                                                                           \
  X(private_bytes, EBB_UNKNOWN)                                                                                        \
  X(private_ns, 0)                                                                                                     \
  X(peak_bytes, 0)                                                                                                     \
  X(jobs, 0)                                                                                                           \
  X(minor_faults, EBB_UNKNOWN)                                                                                         \
  X(major_faults, EBB_UNKNOWN)                                                                                         \
  X(stall_us, EBB_UNKNOWN)                                                                                             \
  X(contribution_permille, EBB_UNKNOWN)

/* A field that is missing in its list would be missing on the tape: then this does not compile. */
#define LIST(record, type, FIELDS, left_out)                                                                           \
  const struct tape_field tape_##record[] = {FIELDS(FIELD){0}};                                                        \
  _Static_assert(0 FIELDS(SIZE) + (left_out) == sizeof(struct type), "all fields of " #type);
#define SIZE_OF(type, field) sizeof(((struct type *)0)->field)

#define RECORD ebb_host_rules
#define FIELD(field, neutral) {#field, offsetof(struct RECORD, field), SIZE_OF(RECORD, field), neutral},
#define SIZE(field, neutral) +SIZE_OF(RECORD, field)
LIST(host_rules, ebb_host_rules, HOST_RULES, SIZE_OF(ebb_host_rules, reserved))
#undef RECORD
#define RECORD ebb_host_facts
LIST(host, ebb_host_facts, HOST, SIZE_OF(ebb_host_facts, reserved))
#undef RECORD
#define RECORD ebb_pool_rules
LIST(pool_rules, ebb_pool_rules, POOL_RULES, SIZE_OF(ebb_pool_rules, reserved))
#undef RECORD
#define RECORD ebb_pool_facts
LIST(pools, ebb_pool_facts, POOLS, SIZE_OF(ebb_pool_facts, reserved))
#undef RECORD
#define RECORD ebb_worker_facts
LIST(workers, ebb_worker_facts, WORKERS, SIZE_OF(ebb_worker_facts, job) + SIZE_OF(ebb_worker_facts, reserved))
#undef RECORD

uint64_t tape_field__get(const struct tape_field *field, const void *record) {
  uint32_t half;
  uint64_t whole;
  if (field->size == sizeof(whole)) {
    memcpy(&whole, (const char *)record + field->offset, sizeof(whole));
    return whole;
  }
  memcpy(&half, (const char *)record + field->offset, sizeof(half));
  return half;
}

void tape_field__set(const struct tape_field *field, void *record, uint64_t value) {
  uint32_t half = (uint32_t)value;
  memcpy((char *)record + field->offset, field->size == sizeof(half) ? (void *)&half : (void *)&value, field->size);
}

static void neutralize(const struct tape_field *fields, void *record) {
  for (; fields->name; fields++)
    tape_field__set(fields, record, fields->neutral);
}

void tape_facts__init(struct tape_facts *facts) {
  memset(facts, 0, sizeof(*facts));
  neutralize(tape_host_rules, &facts->host_rules);
  neutralize(tape_host, &facts->host);
  for (uint32_t i = 0; i < EBB_POOLS_MAX; i++) {
    neutralize(tape_pool_rules, &facts->pool_rules[i]);
    neutralize(tape_pools, &facts->pools[i]);
  }
  for (uint32_t i = 0; i < EBB_SLOTS_MAX; i++)
    neutralize(tape_workers, &facts->workers[i]);
}

struct policy_input tape_facts__input(const struct tape_facts *facts) {
  return (struct policy_input){
      .host_rules = &facts->host_rules,
      .host = &facts->host,
      .pool_rules = facts->pool_rules,
      .pools = facts->pools,
      .workers = facts->workers,
      .n_pools = facts->n_pools,
      .n_workers = facts->n_workers,
      .now_ns = facts->now_ns,
  };
}

/* What is beyond its number now is nobody, so that it comes again as new. */
static void take_workers(struct tape_facts *now, const struct policy_input *in) {
  uint32_t n = in->n_workers < EBB_SLOTS_MAX ? in->n_workers : EBB_SLOTS_MAX;
  memcpy(now->workers, in->workers, n * sizeof(*now->workers));
  for (uint32_t i = n; i < now->n_workers; i++)
    neutralize(tape_workers, &now->workers[i]);
  now->n_workers = n;
}

void tape_facts__take(struct tape_facts *now, const struct policy_input *in, const char *const names[EBB_POOLS_MAX]) {
  now->now_ns = in->now_ns;
  now->host_rules = *in->host_rules;
  now->host = *in->host;
  now->n_pools = in->n_pools < EBB_POOLS_MAX ? in->n_pools : EBB_POOLS_MAX;
  memcpy(now->pool_rules, in->pool_rules, now->n_pools * sizeof(*now->pool_rules));
  memcpy(now->pools, in->pools, now->n_pools * sizeof(*now->pools));
  for (uint32_t i = 0; i < now->n_pools; i++)
    (void)text__copy(now->names[i], sizeof(now->names[i]), names[i]);
  take_workers(now, in);
}

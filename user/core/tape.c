/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "tape.h"

#include <string.h>

#include "text.h"

#define PIECE_BYTES 4096
#define ROOM_BYTES 512 /* in a piece, for what is added at a time */

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

_Static_assert(sizeof(struct plan_act) == 24, "what is written of an act is all of it");

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

void tape__take(struct tape *tape, const struct policy_input *in, const struct plan *plan,
                const char *const names[EBB_POOLS_MAX]) {
  struct tape_facts *now = &tape->now;
  now->now_ns = in->now_ns;
  now->host_rules = *in->host_rules;
  now->host = *in->host;
  now->n_pools = in->n_pools < EBB_POOLS_MAX ? in->n_pools : EBB_POOLS_MAX;
  memcpy(now->pool_rules, in->pool_rules, now->n_pools * sizeof(*now->pool_rules));
  memcpy(now->pools, in->pools, now->n_pools * sizeof(*now->pools));
  for (uint32_t i = 0; i < now->n_pools; i++)
    (void)text__copy(now->names[i], sizeof(now->names[i]), names[i]);
  take_workers(now, in);
  tape->plan = *plan;
}

/* Writing. */

struct writer {
  struct text text;
  char piece[PIECE_BYTES];
  bool any; /* something stands before, in this object or list */
  tape_put *put;
  void *arg;
  int error;
};

static void flush(struct writer *writer, size_t least) {
  if (writer->text.used <= least)
    return;
  if (!writer->error)
    writer->error = writer->put(writer->arg, writer->piece, writer->text.used);
  text__init(&writer->text, writer->piece, sizeof(writer->piece));
}

/* A comma before all but the first of an object or a list. */
static void next(struct writer *writer) {
  flush(writer, PIECE_BYTES - ROOM_BYTES);
  if (writer->any)
    text__add(&writer->text, ",");
  writer->any = true;
}

static void begin(struct writer *writer, const char *name, const char *bracket) {
  next(writer);
  if (name)
    text__addf(&writer->text, "\"%s\":", name);
  text__add(&writer->text, bracket);
  writer->any = false;
}

static void end(struct writer *writer, const char *bracket) {
  text__add(&writer->text, bracket);
  writer->any = true;
}

static void add_number(struct writer *writer, const char *name, uint64_t value) {
  next(writer);
  text__addf(&writer->text, "\"%s\":%llu", name, (unsigned long long)value);
}

static void add_figure(struct writer *writer, const char *name, uint64_t value) {
  if (value != EBB_UNKNOWN) {
    add_number(writer, name, value);
    return;
  }
  next(writer);
  text__addf(&writer->text, "\"%s\":null", name);
}

static bool differs(const struct tape_field *fields, const void *before, const void *now) {
  for (; fields->name; fields++)
    if (tape_field__get(fields, now) != tape_field__get(fields, before))
      return true;
  return false;
}

static void add_differences(struct writer *writer, const struct tape_field *fields, const void *before,
                            const void *now) {
  for (; fields->name; fields++)
    if (tape_field__get(fields, now) != tape_field__get(fields, before))
      add_figure(writer, fields->name, tape_field__get(fields, now));
}

static void add_record(struct writer *writer, const char *name, const struct tape_field *fields, const void *before,
                       const void *now) {
  if (!differs(fields, before, now))
    return;
  begin(writer, name, "{");
  add_differences(writer, fields, before, now);
  end(writer, "}");
}

static void add_name(struct writer *writer, const char *name) {
  next(writer);
  text__add(&writer->text, "\"name\":\"");
  text__add_json(&writer->text, name, strlen(name));
  text__add(&writer->text, "\"");
}

static void add_pool(struct writer *writer, const struct tape_facts *before, const struct tape_facts *now, uint32_t i) {
  bool renamed = strcmp(before->names[i], now->names[i]) != 0;
  if (!renamed && !differs(tape_pool_rules, &before->pool_rules[i], &now->pool_rules[i]) &&
      !differs(tape_pools, &before->pools[i], &now->pools[i]))
    return;
  begin(writer, NULL, "{");
  add_number(writer, "index", i);
  if (renamed)
    add_name(writer, now->names[i]);
  add_differences(writer, tape_pool_rules, &before->pool_rules[i], &now->pool_rules[i]);
  add_differences(writer, tape_pools, &before->pools[i], &now->pools[i]);
  end(writer, "}");
}

static void add_worker(struct writer *writer, const struct tape_facts *before, const struct tape_facts *now,
                       uint32_t i) {
  if (!differs(tape_workers, &before->workers[i], &now->workers[i]))
    return;
  begin(writer, NULL, "{");
  add_number(writer, "index", i);
  add_differences(writer, tape_workers, &before->workers[i], &now->workers[i]);
  end(writer, "}");
}

static uint32_t workers_of(const struct tape *tape) {
  return tape->before.n_workers > tape->now.n_workers ? tape->before.n_workers : tape->now.n_workers;
}

static void add_facts(struct writer *writer, const struct tape *tape) {
  const struct tape_facts *now = &tape->now, *before = &tape->before;
  add_number(writer, "now_ns", now->now_ns);
  if (now->n_pools != before->n_pools)
    add_number(writer, "n_pools", now->n_pools);
  if (now->n_workers != before->n_workers)
    add_number(writer, "n_workers", now->n_workers);
  add_record(writer, "host_rules", tape_host_rules, &before->host_rules, &now->host_rules);
  add_record(writer, "host", tape_host, &before->host, &now->host);
  begin(writer, "pools", "[");
  for (uint32_t i = 0; i < now->n_pools; i++)
    add_pool(writer, before, now, i);
  end(writer, "]");
  begin(writer, "workers", "[");
  for (uint32_t i = 0; i < workers_of(tape); i++)
    add_worker(writer, before, now, i);
  end(writer, "]");
}

static void add_indexes(struct writer *writer, const char *name, const uint32_t *indexes, uint32_t n) {
  begin(writer, name, "[");
  for (uint32_t i = 0; i < n; i++) {
    next(writer);
    text__addf(&writer->text, "%u", indexes[i]);
  }
  end(writer, "]");
}

static void add_act(struct writer *writer, const struct plan_act *act) {
  begin(writer, NULL, "{");
  add_number(writer, "worker", act->worker);
  next(writer);
  text__addf(&writer->text, "\"reason\":\"%s\"", reason__name(act->reason));
  add_figure(writer, "limit_bytes", act->limit_bytes);
  if (act->first)
    add_number(writer, "first", 1);
  end(writer, "}");
}

static void add_acts(struct writer *writer, const char *name, const struct plan_act *acts, uint32_t n) {
  begin(writer, name, "[");
  for (uint32_t i = 0; i < n; i++)
    add_act(writer, &acts[i]);
  end(writer, "]");
}

static void add_pools(struct writer *writer, const char *name, const bool of[EBB_POOLS_MAX]) {
  uint32_t pools[EBB_POOLS_MAX], n = 0;
  for (uint32_t i = 0; i < EBB_POOLS_MAX; i++)
    if (of[i])
      pools[n++] = i;
  add_indexes(writer, name, pools, n);
}

static bool says_nothing(const struct plan *plan) {
  static const bool none[EBB_POOLS_MAX];
  return !plan->n_acts && !plan->n_confirm && !plan->n_struck && !plan->n_trims && !plan->n_starts &&
         !memcmp(plan->hold_refill, none, sizeof(none)) && !memcmp(plan->below_baseline, none, sizeof(none));
}

/* Nothing at all where nothing is to be done, as at most judgements. */
static void add_plan(struct writer *writer, const struct plan *plan) {
  if (says_nothing(plan))
    return;
  begin(writer, "plan", "{");
  add_acts(writer, "acts", plan->acts, plan->n_acts);
  add_indexes(writer, "confirm", plan->confirm, plan->n_confirm);
  add_indexes(writer, "struck", plan->struck, plan->n_struck);
  add_acts(writer, "trims", plan->trims, plan->n_trims);
  add_indexes(writer, "starts", plan->starts, plan->n_starts);
  add_pools(writer, "hold_refill", plan->hold_refill);
  add_pools(writer, "below_baseline", plan->below_baseline);
  end(writer, "}");
}

static void keep(struct tape *tape) {
  struct tape_facts *before = &tape->before;
  const struct tape_facts *now = &tape->now;
  memcpy(before->workers, now->workers, workers_of(tape) * sizeof(*now->workers));
  before->n_workers = now->n_workers;
  before->n_pools = now->n_pools;
  before->host_rules = now->host_rules;
  before->host = now->host;
  memcpy(before->names, now->names, sizeof(now->names));
  memcpy(before->pool_rules, now->pool_rules, sizeof(now->pool_rules));
  memcpy(before->pools, now->pools, sizeof(now->pools));
}

int tape__write(struct tape *tape, tape_put *put, void *arg) {
  struct writer writer = {.put = put, .arg = arg};
  text__init(&writer.text, writer.piece, sizeof(writer.piece));
  if (!tape->begun) {
    tape_facts__init(&tape->before);
    text__addf(&writer.text, "{\"tape\":%d,\"ebb\":\"%s\"}\n", TAPE_VERSION, EBB_VERSION);
  }
  begin(&writer, NULL, "{");
  add_facts(&writer, tape);
  add_plan(&writer, &tape->plan);
  end(&writer, "}\n");
  flush(&writer, 0);
  if (writer.error)
    return writer.error;
  tape->begun = true;
  keep(tape);
  return 0;
}

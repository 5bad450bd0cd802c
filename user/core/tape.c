/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "tape.h"

#include <string.h>

#include "text.h"

#define PIECE_BYTES 4096
#define ROOM_BYTES 512 /* in a piece, for what is added at a time */

_Static_assert(sizeof(struct plan_act) == 24, "what is written of an act is all of it");

void tape__take(struct tape *tape, const struct policy_input *in, const struct plan *plan,
                const char *const names[EBB_POOLS_MAX]) {
  tape_facts__take(&tape->now, in, names);
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

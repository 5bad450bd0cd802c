/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Any bytes as a tape: does its reader stay within its tables, does the policy bear what it reads, and is a judgement that
 * is written and read again the same?
 */
#include "fuzz.h"

#include <errno.h>
#include <stdio.h>

#include "../../tools/simulate/tape_reader.h"
#include "tape.h"

static int put(void *arg, const char *bytes, size_t n) {
  return fwrite(bytes, 1, n, arg) == n ? 0 : -EIO;
}

static void check_bounds(const struct tape_reader *reader) {
  const struct plan *plan = &reader->plan;
  MUST(reader->facts.n_pools <= EBB_POOLS_MAX && reader->facts.n_workers <= EBB_SLOTS_MAX);
  MUST(plan->n_acts <= PLAN_ACTS_MAX && plan->n_confirm <= PLAN_ACTS_MAX && plan->n_struck <= PLAN_ACTS_MAX);
  for (uint32_t i = 0; i < plan->n_acts; i++)
    MUST(plan->acts[i].worker < EBB_SLOTS_MAX && plan->acts[i].reason > REASON_NONE && plan->acts[i].reason < REASON_N);
  for (uint32_t i = 0; i < plan->n_confirm; i++)
    MUST(plan->confirm[i] < EBB_SLOTS_MAX);
  for (uint32_t i = 0; i < plan->n_struck; i++)
    MUST(plan->struck[i] < EBB_SLOTS_MAX);
}

static void must_be_same(const struct tape_field *fields, const void *a, const void *b) {
  for (; fields->name; fields++)
    MUST(tape_field__get(fields, a) == tape_field__get(fields, b));
}

static void must_be_same_facts(const struct tape_facts *a, const struct tape_facts *b) {
  MUST(a->now_ns == b->now_ns && a->n_pools == b->n_pools && a->n_workers == b->n_workers);
  must_be_same(tape_host_rules, &a->host_rules, &b->host_rules);
  must_be_same(tape_host, &a->host, &b->host);
  for (uint32_t i = 0; i < a->n_pools; i++) {
    must_be_same(tape_pool_rules, &a->pool_rules[i], &b->pool_rules[i]);
    must_be_same(tape_pools, &a->pools[i], &b->pools[i]);
  }
  for (uint32_t i = 0; i < a->n_workers; i++)
    must_be_same(tape_workers, &a->workers[i], &b->workers[i]);
}

static void must_be_same_plan(const struct plan *a, const struct plan *b) {
  MUST(a->n_acts == b->n_acts && a->n_confirm == b->n_confirm && a->n_struck == b->n_struck);
  for (uint32_t i = 0; i < a->n_acts; i++)
    MUST(a->acts[i].worker == b->acts[i].worker && a->acts[i].reason == b->acts[i].reason &&
         a->acts[i].limit_bytes == b->acts[i].limit_bytes);
  MUST(!memcmp(a->confirm, b->confirm, sizeof(a->confirm)) && !memcmp(a->struck, b->struck, sizeof(a->struck)));
  MUST(!memcmp(a->below_baseline, b->below_baseline, sizeof(a->below_baseline)));
}

/* All judgements of one file, written into one tape, one after the other. */
static void write_again(struct tape_reader *reader, struct tape *tape, FILE *to) {
  const char *names[EBB_POOLS_MAX];
  const struct policy_input in = tape_facts__input(&reader->facts);
  struct plan plan;
  policy__decide(&in, &plan);
  for (uint32_t i = 0; i < EBB_POOLS_MAX; i++)
    names[i] = reader->facts.names[i];
  tape__take(tape, &in, &reader->plan, names);
  MUST(tape__write(tape, put, to) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  static struct tape_reader first, second;
  static struct tape tape;
  FILE *from = fmemopen((void *)data, n ? n : 1, "r"), *copy = tmpfile();
  int r, judgements = 0;
  MUST(from && copy);
  memset(&tape, 0, sizeof(tape));
  tape_reader__init(&first, from);
  while (n && (r = tape_reader__next(&first)) > 0 && judgements++ < 8) {
    check_bounds(&first);
    write_again(&first, &tape, copy);
    (void)fseek(copy, 0, SEEK_SET);
    tape_reader__init(&second, copy);
    for (int i = 0; i < judgements; i++)
      MUST(tape_reader__next(&second) == 1);
    MUST(tape_reader__next(&second) == 0);
    must_be_same_facts(&first.facts, &second.facts);
    must_be_same_plan(&first.plan, &second.plan);
    tape_reader__done(&second);
  }
  tape_reader__done(&first);
  (void)fclose(from);
  (void)fclose(copy);
  return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "replay.h"

#include <string.h>

#include "cleanup.h"
#include "policy.h"
#include "tape_reader.h"
#include "text.h"

struct replay {
  const struct replay_question *question;
  FILE *to;
  unsigned n, acts, differ;
  uint64_t first_ns;
  bool explained;
};

/* "reports/3", whatever may be wrong with the worker's index. */
static const char *name_of(const struct tape_facts *facts, uint32_t worker, char *to, size_t size) {
  uint32_t pool = worker < EBB_SLOTS_MAX ? facts->workers[worker].pool : EBB_POOLS_MAX;
  char visible[4 * EBB_NAME_BYTES];
  struct text text = TEXT(visible);
  if (pool < EBB_POOLS_MAX)
    text__add_visible(&text, facts->names[pool], strlen(facts->names[pool]));
  (void)snprintf(to, size, "%s/%u", visible, worker < EBB_SLOTS_MAX ? facts->workers[worker].slot : worker);
  return to;
}

static void tell_act(const struct replay *replay, const struct tape_facts *facts, const char *sign,
                     const struct plan_act *act) {
  char name[160], bytes[16], limit[16];
  (void)fprintf(replay->to, "%s#%u %.1f s %s %s %s of %s\n", sign, replay->n,
                (double)(facts->now_ns - replay->first_ns) / 1e9, reason__name(act->reason),
                name_of(facts, act->worker, name, sizeof(name)),
                text__size(bytes, sizeof(bytes), facts->workers[act->worker].footprint_bytes),
                text__size(limit, sizeof(limit), act->limit_bytes));
}

static bool same_acts(const struct plan_act *a, const struct plan_act *b, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    if (a[i].worker != b[i].worker || a[i].reason != b[i].reason || a[i].limit_bytes != b[i].limit_bytes ||
        a[i].first != b[i].first)
      return false;
  return true;
}

static bool same(const struct plan *a, const struct plan *b) {
  return a->n_acts == b->n_acts && same_acts(a->acts, b->acts, a->n_acts) && a->n_trims == b->n_trims &&
         same_acts(a->trims, b->trims, a->n_trims) && a->n_confirm == b->n_confirm && a->n_struck == b->n_struck &&
         a->n_starts == b->n_starts && !memcmp(a->confirm, b->confirm, a->n_confirm * sizeof(*a->confirm)) &&
         !memcmp(a->struck, b->struck, a->n_struck * sizeof(*a->struck)) &&
         !memcmp(a->starts, b->starts, a->n_starts * sizeof(*a->starts)) &&
         !memcmp(a->hold_refill, b->hold_refill, sizeof(a->hold_refill)) &&
         !memcmp(a->below_baseline, b->below_baseline, sizeof(a->below_baseline));
}

static void compare(struct replay *replay, const struct tape_facts *facts, const struct plan *then,
                    const struct plan *now) {
  bool equal = same(then, now);
  replay->acts += now->n_acts;
  for (uint32_t i = 0; i < now->n_acts; i++)
    tell_act(replay, facts, equal ? "  " : "+ ", &now->acts[i]);
  if (equal)
    return;
  replay->differ++;
  for (uint32_t i = 0; i < then->n_acts; i++)
    tell_act(replay, facts, "- ", &then->acts[i]);
  (void)fprintf(replay->to, "#%u differs: %u acts (then %u), %u to confirm (%u), %u struck (%u)\n", replay->n,
                now->n_acts, then->n_acts, now->n_confirm, then->n_confirm, now->n_struck, then->n_struck);
}

/* Explaining. */

static void tell_line(const struct replay *replay, const struct policy_line *line, const char *fires) {
  char value[24] = "-", limit[24] = "-";
  if (line->value != EBB_UNKNOWN)
    (void)snprintf(value, sizeof(value), "%llu", (unsigned long long)line->value);
  if (line->limit != EBB_UNKNOWN)
    (void)snprintf(limit, sizeof(limit), "%llu", (unsigned long long)line->limit);
  (void)fprintf(replay->to, "  %-15s %-8s %20s %20s  %s\n", reason__name(line->code),
                !line->on     ? "off"
                : line->fires ? fires
                              : "-",
                value, limit, reason__sentence(line->code));
}

static void explain(struct replay *replay, const struct tape_facts *facts) {
  const struct policy_input in = tape_facts__input(facts);
  struct policy_verdict verdict;
  char name[160];
  for (uint32_t i = 0; i < facts->n_workers; i++) {
    if (!facts->workers[i].generation || strcmp(name_of(facts, i, name, sizeof(name)), replay->question->who) != 0)
      continue;
    policy__explain(&in, i, &verdict);
    (void)fprintf(replay->to, "#%u %s: %s\n", replay->n, name,
                  verdict.outcome == REASON_NONE ? "stays" : reason__name(verdict.outcome));
    for (uint32_t rule = 0; rule < POLICY_RULES_N; rule++)
      tell_line(replay, &verdict.rules[rule], "wants");
    for (uint32_t guard = 0; guard < POLICY_GUARDS_N; guard++)
      tell_line(replay, &verdict.guards[guard], "refuses");
    replay->explained = true;
  }
}

static int judge_all(struct replay *replay, struct tape_reader *reader) {
  struct plan plan;
  int r;
  while ((r = tape_reader__next(reader)) > 0) {
    if (replay->n++ == 0)
      replay->first_ns = reader->facts.now_ns;
    const struct policy_input in = tape_facts__input(&reader->facts);
    policy__decide(&in, &plan);
    compare(replay, &reader->facts, &reader->plan, &plan);
    if (replay->question->who && replay->n == replay->question->at)
      explain(replay, &reader->facts);
  }
  if (!r && replay->question->who && !replay->question->at && replay->n)
    explain(replay, &reader->facts);
  return r;
}

int replay__run(const char *path, const struct replay_question *question, FILE *to) {
  static struct tape_reader reader;
  struct replay replay = {.question = question, .to = to};
  _cleanup_file_ FILE *file = fopen(path, "re");
  if (!file) {
    (void)fprintf(stderr, "simulate: %s: %m\n", path);
    return 2;
  }
  tape_reader__init(&reader, file);
  int r = judge_all(&replay, &reader);
  tape_reader__done(&reader);
  if (r)
    (void)fprintf(stderr, "simulate: %s: %s\n", path, reader.fault);
  (void)fprintf(to, "%u judgements, %u acts, %u decided otherwise, %u torn lines\n", replay.n, replay.acts,
                replay.differ, reader.torn);
  if (!r && question->who && !replay.explained)
    (void)fprintf(stderr, "simulate: %s: there is no %s at that judgement\n", path, question->who);
  return r || (question->who && !replay.explained) ? 2 : replay.differ ? 1 : 0;
}

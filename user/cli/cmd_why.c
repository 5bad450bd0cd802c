/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ebb why: every rule and guard for one worker, by the same code that judges. */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "clock.h"
#include "json.h"
#include "log.h"
#include "policy.h"
#include "snapshot.h"
#include "text.h"
#include "view.h"

struct options {
  struct cli *cli;
  char pool[EBB_NAME_BYTES];
  uint32_t slot;
  bool named;
};

/* What policy__explain is given: arrays out of a snapshot. */
struct input {
  struct policy_input policy;
  struct ebb_pool_rules rules[EBB_POOLS_MAX];
  struct ebb_pool_facts pools[EBB_POOLS_MAX];
  struct ebb_worker_facts *workers;
};

/* One answer, for the table and for JSON. */
struct answer {
  const struct snapshot *snapshot;
  const struct snapshot_worker *worker;
  struct policy_verdict verdict;
  char conclusion[512];
};

enum unit { UNIT_NONE, UNIT_BYTES, UNIT_NS, UNIT_COUNT, UNIT_PERMILLE };

static enum unit unit_of(enum reason code) {
  switch (code) {
  case REASON_FOOTPRINT:
  case REASON_RETAINED:
  case REASON_BUDGET:
  case REASON_PRESSURE:
  case REASON_BELOW_BASELINE:
  case REASON_PRIVATE:
  case REASON_MIN_GAIN:
    return UNIT_BYTES;
  case REASON_CONTRIBUTION:
    return UNIT_PERMILLE;
  case REASON_AGE:
  case REASON_BUSY:
  case REASON_TOO_YOUNG:
  case REASON_TRIM:
  case REASON_COOLDOWN:
  case REASON_HOLD:
    return UNIT_NS;
  case REASON_REQUEST:
  case REASON_JOBS:
  case REASON_STRIKES:
  case REASON_MIN_READY:
    return UNIT_COUNT;
  default:
    return UNIT_NONE;
  }
}

static error_t parse(int key, char *arg, struct argp_state *state) {
  struct options *options = state->input;
  switch (key) {
  case ARGP_KEY_INIT:
    state->child_inputs[0] = options->cli;
    return 0;
  case ARGP_KEY_ARG:
    if (options->named || !cli__parse_slot(arg, options->pool, &options->slot))
      argp_error(state, "expected one POOL/SLOT, got `%s`", arg);
    options->named = true;
    return 0;
  case ARGP_KEY_NO_ARGS:
    argp_error(state, "which worker? expected POOL/SLOT");
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp argp = {
    .parser = parse,
    .args_doc = "POOL/SLOT",
    .doc =
        "Shows why a worker is, or is not, retired: each rule with the numbers that it compares and its verdict, each "
        "guard that can say no, and what comes of it.",
    .children = cli__common,
};

/* As of the moment at which the facts were gathered, since that is when they were judged. */
static void input__init(struct input *input, const struct snapshot *snapshot) {
  input->workers = calloc(snapshot->n_workers ? snapshot->n_workers : 1, sizeof(*input->workers));
  if (!input->workers)
    abort();
  for (uint32_t i = 0; i < snapshot->n_pools; i++) {
    input->rules[i] = snapshot->pools[i].board.rules;
    input->pools[i] = snapshot->pools[i].facts;
  }
  for (uint32_t i = 0; i < snapshot->n_workers; i++)
    input->workers[i] = snapshot->workers[i].facts;
  input->policy = (struct policy_input){
      .host_rules = &snapshot->ebbd.rules,
      .host = &snapshot->host,
      .pool_rules = input->rules,
      .pools = input->pools,
      .workers = input->workers,
      .n_pools = snapshot->n_pools,
      .n_workers = snapshot->n_workers,
      .now_ns = snapshot->age_ns == EBB_UNKNOWN ? snapshot->now_ns : snapshot->host.now_ns,
  };
}

/* The rule that wants it out, and the guard that keeps it; `busy` only puts it off unless nothing else says no. */
static enum reason first_firing(const struct policy_line *lines, size_t n, enum reason but) {
  for (size_t i = 0; i < n; i++)
    if (lines[i].fires && lines[i].code != but)
      return lines[i].code;
  return REASON_NONE;
}

static bool guard_fires(const struct policy_verdict *verdict, enum reason guard) {
  return verdict->guards[guard - REASON_UNLEASED].fires;
}

static void conclude_staying(const struct policy_verdict *verdict, struct text *to) {
  enum reason rule = first_firing(verdict->rules, POLICY_RULES_N, REASON_NONE);
  enum reason guard = first_firing(verdict->guards, POLICY_GUARDS_N, REASON_BUSY);
  if (rule == REASON_NONE) {
    text__add(to, "It stays: no rule wants it out.");
    return;
  }
  if (guard == REASON_NONE && guard_fires(verdict, REASON_BUSY))
    guard = REASON_BUSY;
  text__addf(to, "It stays: %s wants it out (%s), but ", reason__name(rule), reason__sentence(rule));
  if (guard == REASON_NONE)
    text__add(to, "others go first.");
  else if (guard == REASON_BUSY)
    text__add(to, "busy says no: it is in the middle of a job, and this rule takes only idle workers.");
  else
    text__addf(to, "%s says no: %s.", reason__name(guard), reason__sentence(guard));
}

static void conclude_stuck(const struct answer *answer, struct text *to) {
  const struct snapshot_worker *worker = answer->worker;
  const struct ebb_pool_rules *rules = &answer->snapshot->pools[worker->slot.pool].board.rules;
  char held[16], patience[16];
  if (!worker->stuck)
    return;
  text__addf(to, " It is stuck: it has not let go for %s, and the pool's stuck_after is %s.",
             text__duration(held, sizeof(held), worker->held_ns),
             text__duration(patience, sizeof(patience), rules->stuck_after_ns));
  text__add(to, worker->facts.busy || worker->state == SNAPSHOT_DUE
                    ? " A worker that holds its lease is never killed: look at what its job waits for."
                    : " It has been told to go.");
}

/* An empty slot of a oneshot pool. */
static void conclude_waiting(const struct answer *answer, struct text *to) {
  const struct snapshot *snapshot = answer->snapshot;
  char piece[16], available[16], reserve[16];
  text__addf(
      to,
      "There is no worker in this slot: its next piece waits until it fits. A piece of its pool takes up to %s; %s "
      "are available, of which reserve keeps %s.",
      text__size(piece, sizeof(piece), snapshot->pools[answer->worker->slot.pool].facts.piece_bytes),
      text__size(available, sizeof(available), snapshot->host.mem_available_bytes),
      text__size(reserve, sizeof(reserve), snapshot->ebbd.rules.reserve_bytes));
}

static void conclude(struct answer *answer) {
  const struct snapshot_worker *worker = answer->worker;
  enum reason outcome = answer->verdict.outcome, order = worker->slot.reason;
  struct text text = TEXT(answer->conclusion);
  bool leaves = worker->state == SNAPSHOT_DUE || worker->state == SNAPSHOT_RETIRING;
  if (worker->slot.pid <= 0 && worker->slot.waits)
    conclude_waiting(answer, &text);
  else if (worker->slot.pid <= 0)
    text__addf(&text, "There is no worker in this slot: it is in state %s.", snapshot__state_name(worker->state));
  else if (leaves && order > REASON_NONE && order < REASON_N)
    text__addf(&text, "It is on its way out already (%s): %s.", reason__name(order), reason__sentence(order));
  else if (leaves)
    text__add(&text, "It is on its way out already.");
  else if (worker->slot.first && order > REASON_NONE && order < REASON_N)
    text__addf(&text, "It goes when its successor is ready (%s): %s.", reason__name(order), reason__sentence(order));
  else if (outcome != REASON_NONE)
    text__addf(&text, "%s (%s): %s.",
               guard_fires(&answer->verdict, REASON_BUSY) ? "It goes when its job ends" : "It goes now",
               reason__name(outcome), reason__sentence(outcome));
  else
    conclude_staying(&answer->verdict, &text);
  if (!worker->known && worker->slot.pid > 0)
    text__add(&text, " Its memory is not known.");
  conclude_stuck(answer, &text);
}

static void add_number(struct table *table, enum reason code, uint64_t number) {
  switch (number == EBB_UNKNOWN ? UNIT_COUNT : unit_of(code)) {
  case UNIT_BYTES:
    table__add_size(table, number);
    break;
  case UNIT_NS:
    table__add_duration(table, number);
    break;
  case UNIT_COUNT:
    table__add_count(table, number);
    break;
  case UNIT_PERMILLE:
    table__add_share(table, number);
    break;
  default:
    table__add(table, VIEW_PLAIN, "-");
  }
}

static const char *rule_verdict(const struct policy_line *line) {
  bool awaits_pressure = (line->code == REASON_PRESSURE && line->value != EBB_UNKNOWN) ||
                         (line->code == REASON_CONTRIBUTION && line->limit != EBB_UNKNOWN);
  return line->fires ? "out" : line->on ? "stay" : awaits_pressure ? "calm" : "off";
}

static const char *guard_verdict(const struct policy_line *line) {
  return !line->fires ? "-" : line->code == REASON_BUSY ? "later" : "no";
}

static void print_lines(const char *title, const char *when, const struct policy_line *lines, size_t n,
                        const char *(*verdict)(const struct policy_line *line)) {
  const struct table_column columns[] = {
      {title, false}, {"VERDICT", false}, {"VALUE", true}, {"LIMIT", true}, {when, false}};
  struct table table;
  table__init(&table, columns, sizeof(columns) / sizeof(*columns));
  for (size_t i = 0; i < n; i++) {
    enum view_style style = lines[i].fires ? VIEW_WARN : VIEW_PLAIN;
    table__add(&table, style, "%s", reason__name(lines[i].code));
    table__add(&table, style, "%s", verdict(&lines[i]));
    add_number(&table, lines[i].code, lines[i].value);
    add_number(&table, lines[i].code, lines[i].limit);
    table__add(&table, VIEW_FAINT, "%s", reason__sentence(lines[i].code));
  }
  table__print(&table, stdout);
  table__done(&table);
  (void)putchar('\n');
}

static void print_who(const struct answer *answer) {
  const struct snapshot_worker *worker = answer->worker;
  char name[4 * EBB_NAME_BYTES], footprint[16], rest[16], age[16];
  (void)view__foreign(name, sizeof(name), answer->snapshot->pools[worker->slot.pool].board.name);
  (void)printf("%s/%u: generation %u, pid %d, %s; footprint %s, between jobs %s; as of %s ago\n\n", name,
               worker->slot.slot, worker->slot.generation, worker->slot.pid, snapshot__state_name(worker->state),
               text__size(footprint, sizeof(footprint), worker->facts.footprint_bytes),
               text__size(rest, sizeof(rest), worker->facts.rest_bytes),
               text__duration(age, sizeof(age), answer->snapshot->age_ns));
}

static void print_tables(const struct answer *answer) {
  if (answer->worker->slot.pid > 0) {
    print_who(answer);
    print_lines("RULE", "WANTS IT OUT WHEN", answer->verdict.rules, POLICY_RULES_N, rule_verdict);
    print_lines("GUARD", "SAYS NO WHEN", answer->verdict.guards, POLICY_GUARDS_N, guard_verdict);
  }
  (void)printf("%s%s%s\n", view__style(VIEW_STRONG), answer->conclusion, view__style(VIEW_PLAIN));
}

static void add_lines(struct json_object *to, const char *key, const char *kind, const struct policy_line *lines,
                      size_t n) {
  static const char *const units[] = {[UNIT_NONE] = NULL,
                                      [UNIT_BYTES] = "bytes",
                                      [UNIT_NS] = "ns",
                                      [UNIT_COUNT] = "count",
                                      [UNIT_PERMILLE] = "permille"};
  struct json_object *array = json__array(to, key);
  for (size_t i = 0; i < n; i++) {
    struct json_object *line = json__append(array);
    json__string(line, kind, reason__name(lines[i].code));
    json__boolean(line, "on", lines[i].on);
    json__boolean(line, "fires", lines[i].fires);
    json__number(line, "value", lines[i].value);
    json__number(line, "limit", lines[i].limit);
    json__string(line, "unit", units[unit_of(lines[i].code)]);
    json__string(line, "sentence", reason__sentence(lines[i].code));
  }
}

static void print_json(const struct answer *answer) {
  const struct snapshot_worker *worker = answer->worker;
  struct json_object *why = json_object_new_object();
  enum reason outcome = answer->verdict.outcome;
  json__number(why, "version", 1);
  json__string(why, "pool", answer->snapshot->pools[worker->slot.pool].board.name);
  json__number(why, "slot", worker->slot.slot);
  json__number(why, "generation", worker->slot.generation);
  json__number(why, "pid", worker->slot.pid > 0 ? (uint64_t)worker->slot.pid : EBB_UNKNOWN);
  json__string(why, "state", snapshot__state_name(worker->state));
  json__fraction(why, "held_s", worker->held_ns, NS_PER_SEC);
  json__boolean(why, "stuck", worker->stuck);
  json__fraction(why, "age_s", answer->snapshot->age_ns, NS_PER_SEC);
  json__number(why, "footprint_bytes", worker->facts.footprint_bytes);
  json__number(why, "rest_bytes", worker->facts.rest_bytes);
  add_lines(why, "rules", "rule", answer->verdict.rules, POLICY_RULES_N);
  add_lines(why, "guards", "guard", answer->verdict.guards, POLICY_GUARDS_N);
  json__string(why, "outcome", outcome == REASON_NONE ? NULL : reason__name(outcome));
  json__string(why, "conclusion", answer->conclusion);
  json__print(why);
}

int cmd_why(struct cli *cli, int argc, char **argv) {
  struct options options = {.cli = cli};
  struct snapshot snapshot;
  struct input input = {0};
  (void)argp_parse(&argp, argc, argv, 0, NULL, &options);
  int code = cli__snapshot(cli, &snapshot);
  if (code != CLI_DONE)
    return code;
  struct answer answer = {.snapshot = &snapshot, .worker = snapshot__find(&snapshot, options.pool, options.slot)};
  if (answer.worker) {
    input__init(&input, &snapshot);
    policy__explain(&input.policy, (uint32_t)(answer.worker - snapshot.workers), &answer.verdict);
    conclude(&answer);
    if (cli->json)
      print_json(&answer);
    else
      print_tables(&answer);
  } else {
    log__error("there is no slot %s/%u", options.pool, options.slot);
    code = CLI_REFUSED;
  }
  free(input.workers);
  snapshot__close(&snapshot);
  return code;
}

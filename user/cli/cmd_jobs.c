/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ebb jobs: which job takes, and which keeps, the memory. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "clock.h"
#include "json.h"
#include "log.h"
#include "snapshot.h"
#include "view.h"

/* name of the order, what is compared (larger first) */
#define JOB_ORDERS(X)                                                                                                  \
  X("retained", kind->retained_bytes)                                                                                  \
  X("largest", kind->retained_most_bytes)                                                                              \
  X("peak", kind->peak_bytes)                                                                                          \
  X("runs", kind->runs)                                                                                                \
  X("mean", mean(kind->total_ns, kind->runs))                                                                          \
  X("longest", kind->longest_ns)

struct options {
  struct cli *cli;
  const char *pool;
  size_t order;
};

static uint64_t mean(uint64_t total, uint64_t n) {
  return n ? total / n : EBB_UNKNOWN;
}

static const char *const orders[] = {
#define X(name, value) name,
    JOB_ORDERS(X)
#undef X
};

/* qsort takes no argument. */
static size_t order_of_sort;

static uint64_t rank(const struct ebb_job_kind *kind) {
  const uint64_t values[] = {
#define X(name, value) value,
      JOB_ORDERS(X)
#undef X
  };
  return values[order_of_sort];
}

static int compare(const void *a, const void *b) {
  const struct ebb_job_kind *one = a, *other = b;
  if (rank(one) != rank(other))
    return rank(one) < rank(other) ? 1 : -1;
  int by_pool = strcmp(one->pool, other->pool);
  return by_pool ? by_pool : strcmp(one->label, other->label);
}

static error_t parse(int key, char *arg, struct argp_state *state) {
  struct options *options = state->input;
  switch (key) {
  case ARGP_KEY_INIT:
    state->child_inputs[0] = options->cli;
    return 0;
  case 'p':
    options->pool = arg;
    return 0;
  case 's':
    for (size_t i = 0; i < sizeof(orders) / sizeof(*orders); i++)
      if (!strcmp(orders[i], arg)) {
        options->order = i;
        return 0;
      }
    argp_error(state, "--sort: expected retained, largest, peak, runs, mean or longest, got `%s`", arg);
    return 0;
  case ARGP_KEY_ARG:
    argp_error(state, "unexpected argument: %s", arg);
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_option option_table[] = {
    {"pool", 'p', "POOL", 0, "Only this pool's", 0},
    {"sort", 's', "COLUMN", 0, "retained (the default), largest, peak, runs, mean or longest; largest first", 0},
    {0},
};

static const struct argp argp = {
    .options = option_table,
    .parser = parse,
    .doc = "Shows, by pool and job label, how often a job ran, how long, how much memory it took (peak), how much it "
           "left behind (retained), and how long it waited for memory (stall).",
    .children = cli__common,
};

static size_t gather(const struct snapshot *snapshot, const char *pool, struct ebb_job_kind *to) {
  size_t n = 0;
  for (uint32_t i = 0; snapshot->traced && i < EBB_JOB_KINDS_MAX; i++) {
    struct trace_job record;
    if (!trace__job(&snapshot->trace, i, &record) && record.kind.pool[0] && record.kind.runs > 0 &&
        (!pool || !strcmp(record.kind.pool, pool)))
      to[n++] = record.kind;
  }
  return n;
}

static void add_json(const struct ebb_job_kind *kind, struct json_object *jobs) {
  struct json_object *to = json__append(jobs);
  json__string(to, "pool", kind->pool);
  json__string(to, "label", kind->label);
  json__number(to, "runs", kind->runs);
  json__fraction(to, "duration_mean_s", mean(kind->total_ns, kind->runs), NS_PER_SEC);
  json__fraction(to, "duration_longest_s", kind->longest_ns, NS_PER_SEC);
  json__number(to, "peak_bytes", kind->peak_bytes);
  json__number(to, "retained_mean_bytes", mean(kind->retained_bytes, kind->runs));
  json__number(to, "retained_largest_bytes", kind->retained_most_bytes);
  json__number(to, "retained_total_bytes", kind->retained_bytes);
  json__number(to, "faults", kind->minor_faults);
  json__number(to, "major_faults", kind->major_faults);
  json__number(to, "stall_us", kind->stall_us);
}

static void print_json(const struct ebb_job_kind *kinds, size_t n) {
  struct json_object *all = json_object_new_object();
  json__number(all, "version", 1);
  struct json_object *jobs = json__array(all, "jobs");
  for (size_t i = 0; i < n; i++)
    add_json(&kinds[i], jobs);
  json__print(all);
}

static void print_table(const struct ebb_job_kind *kinds, size_t n) {
  static const struct table_column columns[] = {
      {"POOL", false}, {"JOB", false},     {"RUNS", true},    {"MEAN", true},    {"LONGEST", true},
      {"PEAK", true},  {"RETAINED", true}, {"PER RUN", true}, {"LARGEST", true}, {"STALL", true},
  };
  struct table table;
  table__init(&table, columns, sizeof(columns) / sizeof(*columns));
  for (const struct ebb_job_kind *kind = kinds; kind < kinds + n; kind++) {
    char name[4 * EBB_NAME_BYTES], label[4 * EBB_LABEL_BYTES];
    table__add(&table, VIEW_PLAIN, "%s", view__foreign(name, sizeof(name), kind->pool));
    table__add(&table, VIEW_PLAIN, "%s", view__foreign(label, sizeof(label), kind->label));
    table__add_count(&table, kind->runs);
    table__add_duration(&table, mean(kind->total_ns, kind->runs));
    table__add_duration(&table, kind->longest_ns);
    table__add_size(&table, kind->peak_bytes);
    table__add_size(&table, kind->retained_bytes);
    table__add_size(&table, mean(kind->retained_bytes, kind->runs));
    table__add_size(&table, kind->retained_most_bytes);
    table__add_duration(&table, kind->stall_us == EBB_UNKNOWN ? EBB_UNKNOWN : kind->stall_us * NS_PER_US);
  }
  table__print(&table, stdout);
  table__done(&table);
}

int cmd_jobs(struct cli *cli, int argc, char **argv) {
  static struct ebb_job_kind kinds[EBB_JOB_KINDS_MAX];
  struct options options = {.cli = cli};
  struct snapshot snapshot;
  (void)argp_parse(&argp, argc, argv, 0, NULL, &options);
  int code = cli__snapshot(cli, &snapshot);
  if (code != CLI_DONE)
    return code;
  size_t n = gather(&snapshot, options.pool, kinds);
  bool known = n > 0 || !options.pool || snapshot__pool(&snapshot, options.pool);
  snapshot__close(&snapshot);
  if (!known) {
    log__error("there is no pool `%s`", options.pool);
    return CLI_REFUSED;
  }
  order_of_sort = options.order;
  qsort(kinds, n, sizeof(*kinds), compare);
  if (cli->json)
    print_json(kinds, n);
  else
    print_table(kinds, n);
  return CLI_DONE;
}

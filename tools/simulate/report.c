/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "report.h"

#include <string.h>

#include "text.h"

#define NUMBER_BYTES 32

static const char *number(char *to, enum measure_unit unit, double value) {
  switch (unit) {
  case MEASURE_BYTES:
    return text__size(to, NUMBER_BYTES, (uint64_t)value);
  case MEASURE_SHARE:
    (void)snprintf(to, NUMBER_BYTES, "%.2f%%", value * 100);
    return to;
  case MEASURE_SECONDS:
    return text__duration(to, NUMBER_BYTES, (uint64_t)(value * 1e9));
  default:
    (void)snprintf(to, NUMBER_BYTES, "%.0f", value);
    return to;
  }
}

const char *report__number(char *to, const char *metric, double value) {
  for (int i = 0; metrics[i].name; i++)
    if (!strcmp(metrics[i].name, metric))
      return number(to, metrics[i].unit, value);
  return number(to, strncmp(metric, "retained_share/", 15) ? MEASURE_COUNT : MEASURE_SHARE, value);
}

static double value_of(const struct measure *measure, const char *metric) {
  double value = 0;
  (void)measure__value(measure, metric, &value);
  return value;
}

/* What a run has of those metrics that are one of several: reasons, and labels. */
typedef void each(void *arg, const char *metric, double value);

static void for_each(const struct scenario *scenario, const struct measure *measure, each *do_it, void *arg) {
  char name[32 + EBB_LABEL_BYTES];
  for (int i = 0; metrics[i].name; i++)
    do_it(arg, metrics[i].name, value_of(measure, metrics[i].name));
  for (int reason = 0; reason < REASON_N; reason++) {
    if (measure->retired_for[reason] <= 0)
      continue;
    (void)snprintf(name, sizeof(name), "retired/%s", reason__name((enum reason)reason));
    do_it(arg, name, value_of(measure, name));
  }
  for (uint32_t i = 0; i < scenario->n_jobs; i++) {
    (void)snprintf(name, sizeof(name), "runs/%s", scenario->jobs[i].label);
    do_it(arg, name, value_of(measure, name));
    (void)snprintf(name, sizeof(name), "retained_share/%s", scenario->jobs[i].label);
    do_it(arg, name, value_of(measure, name));
  }
}

static const char *explained(const char *metric) {
  for (int i = 0; metrics[i].name; i++)
    if (!strcmp(metrics[i].name, metric))
      return metrics[i].text;
  return "";
}

static void line(void *arg, const char *metric, double value) {
  char text[NUMBER_BYTES];
  const char *what = explained(metric);
  (void)fprintf(arg, "%-24s %10s%s%s\n", metric, report__number(text, metric, value), *what ? "  " : "", what);
}

void report__table(const struct scenario *scenario, const struct measure *measure, FILE *to) {
  char lasts[NUMBER_BYTES];
  (void)fprintf(to, "%s: %s, seed %u, %s\n", scenario->path,
                text__duration(lasts, sizeof(lasts), scenario->run.lasts_ns), scenario->run.seed,
                scenario->run.watchdog ? "with ebb" : "doing nothing");
  for_each(scenario, measure, line, to);
}

static void csv_line(void *arg, const char *metric, double value) {
  (void)fprintf(arg, "%s,%.12g\n", metric, value);
}

void report__csv(const struct scenario *scenario, const struct measure *measure, FILE *to) {
  (void)fputs("metric,value\n", to);
  for_each(scenario, measure, csv_line, to);
}

static void json_member(void *arg, const char *metric, double value) {
  char name[2 * EBB_LABEL_BYTES];
  struct text text = TEXT(name);
  text__add_json(&text, metric, strlen(metric));
  (void)fprintf(arg, ",\"%s\":%.12g", name, value);
}

void report__json(const struct scenario *scenario, const struct measure *measure, FILE *to) {
  char path[512];
  struct text text = TEXT(path);
  text__add_json(&text, scenario->path, strlen(scenario->path));
  (void)fprintf(to, "{\"version\":1,\"scenario\":\"%s\",\"seed\":%u,\"watchdog\":%s", path, scenario->run.seed,
                scenario->run.watchdog ? "true" : "false");
  for_each(scenario, measure, json_member, to);
  (void)fputs("}\n", to);
}

void report__head(FILE *to) {
  (void)fputs("| scenario: with ebb / doing nothing | lasts | peak | swap | some stall | jobs done | lost | retired | "
              "empty slots |\n|---|---|---|---|---|---|---|---|---|\n",
              to);
}

static void cell(FILE *to, const char *metric, const struct measure *with, const struct measure *without) {
  char a[NUMBER_BYTES], b[NUMBER_BYTES];
  (void)fprintf(to, " %s / %s |", report__number(a, metric, value_of(with, metric)),
                report__number(b, metric, value_of(without, metric)));
}

void report__row(const struct scenario *scenario, const struct measure *with, const struct measure *without, FILE *to) {
  static const char *const columns[] = {"peak_bytes", "peak_swap_bytes", "stall_some", "throughput", "lost"};
  char lasts[NUMBER_BYTES], number[NUMBER_BYTES];
  const char *slash = strrchr(scenario->path, '/'), *name = slash ? slash + 1 : scenario->path;
  (void)fprintf(to, "| %.*s | %s |", (int)strcspn(name, "."), name,
                text__duration(lasts, sizeof(lasts), scenario->run.lasts_ns));
  for (size_t i = 0; i < sizeof(columns) / sizeof(*columns); i++)
    cell(to, columns[i], with, without);
  (void)fprintf(to, " %s |", report__number(number, "retired", with->retired));
  (void)fprintf(to, " %s |\n", report__number(number, "empty", with->empty));
}

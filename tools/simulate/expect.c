/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "expect.h"

#include <string.h>

#include "config.h"
#include "report.h"

static bool is_kept(const struct scenario_bound *bound, double value) {
  return bound->at_least ? value >= bound->value : value <= bound->value;
}

static void tell(const struct scenario *scenario, const struct scenario_bound *bound, double value, const char *what,
                 FILE *to) {
  char is[32], should[32];
  (void)fprintf(to, "%s:%u: %s is %s, expected %s %s%s\n", scenario->path, bound->line, bound->metric,
                report__number(is, bound->metric, value), bound->at_least ? "at least" : "at most",
                report__number(should, bound->metric, bound->value), what);
}

static bool check_bounds(const struct scenario *scenario, const struct measure *measure, FILE *to) {
  bool all = true;
  for (uint32_t i = 0; i < scenario->n_bounds; i++) {
    const struct scenario_bound *bound = &scenario->bounds[i];
    double value;
    if (measure__value(measure, bound->metric, &value)) {
      (void)fprintf(to, "%s:%u: %s: there is no such metric\n", scenario->path, bound->line, bound->metric);
      all = false;
    } else if (!is_kept(bound, value)) {
      tell(scenario, bound, value, "", to);
      all = false;
    }
  }
  return all;
}

/* At least one bound of that metric. */
static bool is_broken(const struct scenario *scenario, const struct measure *measure, const char *metric, FILE *to) {
  double value;
  for (uint32_t i = 0; i < scenario->n_bounds; i++) {
    const struct scenario_bound *bound = &scenario->bounds[i];
    if (strcmp(bound->metric, metric) != 0 || measure__value(measure, metric, &value))
      continue;
    if (!is_kept(bound, value))
      return true;
    tell(scenario, bound, value, ", and this run was to break that", to);
    return false;
  }
  (void)fprintf(to, "%s: %s: there is no bound of it that could be broken\n", scenario->path, metric);
  return false;
}

static bool check_breaks(const struct scenario *scenario, const struct measure *measure, FILE *to) {
  char space[sizeof(scenario->breaks) + 1];
  const char *words[16];
  bool all = true;
  int n = config__words(scenario->breaks, space, sizeof(space), words, 16);
  for (int i = 0; i < n; i++)
    all &= is_broken(scenario, measure, words[i], to);
  return n > 0 && all;
}

bool expect__check(const struct scenario *scenario, const struct measure *measure, FILE *to) {
  return *scenario->breaks ? check_breaks(scenario, measure, to) : check_bounds(scenario, measure, to);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Weeks of a simulated host in seconds, judged by the real policy. */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "expect.h"
#include "options.h"
#include "report.h"
#include "source.h"
#include "world.h"

enum { GOOD, BROKEN, BAD };

static int read_and_change(struct scenario *scenario, const struct options *options, const struct source *source,
                           struct scenario_error *error) {
  int r = scenario__read(scenario, source, error);
  if (!r && options->mutant) {
    r = scenario__mutate(scenario, options->mutant, error);
    if (r == -ENOENT)
      (void)snprintf(error->text, sizeof(error->text), "%s: there is no mutant '%s'", source->name, options->mutant);
  }
  for (int i = 0; !r && i < options->n_sets; i++)
    r = scenario__set(scenario, options->sets[i], error);
  return r;
}

/* With all changes of the command line; and one more, or none. */
static int prepare(struct scenario *scenario, const struct options *options, const struct source *source,
                   const char *more) {
  struct scenario_error error = {""};
  int r = read_and_change(scenario, options, source, &error);
  if (!r && more)
    r = scenario__set(scenario, more, &error);
  if (!r)
    r = scenario__settle(scenario, &error);
  if (r)
    (void)fprintf(stderr, "simulate: %s\n", error.text);
  return r;
}

static int compare(const struct options *options, const struct source *source) {
  static struct scenario scenario;
  static struct world with, without;
  if (prepare(&scenario, options, source, NULL))
    return BAD;
  world__run(&with, &scenario, NULL);
  if (prepare(&scenario, options, source, "run.watchdog=no"))
    return BAD;
  world__run(&without, &scenario, NULL);
  report__row(&scenario, &with.measure, &without.measure, stdout);
  return GOOD;
}

static int run(const struct options *options, const struct source *source) {
  static void (*const reports[])(const struct scenario *, const struct measure *, FILE *) = {
      [FORM_TABLE] = report__table, [FORM_CSV] = report__csv, [FORM_JSON] = report__json};
  static struct scenario scenario;
  static struct world world;
  _cleanup_file_ FILE *record = options->record ? fopen(options->record, "we") : NULL;
  if (options->record && !record) {
    (void)fprintf(stderr, "simulate: %s: %m\n", options->record);
    return BAD;
  }
  if (prepare(&scenario, options, source, NULL))
    return BAD;
  world__run(&world, &scenario, record);
  reports[options->form](&scenario, &world.measure, stdout);
  return expect__check(&scenario, &world.measure, stderr) ? GOOD : BROKEN;
}

static int list_mutants(const struct options *options, const struct source *source) {
  static struct scenario scenario;
  const char *name;
  if (prepare(&scenario, options, source, NULL))
    return BAD;
  for (unsigned i = 0; (name = scenario__mutant(&scenario, i)); i++)
    (void)puts(name);
  return GOOD;
}

static int take(const struct options *options, const char *path) {
  struct sources sources;
  if (options->form == FORM_REPLAY)
    return replay__run(path, &options->question, stdout);
  int r = sources__read(&sources, path);
  if (r) {
    (void)fprintf(stderr, "simulate: %s: %s\n", path, strerror(-r));
    sources__free(&sources);
    return BAD;
  }
  r = options->form == FORM_COMPARISON ? compare(options, &sources.items[0])
      : options->form == FORM_MUTANTS  ? list_mutants(options, &sources.items[0])
                                       : run(options, &sources.items[0]);
  sources__free(&sources);
  return r;
}

int main(int argc, char **argv) {
  struct options options;
  int worst = GOOD;
  options__parse(&options, argc, argv);
  if (options.form == FORM_COMPARISON)
    report__head(stdout);
  for (int i = 0; i < options.n_paths; i++) {
    int r = take(&options, options.paths[i]);
    worst = r > worst ? r : worst;
  }
  return worst;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Weeks of a simulated host in seconds, judged by the real policy. */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"
#include "replay.h"
#include "report.h"
#include "source.h"
#include "world.h"

#define SETS_MAX 32

const char *argp_program_version = "simulate " EBB_VERSION;

enum {
  OPTION_CSV = 256,
  OPTION_JSON,
  OPTION_TABLE,
  OPTION_NO_WATCHDOG,
  OPTION_MUTANTS,
  OPTION_REPLAY,
  OPTION_AT,
  OPTION_EXPLAIN
};

enum form { FORM_TABLE, FORM_CSV, FORM_JSON, FORM_COMPARISON, FORM_MUTANTS, FORM_REPLAY };

struct arguments {
  enum form form;
  const char *mutant;
  int n_sets;
  const char *sets[SETS_MAX];
  char days[64], seed[64];
  struct replay_question question;
  int n_paths;
  char **paths;
};

static const struct argp_option table[] = {
    {"seed", 's', "N", 0, "Another one than the file's", 0},
    {"days", 'd', "N", 0, "Run for so long", 0},
    {"no-watchdog", OPTION_NO_WATCHDOG, 0, 0, "Do nothing, to compare with", 0},
    {"set", 'S', "SECTION.KEY=VALUE", 0, "Change the scenario", 0},
    {"mutant", 'm', "NAME", 0, "Run that mutant, which has to break its bounds", 0},
    {"mutants", OPTION_MUTANTS, 0, 0, "Names of the scenario's mutants", 0},
    {"table", OPTION_TABLE, 0, 0, "A row for each scenario: with ebb, and doing nothing", 0},
    {"replay", OPTION_REPLAY, 0, 0, "The files are what ebb-watch --record has written: judge it again", 1},
    {"at", OPTION_AT, "N", 0, "The N-th judgement (default the last)", 1},
    {"explain", OPTION_EXPLAIN, "POOL/SLOT", 0, "All that spoke for and against that worker there", 1},
    {"csv", OPTION_CSV, 0, 0, "metric,value", 0},
    {"json", OPTION_JSON, 0, 0, "One object", 0},
    {0},
};

static void add_set(struct arguments *arguments, const char *set, struct argp_state *state) {
  if (arguments->n_sets == SETS_MAX)
    argp_error(state, "too many changes");
  arguments->sets[arguments->n_sets++] = set;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
  struct arguments *arguments = state->input;
  switch (key) {
  case 's':
    (void)snprintf(arguments->seed, sizeof(arguments->seed), "run.seed=%s", arg);
    add_set(arguments, arguments->seed, state);
    return 0;
  case 'd':
    (void)snprintf(arguments->days, sizeof(arguments->days), "run.lasts=%sd", arg);
    add_set(arguments, arguments->days, state);
    return 0;
  case OPTION_NO_WATCHDOG:
    add_set(arguments, "run.watchdog=no", state);
    return 0;
  case 'S':
    add_set(arguments, arg, state);
    return 0;
  case 'm':
    arguments->mutant = arg;
    return 0;
  case OPTION_CSV:
    arguments->form = FORM_CSV;
    return 0;
  case OPTION_JSON:
    arguments->form = FORM_JSON;
    return 0;
  case OPTION_TABLE:
    arguments->form = FORM_COMPARISON;
    return 0;
  case OPTION_MUTANTS:
    arguments->form = FORM_MUTANTS;
    return 0;
  case OPTION_REPLAY:
    arguments->form = FORM_REPLAY;
    return 0;
  case OPTION_AT:
    arguments->question.at = (unsigned)strtoul(arg, NULL, 10);
    return 0;
  case OPTION_EXPLAIN:
    arguments->question.who = arg;
    return 0;
  case ARGP_KEY_ARGS:
    arguments->paths = state->argv + state->next;
    arguments->n_paths = state->argc - state->next;
    return 0;
  case ARGP_KEY_NO_ARGS:
    argp_usage(state);
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

/* With all changes of the command line; and one more, or none. */
static int prepare(struct scenario *scenario, const struct arguments *arguments, const struct source *source,
                   const char *more) {
  struct scenario_error error = {""};
  int r = scenario__read(scenario, source, &error);
  if (!r && arguments->mutant) {
    r = scenario__mutate(scenario, arguments->mutant, &error);
    if (r == -ENOENT)
      (void)snprintf(error.text, sizeof(error.text), "%s: there is no mutant '%s'", source->name, arguments->mutant);
  }
  for (int i = 0; !r && i < arguments->n_sets; i++)
    r = scenario__set(scenario, arguments->sets[i], &error);
  if (!r && more)
    r = scenario__set(scenario, more, &error);
  if (!r)
    r = scenario__settle(scenario, &error);
  if (r)
    (void)fprintf(stderr, "simulate: %s\n", error.text);
  return r;
}

static int compare(const struct arguments *arguments, const struct source *source) {
  static struct scenario scenario;
  static struct world with, without;
  if (prepare(&scenario, arguments, source, NULL))
    return 2;
  world__run(&with, &scenario);
  if (prepare(&scenario, arguments, source, "run.watchdog=no"))
    return 2;
  world__run(&without, &scenario);
  report__row(&scenario, &with.measure, &without.measure, stdout);
  return 0;
}

static int run(const struct arguments *arguments, const struct source *source) {
  static void (*const reports[])(const struct scenario *, const struct measure *, FILE *) = {
      [FORM_TABLE] = report__table, [FORM_CSV] = report__csv, [FORM_JSON] = report__json};
  static struct scenario scenario;
  static struct world world;
  if (prepare(&scenario, arguments, source, NULL))
    return 2;
  world__run(&world, &scenario);
  reports[arguments->form](&scenario, &world.measure, stdout);
  return expect__check(&scenario, &world.measure, stderr) ? 0 : 1;
}

static int list_mutants(const struct arguments *arguments, const struct source *source) {
  static struct scenario scenario;
  const char *name;
  if (prepare(&scenario, arguments, source, NULL))
    return 2;
  for (unsigned i = 0; (name = scenario__mutant(&scenario, i)); i++)
    (void)puts(name);
  return 0;
}

static int take(const struct arguments *arguments, const char *path) {
  struct sources sources;
  if (arguments->form == FORM_REPLAY)
    return replay__run(path, &arguments->question, stdout);
  int r = sources__read(&sources, path);
  if (r) {
    (void)fprintf(stderr, "simulate: %s: %s\n", path, strerror(-r));
    return 2;
  }
  r = arguments->form == FORM_COMPARISON ? compare(arguments, &sources.items[0])
      : arguments->form == FORM_MUTANTS  ? list_mutants(arguments, &sources.items[0])
                                         : run(arguments, &sources.items[0]);
  sources__free(&sources);
  return r;
}

int main(int argc, char **argv) {
  static const struct argp argp = {
      .options = table,
      .parser = parse,
      .args_doc = "SCENARIO...\n--replay TAPE...",
      .doc =
          "Runs the policy of ebb over a simulated host, and checks what the scenario expects of it.\v"
          "What a scenario says is told by tools/simulate/scenario.h. Exit status: 0, 1 when a bound is broken (of a "
          "mutant: kept), 2 for a bad file. With --replay: 1 when a decision is another one than then.",
  };
  struct arguments arguments = {.form = FORM_TABLE};
  argp_err_exit_status = 2;
  (void)argp_parse(&argp, argc, argv, 0, NULL, &arguments);
  if (arguments.form == FORM_COMPARISON)
    report__head(stdout);
  int worst = 0;
  for (int i = 0; i < arguments.n_paths; i++) {
    int r = take(&arguments, arguments.paths[i]);
    worst = r > worst ? r : worst;
  }
  return worst;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "options.h"

#include <argp.h>

#include "parse.h"

const char *argp_program_version = "simulate " EBB_VERSION;

enum { CSV = 256, JSON, TABLE, NO_WATCHDOG, MUTANTS, RECORD, REPLAY, AT, EXPLAIN };

static const struct argp_option table[] = {
    {"seed", 's', "N", 0, "Another one than the file's", 0},
    {"days", 'd', "N", 0, "Run for so long", 0},
    {"no-watchdog", NO_WATCHDOG, 0, 0, "Do nothing, to compare with", 0},
    {"set", 'S', "SECTION.KEY=VALUE", 0, "Change the scenario", 0},
    {"mutant", 'm', "NAME", 0, "Run that mutant, which has to break its bounds", 0},
    {"mutants", MUTANTS, 0, 0, "Names of the scenario's mutants", 0},
    {"table", TABLE, 0, 0, "A row for each scenario: with ebb, and doing nothing", 0},
    {"csv", CSV, 0, 0, "metric,value", 0},
    {"json", JSON, 0, 0, "One object", 0},
    {"record", RECORD, "FILE", 0, "Write all judgements into it, as ebb-watch --record does", 0},
    {"replay", REPLAY, 0, 0, "The files are such records: judge them again", 1},
    {"at", AT, "N", 0, "The N-th judgement (default the last)", 1},
    {"explain", EXPLAIN, "POOL/SLOT", 0, "All that spoke for and against that worker there", 1},
    {0},
};

static void add_set(struct options *options, const char *set, struct argp_state *state) {
  if (options->n_sets == OPTIONS_SETS_MAX)
    argp_error(state, "too many changes");
  else
    options->sets[options->n_sets++] = set;
}

static enum form form_of(int key) {
  return key == CSV       ? FORM_CSV
         : key == JSON    ? FORM_JSON
         : key == TABLE   ? FORM_COMPARISON
         : key == MUTANTS ? FORM_MUTANTS
                          : FORM_REPLAY;
}

static unsigned judgement(const char *arg, struct argp_state *state) {
  uint64_t n = 0;
  if (parse__number(arg, UINT32_MAX, &n) || n == 0)
    argp_error(state, "at: expected a number from 1, got '%s'", arg);
  return (unsigned)n;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
  struct options *options = state->input;
  switch (key) {
  case 's':
    (void)snprintf(options->seed, sizeof(options->seed), "run.seed=%s", arg);
    add_set(options, options->seed, state);
    return 0;
  case 'd':
    (void)snprintf(options->days, sizeof(options->days), "run.lasts=%sd", arg);
    add_set(options, options->days, state);
    return 0;
  case NO_WATCHDOG:
    add_set(options, "run.watchdog=no", state);
    return 0;
  case 'S':
    add_set(options, arg, state);
    return 0;
  case 'm':
    options->mutant = arg;
    return 0;
  case RECORD:
    options->record = arg;
    return 0;
  case CSV:
  case JSON:
  case TABLE:
  case MUTANTS:
  case REPLAY:
    options->form = form_of(key);
    return 0;
  case AT:
    options->question.at = judgement(arg, state);
    return 0;
  case EXPLAIN:
    options->question.who = arg;
    return 0;
  case ARGP_KEY_ARGS:
    options->paths = state->argv + state->next;
    options->n_paths = state->argc - state->next;
    return 0;
  case ARGP_KEY_NO_ARGS:
    argp_usage(state);
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

void options__parse(struct options *ret, int argc, char **argv) {
  static const struct argp argp = {
      .options = table,
      .parser = parse,
      .args_doc = "SCENARIO...\n--replay RECORD...",
      .doc =
          "Runs the policy of ebb over a simulated host, and checks what the scenario expects of it.\v"
          "What a scenario says is told by tools/simulate/scenario.h. Exit status: 0, 1 when a bound is broken (of a "
          "mutant: kept), 2 for a bad file. With --replay: 1 when a decision is another one than then.",
  };
  argp_err_exit_status = 2;
  *ret = (struct options){.form = FORM_TABLE};
  (void)argp_parse(&argp, argc, argv, 0, NULL, ret);
}

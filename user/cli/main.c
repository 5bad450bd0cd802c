/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ebb: shows what ebbd and ebb-watch wrote down, and sends commands. Needs neither of them running to read the last state. */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "log.h"

const char *argp_program_version = "ebb " EBB_VERSION;

struct subcommand {
  const char *name;
  const char *full_name; /* in usage and error messages */
  int (*run)(struct cli *cli, int argc, char **argv);
};

static const struct subcommand subcommands[] = {
#define X(name, summary) {#name, "ebb " #name, cmd_##name},
    CLI_COMMANDS(X)
#undef X
};

struct invocation {
  struct cli cli;
  int at; /* of the subcommand's name in argv */
};

static error_t parse_global(int key, char *arg, struct argp_state *state) {
  struct invocation *invocation = state->input;
  (void)arg;
  switch (key) {
  case ARGP_KEY_INIT:
    state->child_inputs[0] = &invocation->cli;
    return 0;
  case ARGP_KEY_ARG:
    /* What follows is the subcommand's, options included. */
    invocation->at = state->next - 1;
    state->next = state->argc;
    return 0;
  case ARGP_KEY_NO_ARGS:
    argp_usage(state);
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

#define X(name, summary) "  " #name "\t" summary "\n"
static const char commands_help[] = CLI_COMMANDS(X);
#undef X

/* The list of subcommands, its columns lined up; argp keeps lines that begin with a blank as they are. */
static char *help_filter(int key, const char *text, void *input) {
  (void)input;
  if (key != ARGP_KEY_HELP_POST_DOC)
    return (char *)text;
  char *help = NULL;
  size_t n = 0;
  FILE *to = open_memstream(&help, &n);
  if (!to)
    return NULL;
  (void)fprintf(to, "Commands:\n");
  for (const char *line = commands_help; *line; line = strchr(line, '\n') + 1)
    (void)fprintf(to, "%-*.*s%.*s\n", 10, (int)strcspn(line, "\t"), line, (int)strcspn(strchr(line, '\t') + 1, "\n"),
                  strchr(line, '\t') + 1);
  (void)fprintf(to, "\n%s", text);
  (void)fclose(to);
  return help;
}

static const struct argp global_argp = {
    .parser = parse_global,
    .args_doc = "COMMAND [ARGUMENT...]",
    .doc = "Shows pools of job workers and their memory, and sends commands to ebbd.\v"
           "`ebb COMMAND --help` tells more of each. Exit codes: 0 done, 1 refused, 2 usage, 3 not running, "
           "4 timed out, 5 not permitted.",
    .children = cli__common,
    .help_filter = help_filter,
};

static const struct subcommand *find(const char *name) {
  for (size_t i = 0; i < sizeof(subcommands) / sizeof(*subcommands); i++)
    if (!strcmp(subcommands[i].name, name))
      return &subcommands[i];
  return NULL;
}

int main(int argc, char **argv) {
  struct invocation invocation = {0};
  /* Characters as the terminal has them; but numbers as programs read them. */
  (void)setlocale(LC_CTYPE, "");
  log__init("ebb", false);
  argp_err_exit_status = CLI_USAGE;
  (void)argp_parse(&global_argp, argc, argv, ARGP_IN_ORDER, NULL, &invocation);

  const struct subcommand *subcommand = find(argv[invocation.at]);
  if (!subcommand) {
    log__error("there is no command `%s`; see `ebb --help`", argv[invocation.at]);
    return CLI_USAGE;
  }
  argv[invocation.at] = (char *)subcommand->full_name;
  int code = subcommand->run(&invocation.cli, argc - invocation.at, argv + invocation.at);
  if (fflush(stdout) || ferror(stdout)) {
    log__error("cannot write the output: %s", strerror(errno));
    return code ? code : CLI_REFUSED;
  }
  return code;
}

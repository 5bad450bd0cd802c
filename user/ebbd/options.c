/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "options.h"

#include <argp.h>
#include <stdlib.h>

#include "fault.h"

const char *argp_program_version = "ebbd " EBB_VERSION;

enum { OPTION_NO_WATCH = 256, OPTION_FAULT_POINTS };

static const struct argp_option table[] = {
    {"config", 'c', "FILE", 0, "Configuration (default /etc/ebb/ebb.conf, and pools.d/*.conf beside it)", 0},
    {"run-dir", 'r', "DIR", 0, "Run directory (default $EBB_RUN_DIR, else /run/ebb)", 0},
    {"check", 'C', 0, 0, "Only check the configuration", 0},
    {"no-watch", OPTION_NO_WATCH, 0, 0, "Keep the pools, but do not start ebb-watch", 0},
    {"fault-points", OPTION_FAULT_POINTS, 0, 0, "List the points that EBB_FAULT can name, in a build for tests", 0},
    {"verbose", 'v', 0, 0, "Say more", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state) {
  struct options *options = state->input;
  switch (key) {
  case 'c':
    options->config_path = arg;
    return 0;
  case 'r':
    options->run_dir = arg;
    return 0;
  case 'C':
    options->check = true;
    return 0;
  case OPTION_NO_WATCH:
    options->no_watch = true;
    return 0;
  case OPTION_FAULT_POINTS:
    fault__list();
    exit(0);
  case 'v':
    options->verbose = true;
    return 0;
  case ARGP_KEY_ARG:
    argp_error(state, "unexpected argument: %s", arg);
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

void options__parse(struct options *ret, int argc, char **argv) {
  static const struct argp argp = {
      .options = table,
      .parser = parse,
      .doc = "Keeps pools of job workers: starts them, retires them between jobs, refills their slots.\v"
             "Commands come through the FIFO `control` of the run directory; see ebb(1) and ebbd(8).",
  };
  argp_err_exit_status = 2;
  *ret = (struct options){.config_path = "/etc/ebb/ebb.conf"};
  (void)argp_parse(&argp, argc, argv, 0, NULL, ret);
}

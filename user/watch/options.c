/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "options.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "recorder.h"

const char *argp_program_version = "ebb-watch " EBB_VERSION;

enum { OPTION_DOCTOR = 256, OPTION_JSON, OPTION_RECORD, OPTION_RECORD_SIZE };

static const struct argp_option table[] = {
    {"run-dir", 'r', "DIR", 0, "Run directory of ebbd (default $EBB_RUN_DIR, else /run/ebb)", 0},
    {"sensor", 's', "NAME", 0, "auto, bpf or proc (default $EBB_SENSOR, else auto)", 0},
    {"doctor", OPTION_DOCTOR, 0, 0, "Probe what this machine allows, and end", 0},
    {"json", OPTION_JSON, 0, 0, "With --doctor: for machines", 0},
    {"record", OPTION_RECORD, "FILE", 0, "Append all judgements to FILE, for simulate --replay (default $EBB_RECORD)",
     0},
    {"record-size", OPTION_RECORD_SIZE, "SIZE", 0, "Record until FILE has that size, such as 100M (default 1G)", 0},
    {"verbose", 'v', 0, 0, "Say more; refused kernel programs with the verifier's log", 0},
    {0},
};

static bool is_sensor(const char *name) {
  return !strcmp(name, "auto") || !strcmp(name, "bpf") || !strcmp(name, "proc");
}

static error_t parse(int key, char *arg, struct argp_state *state) {
  struct options *options = state->input;
  switch (key) {
  case 'r':
    options->run_dir = arg;
    return 0;
  case 's':
    options->sensor = arg;
    return 0;
  case OPTION_DOCTOR:
    options->doctor = true;
    return 0;
  case OPTION_JSON:
    options->json = true;
    return 0;
  case OPTION_RECORD:
    options->record = arg;
    return 0;
  case OPTION_RECORD_SIZE:
    if (parse__size(arg, 0, &options->record_bytes))
      argp_error(state, "record-size: expected a size such as 100M, got '%s'", arg);
    return 0;
  case 'v':
    options->verbose = true;
    return 0;
  case ARGP_KEY_ARG:
    argp_error(state, "unexpected argument: %s", arg);
    return 0;
  case ARGP_KEY_END:
    if (!is_sensor(options->sensor))
      argp_error(state, "sensor: expected auto, bpf or proc, got '%s'", options->sensor);
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

void options__parse(struct options *ret, int argc, char **argv) {
  static const struct argp argp = {
      .options = table,
      .parser = parse,
      .doc = "Watches the memory of ebbd's workers and of the host, and says who should be retired.\v"
             "Started by ebbd, and again when it ends. Everything that it wants done is a line in ebbd's control FIFO.",
  };
  const char *sensor = getenv("EBB_SENSOR"), *record = getenv("EBB_RECORD");
  argp_err_exit_status = 2;
  *ret = (struct options){.sensor = sensor && *sensor ? sensor : "auto",
                          .record = record && *record ? record : NULL,
                          .record_bytes = RECORDER_BYTES};
  (void)argp_parse(&argp, argc, argv, 0, NULL, ret);
}

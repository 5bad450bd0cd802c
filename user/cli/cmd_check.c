/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ebb check: reads a configuration as ebbd would, and says what is wrong with it. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "config.h"
#include "json.h"
#include "log.h"
#include "meminfo.h"
#include "source.h"

#define CONFIG_DEFAULT "/etc/ebb/ebb.conf"

struct options {
  struct cli *cli;
  const char *path;
};

static error_t parse(int key, char *arg, struct argp_state *state) {
  struct options *options = state->input;
  switch (key) {
  case ARGP_KEY_INIT:
    state->child_inputs[0] = options->cli;
    return 0;
  case ARGP_KEY_ARG:
    if (options->path)
      argp_error(state, "expected one file, got `%s` too", arg);
    options->path = arg;
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp argp = {
    .parser = parse,
    .args_doc = "[FILE]",
    .doc = "Checks a configuration (default " CONFIG_DEFAULT ") and the pools.d/*.conf beside it. Starts nothing.",
    .children = cli__common,
};

/* Reads the files and judges them. 0 or negative errno with *error filled in. */
static int read_config(const char *path, struct config *ret, struct config_error *error) {
  static struct sources sources;
  struct meminfo memory;
  int r = meminfo__read(&memory);
  if (r < 0) {
    (void)snprintf(error->text, sizeof(error->text), "cannot read /proc/meminfo: %s", strerror(-r));
    return r;
  }
  r = sources__read(&sources, path);
  if (r < 0)
    (void)snprintf(error->text, sizeof(error->text), "%s: %s", sources.n ? sources.items[0].name : path, strerror(-r));
  else
    r = config__read(ret, memory.total_bytes, sources.items, sources.n, error);
  sources__free(&sources);
  return r;
}

static void print_json(const struct config *config, const char *error) {
  struct json_object *result = json_object_new_object();
  json__boolean(result, "ok", !error);
  json__string(result, "error", error);
  json__number(result, "pools", error ? EBB_UNKNOWN : config->n_pools);
  json__number(result, "workers", error ? EBB_UNKNOWN : config->n_slots);
  json__print(result);
}

int cmd_check(struct cli *cli, int argc, char **argv) {
  struct options options = {.cli = cli};
  static struct config config; /* too big for a stack */
  struct config_error error = {0};
  (void)argp_parse(&argp, argc, argv, 0, NULL, &options);
  int r = read_config(options.path ? options.path : CONFIG_DEFAULT, &config, &error);
  if (cli->json)
    print_json(&config, r < 0 ? error.text : NULL);
  else if (r < 0)
    log__error("%s", error.text);
  else
    (void)printf("ok: %u pools, %u workers\n", config.n_pools, config.n_slots);
  return r < 0 ? CLI_REFUSED : CLI_DONE;
}

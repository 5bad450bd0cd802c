/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "ebb/bounds.h"
#include "log.h"
#include "parse.h"
#include "rundir.h"
#include "snapshot.h"

static const struct argp_option common_options[] = {
    {"run-dir", 'r', "DIR", 0, "Run directory (default $EBB_RUN_DIR, else /run/ebb)", -2},
    {"json", 'j', NULL, 0, "Print JSON", -2},
    {0},
};

static error_t parse_common(int key, char *arg, struct argp_state *state) {
  struct cli *cli = state->input;
  switch (key) {
  case 'r':
    cli->run_dir = arg;
    return 0;
  case 'j':
    cli->json = true;
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp common_argp = {.options = common_options, .parser = parse_common};
const struct argp_child cli__common[] = {{.argp = &common_argp}, {0}};

static error_t parse_plain(int key, char *arg, struct argp_state *state) {
  switch (key) {
  case ARGP_KEY_INIT:
    state->child_inputs[0] = state->input;
    return 0;
  case ARGP_KEY_ARG:
    argp_error(state, "unexpected argument: %s", arg);
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

void cli__parse_plain(struct cli *cli, int argc, char **argv, const char *doc) {
  const struct argp argp = {.parser = parse_plain, .doc = doc, .children = cli__common};
  (void)argp_parse(&argp, argc, argv, 0, NULL, cli);
}

int cli__open_run_dir(const struct cli *cli) {
  const char *path = rundir__path(cli->run_dir);
  int fd = rundir__open(path);
  if (fd >= 0)
    return fd;
  if (fd == -ENOENT) {
    log__error("ebbd has not run here: there is no run directory %s", path);
    return -CLI_NOT_RUNNING;
  }
  log__error("cannot open the run directory %s: %s", path, strerror(-fd));
  return fd == -EACCES || fd == -EPERM ? -CLI_NOT_PERMITTED : -CLI_REFUSED;
}

int cli__cannot_read(const struct cli *cli, const char *file, int error) {
  const char *path = rundir__path(cli->run_dir);
  switch (-error) {
  case ENOENT:
    log__error("ebbd has not run here: there is no %s/%s", path, file);
    return CLI_NOT_RUNNING;
  case EACCES:
  case EPERM:
    log__error("not permitted to read %s/%s: only its owner and the control group are", path, file);
    return CLI_NOT_PERMITTED;
  case EPROTO:
    log__error("%s/%s is damaged", path, file);
    return CLI_REFUSED;
  case EPROTONOSUPPORT:
    log__error("%s/%s was written by another version of ebb: use the one that its daemons came with", path, file);
    return CLI_REFUSED;
  case EAGAIN:
    log__error("%s/%s holds a record that its writer never finished", path, file);
    return CLI_REFUSED;
  default:
    log__error("cannot read %s/%s: %s", path, file, strerror(-error));
    return CLI_REFUSED;
  }
}

bool cli__parse_slot(const char *text, char *to_pool, uint32_t *ret_slot) {
  const char *slash = strchr(text, '/');
  uint64_t slot;
  if (!slash || slash == text || slash - text >= EBB_NAME_BYTES || parse__number(slash + 1, EBB_SLOTS_MAX - 1, &slot))
    return false;
  (void)snprintf(to_pool, EBB_NAME_BYTES, "%.*s", (int)(slash - text), text);
  *ret_slot = (uint32_t)slot;
  return true;
}

int cli__snapshot(const struct cli *cli, struct snapshot *ret) {
  const char *file = NULL;
  char note[128];
  _cleanup_fd_ int dirfd = cli__open_run_dir(cli);
  if (dirfd < 0)
    return -dirfd;
  int r = snapshot__open(ret, dirfd, clock__monotonic_ns(), &file);
  if (r < 0)
    return cli__cannot_read(cli, file, r);
  if (*snapshot__note(ret, note, sizeof(note)))
    log__warning("%s", note);
  return CLI_DONE;
}

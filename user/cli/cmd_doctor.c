/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ebb doctor: what this kernel can do. The answer is ebb-watch's, which has the probe in it; this finds and runs it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "log.h"
#include "rundir.h"
#include "text.h"

#define WATCH_ENV "EBB_WATCH"

/* Where it may lie, seen from the directory that ebb itself is in. */
static const char *const places[] = {"ebb-watch", "../libexec/ebb/ebb-watch"};

static bool directory_of_ebb(char *to, size_t size) {
  ssize_t n = readlink("/proc/self/exe", to, size - 1);
  if (n <= 0)
    return false;
  to[n] = 0;
  *strrchr(to, '/') = 0;
  return true;
}

static bool find_watch(char *to, size_t size) {
  const char *named = getenv(WATCH_ENV);
  char directory[PATH_MAX];
  if (named && *named)
    return text__copy(to, size, named);
  if (!directory_of_ebb(directory, sizeof(directory)))
    return false;
  for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
    (void)snprintf(to, size, "%s/%s", directory, places[i]);
    if (!access(to, F_OK))
      return true;
  }
  return false;
}

int cmd_doctor(struct cli *cli, int argc, char **argv) {
  char watch[2 * PATH_MAX];
  cli__parse_plain(cli, argc, argv,
                   "Probes what this kernel lets ebb see: each feature, the tier and level that follow, and what to "
                   "change to get more. Runs `ebb-watch --doctor` (from $EBB_WATCH, beside ebb, or from libexec/ebb).");
  if (!find_watch(watch, sizeof(watch))) {
    log__error("there is no ebb-watch beside ebb or in ../libexec/ebb, and " WATCH_ENV " does not name one");
    return CLI_REFUSED;
  }
  const char *run_dir = rundir__path(cli->run_dir);
  char *const arguments[] = {watch, "--doctor", "--run-dir", (char *)run_dir, cli->json ? "--json" : NULL, NULL};
  (void)execv(watch, arguments);
  log__error("cannot run %s: %s", watch, strerror(errno));
  return errno == EACCES || errno == EPERM ? CLI_NOT_PERMITTED : CLI_REFUSED;
}

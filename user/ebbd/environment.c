/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "environment.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "ebb/lease.h"
#include "rundir.h"

#define ENVIRONMENT_MAX 512

struct environment {
  const char *vars[ENVIRONMENT_MAX + 1]; /* NULL-terminated */
  size_t n;
  char lease[PATH_MAX + 64], pool[64], slot[32], generation[40];
  char home[160], user[48], logname[48], shell[96];
};

extern char **environ;

static bool has(const struct environment *environment, const char *variable) {
  size_t name = strcspn(variable, "=") + 1;
  for (size_t i = 0; i < environment->n; i++)
    if (!strncmp(environment->vars[i], variable, name))
      return true;
  return false;
}

static void add(struct environment *environment, const char *variable) {
  if (environment->n >= ENVIRONMENT_MAX || has(environment, variable))
    return;
  environment->vars[environment->n++] = variable;
  environment->vars[environment->n] = NULL;
}

/* What a service manager tells its service, and what we tell the watch, is not for workers. */
static bool speaks_of_ebbd(const char *variable) {
  static const char *const prefixes[] = {"EBB_",     "NOTIFY_SOCKET=", "WATCHDOG_",         "LISTEN_",
                                         "MAINPID=", "INVOCATION_ID=", "SYSTEMD_EXEC_PID=", "CREDENTIALS_DIRECTORY="};
  for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
    if (!strncmp(variable, prefixes[i], strlen(prefixes[i])))
      return true;
  return false;
}

#define PUT(environment, field, ...)                                                                                   \
  do {                                                                                                                 \
    (void)snprintf((environment)->field, sizeof((environment)->field), __VA_ARGS__);                                   \
    add(environment, (environment)->field);                                                                            \
  } while (0)

static void compose(struct environment *ret, const struct keeper *keeper, const struct slot *slot,
                    const char *lease_name) {
  const struct pool *pool = slot->pool;
  const struct identity *identity = &pool->identity;
  ret->n = 0;
  ret->vars[0] = NULL;
  if (lease_name) {
    PUT(ret, lease, EBB_LEASE_ENV "=%s/lease/%s", keeper->run_path, lease_name);
    PUT(ret, generation, EBB_GENERATION_ENV "=%u", slot->generation);
  } else {
    PUT(ret, lease, RUNDIR_ENV "=%s", keeper->run_path);
  }
  PUT(ret, pool, EBB_POOL_ENV "=%s", pool->config.name);
  PUT(ret, slot, EBB_SLOT_ENV "=%u", slot->number);
  for (const char *const *variable = pool->environment; *variable; variable++)
    add(ret, *variable);
  if (identity->set) {
    PUT(ret, home, "HOME=%s", identity->home);
    PUT(ret, user, "USER=%s", identity->name);
    PUT(ret, logname, "LOGNAME=%s", identity->name);
    PUT(ret, shell, "SHELL=%s", identity->shell);
  }
  for (char **variable = environ; *variable; variable++)
    if (!speaks_of_ebbd(*variable))
      add(ret, *variable);
}

struct spawn environment__spawn(const struct keeper *keeper, const struct slot *slot, const char *lease_name) {
  static struct environment environment;
  const struct pool *pool = slot->pool;
  compose(&environment, keeper, slot, lease_name);
  return (struct spawn){
      .argv = pool->argv,
      .envp = environment.vars,
      .directory = pool->config.directory[0] ? pool->config.directory : "/",
      .identity = &pool->identity,
      .oom_score_adj = 0,
      .new_group = true,
      .keep_fd = -1,
      .open_files = keeper->open_files,
      .masks = true, /* ours may be that of a unit which hides what is its own */
      .umask = pool->config.umask,
  };
}

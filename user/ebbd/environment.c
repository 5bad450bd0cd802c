/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "environment.h"

#include <stdio.h>
#include <string.h>

#include "ebb/lease.h"
#include "rundir.h"

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

void environment__compose(struct environment *ret, const struct keeper *keeper, const struct slot *slot,
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

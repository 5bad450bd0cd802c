/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The environment of a new worker. Points into its sources; nothing is allocated. */
#ifndef EBBD_ENVIRONMENT_H
#define EBBD_ENVIRONMENT_H

#include <limits.h>

#include "keeper.h"

#define ENVIRONMENT_MAX 512

struct environment {
  const char *vars[ENVIRONMENT_MAX + 1]; /* NULL-terminated */
  size_t n;
  char lease[PATH_MAX + 64], pool[64], slot[32], generation[40];
  char home[160], user[48], logname[48], shell[96];
};

/* EBB_*, then the pool's own, then HOME USER LOGNAME SHELL of its user, then ebbd's less what speaks of ebbd itself
 * (service manager sockets). The first of a name wins. Without a lease, for who is to start a worker: EBB_RUN_DIR in place of
 * EBB_LEASE and EBB_GENERATION. */
void environment__compose(struct environment *ret, const struct keeper *keeper, const struct slot *slot,
                          const char *lease_name);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What a new process of a pool finds around it. Points into its sources; nothing is allocated. */
#ifndef EBBD_ENVIRONMENT_H
#define EBBD_ENVIRONMENT_H

#include "keeper.h"
#include "spawn.h"

/* How to start what the slot's pool runs. The environment: EBB_*, then the pool's own, then HOME USER LOGNAME SHELL of its
 * user, then ebbd's less what speaks of ebbd itself (service manager sockets); the first of a name wins. Without a lease, for
 * who is to start a worker: EBB_RUN_DIR in place of EBB_LEASE and EBB_GENERATION. Good until the next call. */
struct spawn environment__spawn(const struct keeper *keeper, const struct slot *slot, const char *lease_name);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The rules in force: what the configuration says, resolved to plain numbers. ebbd publishes them on the board,
 * ebb-watch judges by them, `ebb why` compares with them; so nobody can judge by another configuration than ebbd's.
 *
 * Bytes are bytes (percentages of RAM are already resolved), times are nanoseconds, shares are per mille.
 * EBB_UNKNOWN in a limit means that the limit is off; in a share, EBB_SHARE_OFF does.
 */
#ifndef EBB_RULES_H
#define EBB_RULES_H

#include <linux/types.h>

#define EBB_SHARE_OFF (~0u) /* a share that is never reached */

/* What a pool's workers are. */
#define EBB_MODES(X)                                                                                                   \
  X(SERVICE, "service") /* take job after job */                                                                       \
  X(ONESHOT, "oneshot") /* do one piece of work, and end */                                                            \
  X(ADOPT, "adopt")     /* were started by somebody else */

enum ebb_mode {
#define X(id, name) EBB_MODE_##id,
  EBB_MODES(X)
#undef X
      EBB_MODE_N
};

/* What lets a worker go between two jobs. */
#define EBB_IDLES(X)                                                                                                   \
  X(LEASE, "lease")   /* its lease, which proves it */                                                                 \
  X(SIGNAL, "signal") /* its own framework, which finishes the running job when it is told to go */

enum ebb_idle {
#define X(id, name) EBB_IDLE_##id,
  EBB_IDLES(X)
#undef X
      EBB_IDLE_N
};

/* When a slot is filled again whose worker a rule or a roll retires. */
#define EBB_REFILLS(X)                                                                                                 \
  X(AUTO, "auto")   /* before it goes, in another slot, where there is memory for both; else when it has gone */       \
  X(AFTER, "after") /* when it has gone, in the same slot */

enum ebb_refill {
#define X(id, name) EBB_REFILL_##id,
  EBB_REFILLS(X)
#undef X
      EBB_REFILL_N
};

/* Per host. */
struct ebb_host_rules {
  __u64 memory_budget_bytes; /* all pools together; or off */
  __u64 reserve_bytes;       /* MemAvailable under this is a shortage */
  __u64 cooldown_ns;         /* between two acts for pressure */
  __u32 pressure_some_permille;
  __u32 pressure_full_permille;
  __u32 dry_run; /* 1: memory rules only say what they would do */
  __u32 reserved;
};

/* Per pool; limits are per worker. */
struct ebb_pool_rules {
  __u64 footprint_limit_bytes;       /* per worker; or off */
  __u64 min_lifetime_ns;             /* a younger worker is not retired by a memory rule */
  __u32 min_ready;                   /* serving workers that a memory rule leaves in the pool */
  __u32 strikes;                     /* confirmations, a second apart, that a memory rule needs */
  __u64 stuck_after_ns;              /* per worker: a lease held for longer is shown as stuck; or off */
  __u64 min_gain_bytes;              /* per worker: the contribution rule retires none that frees less */
  __u64 retained_limit_bytes;        /* per worker: growth since it was ready that stays between jobs; or off */
  __u64 max_jobs;                    /* per worker; or off */
  __u64 max_lifetime_ns;             /* per worker; or off */
  __u64 trim_wait_ns;                /* per worker: time to give memory back in, when it was ordered to */
  __u32 contribution_limit_permille; /* per worker; or off */
  __u32 trim;                        /* 1: a memory rule orders a worker to give memory back before it retires it */
  __u32 priority;                    /* the pool with the higher one is filled first while memory is short */
  __u32 spares;                      /* workers that wait, ready, until one is needed */
  __u32 mode;                        /* enum ebb_mode */
  __u32 idle;                        /* enum ebb_idle */
  __u32 refill;                      /* enum ebb_refill */
  __u32 reserved;
};

#endif

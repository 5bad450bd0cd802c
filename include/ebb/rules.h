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

/* Per host. */
struct ebb_host_rules {
  __u64 memory_budget_bytes; /* all pools together; or off */
  __u64 reserve_bytes;       /* MemAvailable under this is a shortage */
  __u64 cooldown_ns;         /* between two acts for pressure */
  __u32 pressure_some_permille;
  __u32 pressure_full_permille;
};

/* Per pool; limits are per worker. */
struct ebb_pool_rules {
  __u64 footprint_limit_bytes;       /* per worker; or off */
  __u64 min_lifetime_ns;             /* a younger worker is not retired by a memory rule */
  __u32 min_ready;                   /* serving workers that a memory rule leaves in the pool */
  __u32 strikes;                     /* confirmations, a second apart, that a memory rule needs */
  __u64 stuck_after_ns;              /* per worker: a lease held for longer is shown as stuck; or off */
  __u64 min_gain_bytes;              /* per worker: the contribution rule retires none that frees less */
  __u32 contribution_limit_permille; /* per worker; or off */
  __u32 reserved;
};

#endif

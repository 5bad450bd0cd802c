/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The paths of the leases of all workers, which lie in one directory. Room for them is there from the start, and touched
 * where it is used: workers come when there may be no memory. All zero: empty. */
#ifndef KERN_LEASE_PATHS_H
#define KERN_LEASE_PATHS_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "ebb/bounds.h"

/* "<pool>.<slot>.<generation>" and a NUL, rounded up. */
#define LEASE_PATHS_NAME_BYTES (EBB_NAME_BYTES + 24)

struct lease_paths {
  size_t room; /* for each; 0: no path has come yet */
  char bytes[EBB_SLOTS_MAX * (PATH_MAX + LEASE_PATHS_NAME_BYTES)];
};

/* Keep that worker's: it is found there until another one is put in its place. NULL: longer than a name in the directory of the
 * first one can be. */
const char *lease_paths__put(struct lease_paths *paths, uint32_t worker, const char *path);

#endif

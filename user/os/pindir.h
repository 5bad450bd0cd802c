/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Where the kernel side of one run directory outlives its watch: a directory of its own in bpffs for each version of it,
 * named by the run directory's identity, so that several instances stand side by side.
 */
#ifndef OS_PINDIR_H
#define OS_PINDIR_H

#include <stddef.h>
#include <stdint.h>

#define PINDIR_PATH_BYTES 96

/* Make it, or find it as it is; bpffs is mounted where it belongs when it is not, and we may. 0 or negative errno; -EPERM:
 * something is there that is not ours alone. */
int pindir__make(int run_dirfd, uint64_t version, char ret_path[PINDIR_PATH_BYTES]);
/* Remove those of all versions but this one (0: of all), with whatever is pinned there. What cannot be removed stays. */
void pindir__remove(int run_dirfd, uint64_t keep);

#endif

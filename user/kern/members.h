/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Sums over the processes of one worker, asked from /proc now. Processes that have gone meanwhile count nothing; when
 * none is left the answer is -ESRCH. Other errors of a single process (-EACCES) are the answer for the whole.
 */
#ifndef KERN_MEMBERS_H
#define KERN_MEMBERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "procstat.h"

struct members_faults {
  uint64_t minor, major;
};

int members__memory(const pid_t *pids, size_t n, struct procmem *ret);
int members__faults(const pid_t *pids, size_t n, struct members_faults *ret);
/*
 * What the worker's end would free: of a single process what it alone holds; of several, the sum of their fair shares, since
 * what they share among each other goes with them. Never more than their memory. Walks page tables: milliseconds.
 */
int members__private(const pid_t *pids, size_t n, uint64_t *ret_bytes);

static inline uint64_t procmem__sum(const struct procmem *mem) {
  return mem->anon_bytes + mem->shmem_bytes + mem->swap_bytes;
}

#endif

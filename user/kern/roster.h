/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Which processes each worker is made of: noted down in any order, then read worker by worker. Never allocates. */
#ifndef KERN_ROSTER_H
#define KERN_ROSTER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ebb/bounds.h"

struct roster {
  uint32_t n; /* processes, of all workers */
  struct {
    uint32_t worker;
    pid_t pid;
  } noted[EBB_PROCS_MAX];
  uint32_t first[EBB_SLOTS_MAX], count[EBB_SLOTS_MAX];
  pid_t pids[EBB_PROCS_MAX];
};

struct roster_crew {
  const pid_t *pids;
  uint32_t n;
};

/* Forget all, for workers with indexes under n_workers. */
void roster__clear(struct roster *roster, uint32_t n_workers);
/* false: full. */
bool roster__note(struct roster *roster, uint32_t worker, pid_t pid);
/* Once all are noted. */
void roster__sort(struct roster *roster, uint32_t n_workers);
/* Valid until the next clear. */
static inline struct roster_crew roster__crew(const struct roster *roster, uint32_t worker) {
  return (struct roster_crew){.pids = &roster->pids[roster->first[worker]], .n = roster->count[worker]};
}

#endif

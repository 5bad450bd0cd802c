/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "roster.h"

#include <string.h>

void roster__clear(struct roster *roster, uint32_t n_workers) {
  roster->n = 0;
  memset(roster->count, 0, n_workers * sizeof(roster->count[0]));
}

bool roster__note(struct roster *roster, uint32_t worker, pid_t pid) {
  if (roster->n == EBB_PROCS_MAX)
    return false;
  roster->noted[roster->n].worker = worker;
  roster->noted[roster->n++].pid = pid;
  roster->count[worker]++;
  return true;
}

/* Counting sort. */
void roster__sort(struct roster *roster, uint32_t n_workers) {
  uint32_t first = 0;
  for (uint32_t i = 0; i < n_workers; i++) {
    roster->first[i] = first;
    first += roster->count[i];
    roster->count[i] = 0;
  }
  for (uint32_t i = 0; i < roster->n; i++) {
    uint32_t worker = roster->noted[i].worker;
    roster->pids[roster->first[worker] + roster->count[worker]++] = roster->noted[i].pid;
  }
}

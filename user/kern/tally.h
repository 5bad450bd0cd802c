/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * One sweep of the kernel side, added up: each worker's figures and processes, and, for the search for descendants, all
 * processes of the host.
 */
#ifndef KERN_TALLY_H
#define KERN_TALLY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "loader.h"
#include "roster.h"

/* Processes of a host that a search for descendants sees; those beyond are strangers to us. */
#define TALLY_PROCESSES_MAX (4 * EBB_PROCS_MAX)

struct tally_worker {
  uint64_t anon_pages, shmem_pages, swap_pages;
  uint64_t minor_faults, major_faults;
  uint32_t processes;
};

struct tally_process {
  pid_t pid, ppid, pgid, session;
  uint32_t worker; /* ~0: nobody's */
  bool adopts;     /* for the search: orphans of workers may have become its children */
};

struct tally {
  uint32_t n_workers; /* indexes under this are in use; raised by the owner */
  struct tally_worker workers[EBB_SLOTS_MAX];
  struct roster roster; /* those with an address space of their own */
  uint32_t n_processes;
  struct tally_process processes[TALLY_PROCESSES_MAX]; /* in ascending order of pid; of a sweep of all */
};

/* 0 or negative errno; then the tally is of no use until the next one. */
int tally__sweep(struct tally *tally, struct loader *loader, bool all);
/* NULL when there is none. */
struct tally_process *tally__process(struct tally *tally, pid_t pid);

static inline uint64_t tally_worker__pages(const struct tally_worker *worker) {
  return worker->anon_pages + worker->shmem_pages + worker->swap_pages;
}

#endif

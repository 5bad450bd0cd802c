/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The kernel programs as one object: loaded, attached one by one, and what they share with us mapped. Knows nothing of
 * workers. Does not log, except that `verbose` lets libbpf and the verifier say all they have to say on standard error.
 */
#ifndef KERN_LOADER_H
#define KERN_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebb/kernel.h"

/* What measures stalls. */
#define LOADER_STALL_PROGRAMS 10

struct loader {
  struct ebb *skel;            /* NULL: not open */
  struct ebb_kworker *workers; /* EBB_SLOTS_MAX of them, shared with the kernel */
  bool has_growth;             /* rss_stat loads and attaches here */
  bool has_stall;              /* likewise what measures stalls */
  bool resumed;                /* what an earlier loader had pinned goes on */
  bool growth;                 /* … and is attached: growth is seen as it happens, not only by sweeps */
  int growth_fd;               /* by this descriptor */
  int stall_fds[LOADER_STALL_PROGRAMS];
  bool stall; /* loader__stall is on: ebb_kworker.stall_ns counts */
};

struct loader_options {
  bool verbose;
  bool no_growth;   /* leave rss_stat out */
  const char *pins; /* directory in which maps and the programs of level 0 outlive us, see pins.h; NULL: they do not */
  /* For tests of what is lost; 0: as in the bounds. A ring is a power of two of pages. */
  uint32_t ring_bytes, procs_max, held_max;
  const char *spoil; /* a map whose programs the verifier is to refuse, for tests of what is said then; NULL: none */
};

/*
 * 0, or negative errno and in `why` one line on the reason. `why` is also set when something that we can do without was
 * refused. Everything must load and attach except growth: the
 * flags in *ret tell whether that did. It opens at level 1, if it has that.
 */
int loader__open(struct loader *ret, const struct loader_options *options, char *why, size_t why_bytes);
void loader__close(struct loader *loader);

/* Attach what belongs to this level and detach what does not: 1 growth, 2 stalls as well. What fails to attach
 * stays off until the next call. Attaching takes milliseconds, detaching less. Nothing is allocated: pressure is what makes
 * the level rise. */
void loader__set_level(struct loader *loader, uint32_t level);
uint32_t loader__level(const struct loader *loader);

/* The kernel programs see process numbers of the host's pid namespace; are ours the same? */
bool loader__sees_pids(void);

/* Begin a sweep: descriptor from which struct ebb_sweep can be read, or negative errno. `all`: also one record for each process
 * that is nobody's. */
int loader__sweep(struct loader *loader, bool all);

/*
 * Attach what measures stalls, or detach it; loader_stall.c. 0, or negative errno and detached: -EOPNOTSUPP where the
 * kernel lacks the tracepoints or keeps no pressure figures. Takes some tens of milliseconds. A wait that
 * began before counts from its next turn on the CPU; one that is still going on when it is switched off, up to the last sweep.
 */
int loader__stall(struct loader *loader, bool on);

#endif

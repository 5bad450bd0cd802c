/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The kernel programs as one object: loaded, attached one by one, and what they share with us mapped. Knows nothing of
 * workers. Does not log, except that `verbose` lets libbpf and the verifier say all they have to say on standard error.
 */
#ifndef KERN_LOADER_H
#define KERN_LOADER_H

#include <stdbool.h>
#include <stddef.h>

#include "ebb/kernel.h"

struct loader {
  struct ebb *skel;            /* NULL: not open */
  struct ebb_kworker *workers; /* EBB_SLOTS_MAX of them, shared with the kernel */
  bool growth;                 /* rss_stat is attached: growth is seen as it happens, not only by sweeps */
  bool faults;                 /* page_fault_user is attached: ebb_kworker.faults counts */
};

struct loader_options {
  bool verbose;
  bool no_growth; /* leave rss_stat out */
  bool faults;    /* attach page_fault_user; it makes each page fault of the host a little dearer */
};

/*
 * 0, or negative errno and in `why` one line on the reason. Everything must load and attach except growth and faults:
 * the flags in *ret tell whether those did.
 */
int loader__open(struct loader *ret, const struct loader_options *options, char *why, size_t why_bytes);
void loader__close(struct loader *loader);

/* The kernel programs see process numbers of the host's pid namespace; are ours the same? */
bool loader__sees_pids(void);

/* Begin a sweep: descriptor from which struct ebb_sweep can be read, or negative errno. `all`: also one record for each process
 * that is nobody's. */
int loader__sweep(struct loader *loader, bool all);

#endif

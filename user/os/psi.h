/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Pressure stall information: running totals and triggers of one PSI file. No opinion on levels (core/pressure).
 * Source of the rules for triggers: Documentation/accounting/psi.rst and kernel/sched/psi.c.
 */
#ifndef OS_PSI_H
#define OS_PSI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct psi_totals {
  uint64_t some_us;
  uint64_t full_us;
};

/* Parse the text of a PSI file. 0 or -EPROTO. `full` may be missing (then 0). */
int psi__parse(const char *text, struct psi_totals *ret);
/* Read the file. -EOPNOTSUPP or -ENOENT: PSI is off; -ENODEV: the cgroup is gone. */
int psi__read(const char *path, struct psi_totals *ret);

/* A trigger on `some`: its descriptor polls POLLPRI when the threshold is passed, POLLERR when the cgroup is gone. */
struct psi_trigger {
  int fd;          /* -1: none */
  bool privileged; /* the short window was granted */
  uint64_t threshold_us;
  uint64_t believed_us; /* some total= at arming, or at the last event that was believed */
};

/* 70 ms in 1 s where CAP_SYS_RESOURCE allows it, else 150 ms in 2 s. 0 or negative errno. */
int psi_trigger__open(struct psi_trigger *trigger, const char *path);
/* Unprivileged triggers fire falsely: true only if total= grew by the threshold since the last one believed. */
bool psi_trigger__believe(struct psi_trigger *trigger, uint64_t some_us);
void psi_trigger__close(struct psi_trigger *trigger);

#endif

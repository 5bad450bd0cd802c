/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "children.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>

#include "family.h"

/* The kernel's own bound of pids (PID_MAX_LIMIT on 64 bits); only touched pages take memory. */
#define PIDS (4u * 1024 * 1024)

static uint8_t known[PIDS / 8];

void children__know(pid_t pid) {
  if (pid > 0 && (unsigned)pid < PIDS)
    known[pid / 8] |= (uint8_t)(1u << (pid % 8));
}

void children__forget(pid_t pid) {
  if (pid > 0 && (unsigned)pid < PIDS)
    known[pid / 8] &= (uint8_t) ~(1u << (pid % 8));
}

bool children__known(pid_t pid) {
  return pid > 0 && (unsigned)pid < PIDS && known[pid / 8] & (1u << (pid % 8));
}

static enum family_child reap_if_dead(pid_t pid, void *unused) {
  (void)unused;
  if (children__known(pid))
    return FAMILY_CHILD_KNOWN;
  siginfo_t info = {0};
  bool reaped = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG) == 0 && info.si_pid == pid;
  return reaped ? FAMILY_CHILD_REAPED : FAMILY_CHILD_STRAY;
}

int children__reap_orphans(void) {
  return family__has_strays(reap_if_dead, NULL);
}

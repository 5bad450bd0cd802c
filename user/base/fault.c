/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "fault.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef EBB_FAULTS

#define ORPHANED_MS 300

static const struct {
  const char *name;
  int kind;
} points[] = {
#define X(id, name, kind) {name, kind},
    FAULT_POINTS(X)
#undef X
};

static enum fault_point armed = FAULT_N;
static _Atomic unsigned long left; /* passes; threads have them, too */

void fault__list(void) {
  for (int i = 0; i < FAULT_N; i++) {
    const char *does = points[i].kind == 0                ? "ends"
                       : points[i].kind == FAULT_ORPHANED ? "ends, leaving a child behind"
                       : points[i].kind == FAULT_STUCK    ? "is stuck"
                       : points[i].kind == FAULT_LATE     ? "is late"
                                                          : strerrorname_np(points[i].kind);
    printf("%s %s\n", points[i].name, does);
  }
}

bool fault__arm(void) {
  const char *wanted = getenv("EBB_FAULT");
  if (!wanted)
    return true;
  size_t n = strcspn(wanted, ":");
  for (int i = 0; i < FAULT_N; i++)
    if (strlen(points[i].name) == n && !strncmp(points[i].name, wanted, n))
      armed = (enum fault_point)i;
  left = wanted[n] ? strtoul(wanted + n + 1, NULL, 10) : 1;
  return armed != FAULT_N && left > 0;
}

/* Also between clone and exec, in the parent's memory: plain code and system calls. */
__attribute__((no_sanitize("address", "undefined"))) static bool is_now(enum fault_point point) {
  return point == armed && left > 0 && --left == 0;
}

__attribute__((no_sanitize("address", "undefined"))) void fault__here(enum fault_point point) {
  const struct timespec while_ = {.tv_nsec = ORPHANED_MS * 1000000L};
  if (!is_now(point))
    return;
  while (points[point].kind == FAULT_STUCK)
    (void)syscall(SYS_pause);
  if (points[point].kind == FAULT_LATE) {
    (void)sleep(3);
    (void)fprintf(stderr, "fault: %s\n", points[point].name);
    return;
  }
  if (points[point].kind != FAULT_ORPHANED)
    syscall(SYS_exit_group, FAULT_STATUS);
  (void)syscall(SYS_kill, (pid_t)syscall(SYS_getppid), SIGKILL);
  (void)syscall(SYS_nanosleep, &while_, NULL);
}

bool fault__is_next(enum fault_point point) {
  return point == armed && left == 1;
}

bool fault__fails(enum fault_point point) {
  if (!is_now(point))
    return false;
  (void)fprintf(stderr, "fault: %s\n", points[point].name);
  errno = points[point].kind;
  return true;
}

#else

void fault__list(void) {
  printf("this build has no fault points\n");
}

#endif

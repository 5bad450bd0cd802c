/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "psi.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernfile.h"

/* The line that begins with `kind`; NULL: none. */
static const char *find_line(const char *text, const char *kind) {
  for (const char *line = text; line; line = strchr(line, '\n')) {
    line += *line == '\n';
    if (!strncmp(line, kind, strlen(kind)))
      return line;
  }
  return NULL;
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=12" */
static int parse_total(const char *line, uint64_t *ret_us) {
  const char *at = strstr(line, " total=");
  uint64_t total;
  char *end;

  if (!at || at > strchrnul(line, '\n'))
    return -EPROTO;
  at += strlen(" total=");
  if (!isdigit((unsigned char)*at))
    return -EPROTO;
  errno = 0;
  total = strtoull(at, &end, 10);
  if (errno || (*end != '\n' && *end != '\0'))
    return -EPROTO;
  *ret_us = total;
  return 0;
}

int psi__parse(const char *text, struct psi_totals *ret) {
  const char *some = find_line(text, "some "), *full = find_line(text, "full ");
  struct psi_totals totals = {0};

  if (!some || parse_total(some, &totals.some_us) || (full && parse_total(full, &totals.full_us)))
    return -EPROTO;
  *ret = totals;
  return 0;
}

int psi__read(const char *path, struct psi_totals *ret) {
  char text[512];
  int err = kernfile__read(path, text, sizeof(text));

  return err == -EFBIG ? -EPROTO : err ? err : psi__parse(text, ret);
}

/* The kernel wants a terminating byte that it may overwrite. */
static int arm(struct psi_trigger *trigger, uint64_t threshold_us, uint64_t window_us) {
  char text[64];
  int n = snprintf(text, sizeof(text), "some %" PRIu64 " %" PRIu64, threshold_us, window_us);

  if (write(trigger->fd, text, (size_t)n + 1) < 0)
    return -errno;
  trigger->threshold_us = threshold_us;
  return 0;
}

/* The short window takes CAP_SYS_RESOURCE; without it, windows are multiples of two seconds. */
static int arm_best(struct psi_trigger *trigger) {
  int err = arm(trigger, 70000, 1000000);

  trigger->privileged = !err;
  return err == -EINVAL || err == -EPERM ? arm(trigger, 150000, 2000000) : err;
}

int psi_trigger__open(struct psi_trigger *trigger, const char *path) {
  struct psi_trigger opened = {.fd = -1};
  struct psi_totals totals;
  int err = psi__read(path, &totals);

  if (err)
    return err;
  opened.believed_us = totals.some_us;
  opened.fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (opened.fd < 0)
    return -errno;
  err = arm_best(&opened);
  if (err)
    psi_trigger__close(&opened);
  else
    *trigger = opened;
  return err;
}

/* Growth is counted from the last event that was believed, so what a doubted one brought is not lost. */
bool psi_trigger__believe(struct psi_trigger *trigger, uint64_t some_us) {
  if (some_us < trigger->believed_us) { /* another cgroup under the same path */
    trigger->believed_us = some_us;
    return false;
  }
  if (some_us - trigger->believed_us < trigger->threshold_us)
    return false;
  trigger->believed_us = some_us;
  return true;
}

void psi_trigger__close(struct psi_trigger *trigger) {
  if (trigger->fd >= 0)
    (void)close(trigger->fd);
  trigger->fd = -1;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Events that a sensor has found by itself and that wait to be fetched, in order. Never allocates. */
#ifndef KERN_OUTBOX_H
#define KERN_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "sensor.h"

/* Events of one sweep: a release or a crossing for a quarter of all workers at once. */
#define OUTBOX_MAX 1024

struct outbox {
  struct sensor_event events[OUTBOX_MAX];
  uint32_t first, n;
};

/* false: full; the caller tries again at its next sweep, or counts a drop. */
bool outbox__put(struct outbox *outbox, const struct sensor_event *event);
/* How many were taken. */
int outbox__take(struct outbox *outbox, struct sensor_event *to, int max);

#endif

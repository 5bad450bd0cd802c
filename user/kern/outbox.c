/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "outbox.h"

bool outbox__put(struct outbox *outbox, const struct sensor_event *event) {
  if (outbox->n == OUTBOX_MAX)
    return false;
  outbox->events[(outbox->first + outbox->n++) % OUTBOX_MAX] = *event;
  return true;
}

int outbox__take(struct outbox *outbox, struct sensor_event *to, int max) {
  int n = 0;
  for (; n < max && outbox->n; n++, outbox->n--) {
    to[n] = outbox->events[outbox->first];
    outbox->first = (outbox->first + 1) % OUTBOX_MAX;
  }
  return n;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the sensor says between two looks. */
#include "watch.h"

#define EVENTS_MAX 256
/* Batches of a turn: all that the ring and the outbox can hold, and an end where events come faster than they are taken. */
#define BATCHES_MAX 64

void events__listen(struct watch *watch, uint32_t index) {
  const struct follow *follow = &watch->follows[index];
  watch->sensor->ops->eager(watch->sensor, index, follow->due || follow->crossed);
}

/* In the middle of a job nothing is decided, so its end is to be told. First, so that it cannot end between the two. */
static void take_crossing(struct watch *watch, uint32_t index, uint64_t now_ns) {
  struct follow *follow = &watch->follows[index];
  follow->armed_bytes = EBB_UNKNOWN; /* one report an arming */
  follow->crossed = true;
  events__listen(watch, index);
  gather__worker(watch, index, true, now_ns);
  follow->crossed = watch->workers[index].busy;
  events__listen(watch, index);
}

static bool take(struct watch *watch, const struct sensor_event *event, uint64_t now_ns) {
  if (event->kind == SENSOR_RELEASED)
    return jobs__released(watch, event, now_ns);
  take_crossing(watch, event->worker, now_ns);
  return true;
}

static bool take_batch(struct watch *watch, const struct sensor_event *events, int n, uint64_t now_ns) {
  bool judge = false;
  for (int i = 0; i < n; i++)
    if (events[i].worker < EBB_SLOTS_MAX && watch->follows[events[i].worker].generation == events[i].generation)
      judge |= take(watch, &events[i], now_ns);
  for (int i = 0; i < n; i++)
    if (events[i].worker < EBB_SLOTS_MAX)
      jobs__counted(watch, events[i].worker, now_ns);
  return judge;
}

bool events__take(struct watch *watch, uint64_t now_ns) {
  static struct sensor_event events[EVENTS_MAX];
  bool judge = false;
  int n = EVENTS_MAX;
  for (int i = 0; i < BATCHES_MAX && n == EVENTS_MAX; i++) {
    n = watch->sensor->ops->events(watch->sensor, events, EVENTS_MAX);
    judge |= take_batch(watch, events, n, now_ns);
  }
  return judge;
}

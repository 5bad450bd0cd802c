/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Thresholds and the ring. The kernel side only nominates: its counters may trail the truth, so it is armed early, and each
 * nomination is confirmed from /proc. One that came too early arms it anew, half way to what is missing; so a worker that creeps
 * towards its threshold is asked a few times, not at each page.
 */
#include <bpf/libbpf.h>
#include <string.h>

#include "ebb.skel.h"
#include "feed.h"
#include "units.h"

/* Least growth between two nominations. */
#define STEP_PAGES 64
/* Nominations in vain between two sweeps: what swings just under its threshold is left to the sweeps after so many. */
#define EARLY_MAX 16

static uint64_t pages_now(const struct feed *feed, uint32_t index) {
  int64_t pages = feed->loader.workers[index].pages;
  return pages > 0 ? (uint64_t)pages : 0;
}

static void arm_at(struct feed *feed, uint32_t index, uint64_t pages) {
  uint64_t least = pages_now(feed, index) + STEP_PAGES;
  __atomic_store_n(&feed->loader.workers[index].armed_pages, pages > least ? pages : least, __ATOMIC_RELAXED);
}

static void arm_early(struct feed *feed, uint32_t index) {
  uint64_t pages = feed->workers[index].armed_bytes / feed->page_bytes;
  arm_at(feed, index, pages > feed->slop_pages ? pages - feed->slop_pages : 0);
}

void feed__arm(struct sensor *sensor, uint32_t index, uint64_t bytes) {
  struct feed *feed = feed__of(sensor);
  struct feed_worker *worker = feed__worker(feed, index);
  if (!worker || worker->armed_bytes == bytes)
    return;
  worker->armed_bytes = bytes;
  worker->early = 0;
  if (bytes == EBB_UNKNOWN)
    __atomic_store_n(&feed->loader.workers[index].armed_pages, EBB_UNKNOWN, __ATOMIC_RELAXED);
  else
    arm_early(feed, index);
}

/* Ask whether the threshold has really been reached; report that, or arm the kernel side again. */
static void confirm(struct feed *feed, uint32_t index, uint64_t at_ns) {
  struct feed_worker *worker = &feed->workers[index];
  if (worker->armed_bytes == EBB_UNKNOWN || feed__ask(feed, index))
    return;
  uint64_t bytes = procmem__sum(&worker->memory);
  if (bytes < worker->armed_bytes) {
    if (++worker->early < EARLY_MAX)
      arm_at(feed, index, pages_now(feed, index) + (worker->armed_bytes - bytes) / feed->page_bytes / 2);
    return;
  }
  struct sensor_event event = {
      .kind = SENSOR_CROSSED,
      .worker = index,
      .generation = worker->generation,
      .at_ns = at_ns,
      .turn = feed->loader.workers[index].turns,
      .before_bytes = EBB_UNKNOWN,
      .after_bytes = bytes,
      .peak_bytes = EBB_UNKNOWN,
      .minor_faults = EBB_UNKNOWN,
      .major_faults = EBB_UNKNOWN,
  };
  if (!outbox__put(&feed->outbox, &event))
    return; /* still armed here: the next sweep tries again */
  worker->armed_bytes = EBB_UNKNOWN;
  __atomic_store_n(&feed->loader.workers[index].armed_pages, EBB_UNKNOWN, __ATOMIC_RELAXED);
}

void feed__overtake(struct feed *feed, uint64_t now_ns) {
  for (uint32_t i = 0; i < feed->tally.n_workers; i++) {
    struct feed_worker *worker = &feed->workers[i];
    if (!worker->life || worker->armed_bytes == EBB_UNKNOWN)
      continue;
    uint64_t pages = tally_worker__pages(&feed->tally.workers[i]);
    worker->early = 0;
    if ((pages + feed->slop_pages) * feed->page_bytes >= worker->armed_bytes)
      confirm(feed, i, now_ns);
    else if (feed->loader.workers[i].armed_pages == EBB_UNKNOWN)
      arm_early(feed, i);
  }
}

static void release(struct feed *feed, const struct ebb_event *event) {
  struct sensor_event *to = &feed->to[feed->n_to++];
  *to = (struct sensor_event){
      .kind = SENSOR_RELEASED,
      .worker = event->worker,
      .generation = feed->workers[event->worker].generation,
      .at_ns = event->at_ns,
      .held_ns = event->held_ns,
      .turn = event->turn,
      .before_bytes = event->pages_before * feed->page_bytes,
      .after_bytes = event->pages_after * feed->page_bytes,
      .peak_bytes = event->pages_peak * feed->page_bytes,
      .minor_faults = event->minor_faults,
      .major_faults = event->major_faults,
      .stall_us = event->stall_ns == EBB_UNKNOWN ? EBB_UNKNOWN : event->stall_ns / NS_PER_US,
      .resting = !event->others,
      .labelled = event->labelled,
  };
  if (event->labelled)
    memcpy(to->label, event->label, sizeof(to->label));
}

/* Nothing in a record is taken on trust: a stale one may name a worker that is no more. */
int feed__take(void *arg, void *record, size_t n) {
  struct feed *feed = arg;
  struct ebb_event event;
  if (n < sizeof(event))
    return 0;
  memcpy(&event, record, sizeof(event));
  const struct feed_worker *worker = feed__worker(feed, event.worker);
  if (!worker || worker->life != event.life)
    return 0;
  if (event.kind == EBB_EVENT_CROSSED)
    confirm(feed, event.worker, event.at_ns);
  else if (event.kind == EBB_EVENT_RELEASED)
    release(feed, &event);
  return feed->n_to == feed->max_to ? -1 : 0; /* the record is taken all the same; the rest stays in the ring */
}

int feed__events(struct sensor *sensor, struct sensor_event *to, int max) {
  struct feed *feed = feed__of(sensor);
  feed->to = to;
  feed->max_to = max;
  feed->n_to = outbox__take(&feed->outbox, to, max);
  if (feed->n_to < max)
    (void)ring_buffer__consume(feed->ring);
  feed->n_to += outbox__take(&feed->outbox, to + feed->n_to, max - feed->n_to);
  return feed->n_to;
}

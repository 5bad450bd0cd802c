/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What is known of a worker: swept cheaply for all, asked exactly where something moved. */
#include "feed.h"

#include <errno.h>

#include "clock.h"
#include "ebb.skel.h"

/* Movements under this are not worth asking /proc: 1 %, or 256 KiB. */
#define MOVED_PERCENT 1
#define MOVED_BYTES (256 * 1024)

static int64_t nearer_zero(int64_t a, int64_t b) {
  if ((a < 0) != (b < 0))
    return 0;
  return a < 0 ? (a > b ? a : b) : (a < b ? a : b);
}

/*
 * The kernel side moves its sums by differences, and CPUs that race may leave one off by a few pages. What was off at two
 * sweeps in a row is such an error; what was off at one is a page that came in while we were looking.
 */
static void correct_sum(struct feed *feed, uint32_t index) {
  struct feed_worker *worker = &feed->workers[index];
  struct ebb_kworker *kworker = &feed->loader.workers[index];
  int64_t off = (int64_t)tally_worker__pages(&feed->tally.workers[index]) - kworker->pages;
  if (kworker->changes != worker->changes)
    off = 0;
  int64_t sure = nearer_zero(off, worker->off_pages);
  worker->off_pages = off - sure;
  if (sure)
    (void)__atomic_fetch_add(&kworker->pages, sure, __ATOMIC_RELAXED);
}

static void keep(uint64_t *total, uint64_t *gone, uint64_t swept) {
  if (swept < *total)
    *gone += *total - swept;
  *total = swept;
}

static void take_sweep(struct feed *feed, uint32_t index) {
  struct feed_worker *worker = &feed->workers[index];
  const struct tally_worker *swept = &feed->tally.workers[index];
  worker->stall_known |= feed->loader.stall;
  keep(&worker->faults.minor, &worker->faults_gone.minor, swept->minor_faults);
  keep(&worker->faults.major, &worker->faults_gone.major, swept->major_faults);
  correct_sum(feed, index);
}

/* All but the search for what reached its threshold, which may itself have to sweep. */
static int sweep(struct feed *feed) {
  for (uint32_t i = 0; i < feed->tally.n_workers; i++)
    feed->workers[i].changes = feed->loader.workers[i].changes;
  bool search = feed->search_due || feed->short_of_room || feed->missed != feed->loader.skel->bss->missed;
  int r = search ? feed__search(feed) : tally__sweep(&feed->tally, &feed->loader, false);
  if (r)
    return r;
  for (uint32_t i = 0; i < feed->tally.n_workers; i++)
    if (feed->workers[i].life)
      take_sweep(feed, i);
  return 0;
}

int feed__sweep_all(struct feed *feed) {
  int r = sweep(feed);
  if (!r)
    feed__overtake(feed, clock__monotonic_ns());
  return r;
}

/* Have processes come or gone that the last sweep did not see? */
static int freshen(struct feed *feed, uint32_t index) {
  bool stale = feed->search_due || feed->workers[index].changes != feed->loader.workers[index].changes;
  return stale ? sweep(feed) : 0;
}

static int ask(struct feed *feed, uint32_t index) {
  struct feed_worker *worker = &feed->workers[index];
  struct roster_crew crew = roster__crew(&feed->tally.roster, index);
  int r = members__memory(crew.pids, crew.n, &worker->memory);
  if (r)
    return r;
  worker->asked = true;
  worker->then = feed->tally.workers[index];
  worker->pages_then = feed->loader.workers[index].pages;
  return 0;
}

int feed__ask(struct feed *feed, uint32_t index) {
  int r = freshen(feed, index);
  return r ? r : ask(feed, index);
}

static bool is_apart(const struct feed *feed, int64_t a, int64_t b) {
  int64_t apart = a > b ? a - b : b - a;
  return (uint64_t)apart * feed->page_bytes > MOVED_BYTES || apart * 100 > b * MOVED_PERCENT;
}

static bool has_moved(const struct feed *feed, uint32_t index) {
  const struct feed_worker *worker = &feed->workers[index];
  const struct tally_worker *now = &feed->tally.workers[index], *then = &worker->then;
  return !worker->asked || now->processes != then->processes ||
         is_apart(feed, (int64_t)now->anon_pages, (int64_t)then->anon_pages) ||
         is_apart(feed, (int64_t)now->shmem_pages, (int64_t)then->shmem_pages) ||
         is_apart(feed, (int64_t)now->swap_pages, (int64_t)then->swap_pages) ||
         is_apart(feed, feed->loader.workers[index].pages, worker->pages_then);
}

static void fill_in(const struct feed *feed, uint32_t index, struct sensor_reading *ret) {
  const struct feed_worker *worker = &feed->workers[index];
  const struct ebb_kworker *kworker = &feed->loader.workers[index];
  bool busy = kworker->held > 0, fresh_known = kworker->turns && kworker->pages_first != EBB_UNKNOWN;
  *ret = (struct sensor_reading){
      .anon_bytes = worker->memory.anon_bytes,
      .shmem_bytes = worker->memory.shmem_bytes,
      .swap_bytes = worker->memory.swap_bytes,
      .minor_faults = worker->faults.minor + worker->faults_gone.minor,
      .major_faults = worker->faults.major + worker->faults_gone.major,
      .stall_us = worker->stall_known || feed->loader.stall ? kworker->stall_ns / NS_PER_US : EBB_UNKNOWN,
      .turns = kworker->turns,
      .fresh_bytes = fresh_known ? kworker->pages_first * feed->page_bytes : EBB_UNKNOWN,
      .taken_ns = busy ? kworker->taken_ns : 0,
      .processes = feed->tally.workers[index].processes,
      .busy = busy,
  };
}

int feed__read(struct sensor *sensor, uint32_t index, bool exact, struct sensor_reading *ret) {
  struct feed *feed = feed__of(sensor);
  if (!feed__worker(feed, index))
    return -ENOENT;
  int r = 0;
  if (exact)
    r = feed__ask(feed, index);
  else if (feed->search_due)
    r = sweep(feed);
  if (!r && !exact && has_moved(feed, index))
    r = ask(feed, index);
  if (r)
    return r;
  fill_in(feed, index, ret);
  return 0;
}

int feed__private(struct sensor *sensor, uint32_t index, uint64_t *ret_bytes) {
  struct feed *feed = feed__of(sensor);
  if (!feed__worker(feed, index))
    return -ENOENT;
  int r = freshen(feed, index);
  if (r)
    return r;
  struct roster_crew crew = roster__crew(&feed->tally.roster, index);
  return members__private(crew.pids, crew.n, ret_bytes);
}

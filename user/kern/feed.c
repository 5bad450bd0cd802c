/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A feed's life, and whom it follows. */
#include "feed.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ebb.skel.h"

static struct ebb_lease lease_of(const struct lease_key *key) {
  return (struct ebb_lease){.inode = key->inode, .device = (uint64_t)key->major << 20 | key->minor};
}

static int enter_lease(struct feed *feed, uint32_t index) {
  struct feed_worker *worker = &feed->workers[index];
  struct ebb_lease lease = lease_of(&worker->lease);
  struct ebb_owner owner = {.worker = index, .life = worker->life};
  return bpf_map_update_elem(bpf_map__fd(feed->loader.skel->maps.leases), &lease, &owner, BPF_ANY) ? -errno : 0;
}

static void feed__remove(struct sensor *sensor, uint32_t index) {
  struct feed *feed = feed__of(sensor);
  struct feed_worker *worker = feed__worker(feed, index);
  if (!worker)
    return;
  struct ebb_lease lease = lease_of(&worker->lease);
  (void)bpf_map_delete_elem(bpf_map__fd(feed->loader.skel->maps.leases), &lease);
  /* All its other entries are stale from here on. */
  __atomic_store_n(&feed->loader.workers[index].life, 0, __ATOMIC_RELEASE);
  memset(worker, 0, sizeof(*worker));
}

/* The kernel side believes a record from the moment when it has its life. */
static void begin_life(struct feed *feed, uint32_t index, uint64_t start_time) {
  struct ebb_kworker *kworker = &feed->loader.workers[index];
  if (!++feed->life)
    feed->life = 1;
  *kworker = (struct ebb_kworker){
      .armed_pages = EBB_UNKNOWN,
      .pages_first = EBB_UNKNOWN,
      .generation = feed->workers[index].generation,
      .pid = feed->workers[index].pid,
      .start_time = start_time,
  };
  __atomic_store_n(&kworker->life, feed->life, __ATOMIC_RELEASE);
  feed->workers[index].life = feed->life;
}

/* An earlier watch followed this very worker, and the kernel side has gone on: then so does its record. */
static bool resume_life(struct feed *feed, uint32_t index, uint64_t start_time) {
  struct ebb_kworker *kworker = &feed->loader.workers[index];
  struct feed_worker *worker = &feed->workers[index];
  struct ebb_lease lease = lease_of(&worker->lease);
  struct ebb_owner owner;
  if (!kworker->life || kworker->pid != worker->pid || kworker->generation != worker->generation ||
      kworker->start_time != start_time ||
      bpf_map_lookup_elem(bpf_map__fd(feed->loader.skel->maps.leases), &lease, &owner) || owner.worker != index ||
      owner.life != kworker->life)
    return false;
  kworker->flags = 0;
  kworker->armed_pages = EBB_UNKNOWN;
  worker->life = kworker->life;
  return true;
}

static int follow(struct feed *feed, uint32_t index, uint64_t start_time, int lease_fd) {
  if (feed->tally.n_workers <= index)
    feed->tally.n_workers = index + 1;
  if (!resume_life(feed, index, start_time)) {
    begin_life(feed, index, start_time);
    int r = enter_lease(feed, index);
    if (!r)
      r = feed__adopt(feed, index, feed->workers[index].pid);
    if (r)
      return r;
  }
  feed->search_due = true;
  feed__look(feed, lease_fd);
  return 0;
}

static int feed__add(struct sensor *sensor, const struct sensor_target *target) {
  struct feed *feed = feed__of(sensor);
  struct lease_key key;
  struct procstat stat;
  if (target->worker >= EBB_SLOTS_MAX)
    return -ERANGE;
  int r = lease__key(target->lease_fd, &key);
  if (!r)
    r = procstat__read(target->pid, &stat);
  if (r)
    return r;
  const char *path = lease_paths__put(&feed->paths, target->worker, target->lease_path);
  if (!path)
    return -ENAMETOOLONG;
  feed__remove(sensor, target->worker);
  struct feed_worker *worker = &feed->workers[target->worker];
  worker->generation = target->generation;
  worker->pid = target->pid;
  worker->lease_path = path;
  worker->lease = key;
  worker->armed_bytes = EBB_UNKNOWN;
  r = follow(feed, target->worker, stat.start_time, target->lease_fd);
  if (r)
    feed__remove(sensor, target->worker);
  return r;
}

/* Whom an earlier watch followed and we do not, after all whom we do have been added. */
static void forget_others(struct feed *feed) {
  int leases = bpf_map__fd(feed->loader.skel->maps.leases);
  struct ebb_lease *at = NULL, key, next;
  for (uint32_t i = 0; i < EBB_SLOTS_MAX; i++)
    if (!feed->workers[i].life)
      __atomic_store_n(&feed->loader.workers[i].life, 0, __ATOMIC_RELEASE);
  while (!bpf_map_get_next_key(leases, at, &next)) {
    struct ebb_owner owner;
    bool stale = !bpf_map_lookup_elem(leases, &next, &owner) &&
                 (owner.worker >= EBB_SLOTS_MAX || feed->workers[owner.worker].life != owner.life);
    if (stale && !bpf_map_delete_elem(leases, &next))
      continue; /* on from the one before */
    key = next;
    at = &key;
  }
}

static int feed__sweep(struct sensor *sensor) {
  struct feed *feed = feed__of(sensor);
  if (feed->loader.resumed) {
    forget_others(feed);
    feed->loader.resumed = false;
  }
  return feed__sweep_all(feed);
}

static void feed__eager(struct sensor *sensor, uint32_t index, bool on) {
  struct feed *feed = feed__of(sensor);
  if (feed__worker(feed, index))
    feed->loader.workers[index].flags = on ? EBB_KWORKER_EAGER : 0;
}

static int feed__fd(struct sensor *sensor) {
  return ring_buffer__epoll_fd(feed__of(sensor)->ring);
}

static uint64_t feed__drops(struct sensor *sensor) {
  const struct feed *feed = feed__of(sensor);
  return feed->loader.skel->bss->drops + feed->loader.skel->bss->stalls_lost;
}

static uint32_t feed__level(struct sensor *sensor) {
  return loader__level(&feed__of(sensor)->loader);
}

static void feed__set_level(struct sensor *sensor, uint32_t level) {
  loader__set_level(&feed__of(sensor)->loader, level);
}

static enum ebb_tier feed__tier(struct sensor *sensor) {
  return feed__of(sensor)->tier;
}

static void feed__close(struct sensor *sensor) {
  struct feed *feed = feed__of(sensor);
  if (!feed)
    return;
  ring_buffer__free(feed->ring);
  loader__close(&feed->loader);
  free(feed);
}

static const struct sensor_ops feed_ops = {
    .name = "bpf",
    .add = feed__add,
    .remove = feed__remove,
    .arm = feed__arm,
    .eager = feed__eager,
    .sweep = feed__sweep,
    .read = feed__read,
    .private_bytes = feed__private,
    .events = feed__events,
    .fd = feed__fd,
    .drops = feed__drops,
    .tier = feed__tier,
    .set_level = feed__set_level,
    .level = feed__level,
    .close = feed__close,
};

/* By how many pages the counters of a process may trail the truth: a batch for each CPU and each of three counters from 6.2
 * on (lib/percpu_counter.c); 64 events in each thread up to 6.1, where the same figure does for a few threads. */
static uint64_t slop_pages(void) {
  long cpus = sysconf(_SC_NPROCESSORS_CONF);
  uint64_t n = cpus > 0 ? (uint64_t)cpus : 1;
  return 3 * n * (n > 16 ? 2 * n : 32);
}

static enum ebb_tier tier_of(const struct loader *loader) {
  if (!loader->has_growth)
    return EBB_TIER_BASIC;
  if (loader->skel->bss->sweep_layout == EBB_RSS_PERCPU)
    return EBB_TIER_FULL;
  return libbpf_probe_bpf_map_type(BPF_MAP_TYPE_TASK_STORAGE, NULL) == 1 ? EBB_TIER_GOOD : EBB_TIER_BASIC;
}

/* Load, and see whether a sweep really comes back with something. */
static int start(struct feed *feed, const struct loader_options *options, char *why, size_t why_bytes) {
  int r = loader__open(&feed->loader, options, why, why_bytes);
  if (r)
    return r;
  feed->ring = ring_buffer__new(bpf_map__fd(feed->loader.skel->maps.events), feed__take, feed, NULL);
  r = feed->ring ? tally__sweep(&feed->tally, &feed->loader, false) : -errno;
  if (!r && feed->loader.skel->bss->sweep_layout == EBB_RSS_UNKNOWN)
    r = -ENOTSUP;
  if (r)
    (void)snprintf(why, why_bytes, "%s: %s", r == -ENOTSUP ? "mm_struct.rss_stat" : "kernel programs",
                   r == -ENOTSUP ? "unknown layout" : strerror(-r));
  return r;
}

int feed__open(const struct loader_options *options, struct sensor **ret, char *why, size_t why_bytes) {
  struct feed *feed = calloc(1, sizeof(*feed));
  if (!feed)
    return -ENOMEM;
  feed->sensor.ops = &feed_ops;
  feed->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
  feed->slop_pages = slop_pages();
  int r = start(feed, options, why, why_bytes);
  if (r) {
    feed__close(&feed->sensor);
    return r;
  }
  feed->tier = tier_of(&feed->loader);
  for (uint32_t i = 0; feed->loader.resumed && i < EBB_SLOTS_MAX; i++)
    if (feed->loader.workers[i].life > feed->life)
      feed->life = feed->loader.workers[i].life;
  *ret = &feed->sensor;
  return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A look into the maps of the kernel side, for tests of the sensor on BPF. */
#ifndef TESTS_KERNSIDE_H
#define TESTS_KERNSIDE_H

#include "puppet.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "ebb.skel.h"
#include "feed.h"

static inline struct ebb *skel_of(struct sensor *sensor) {
  return feed__of(sensor)->loader.skel;
}

/* Of a map whose keys are at most 16 bytes. */
static inline int map_entries(struct bpf_map *map) {
  uint64_t key[2], next[2];
  void *from = NULL;
  int n = 0;
  for (; !bpf_map_get_next_key(bpf_map__fd(map), from, next); n++) {
    memcpy(key, next, sizeof(key));
    from = key;
  }
  return n;
}

/* Which worker's process this is, by the kernel side; -1: nobody's. */
static inline int kernel_owner(struct sensor *sensor, pid_t pid) {
  uint32_t tgid = (uint32_t)pid;
  struct ebb_proc proc;
  if (bpf_map_lookup_elem(bpf_map__fd(skel_of(sensor)->maps.procs), &tgid, &proc))
    return -1;
  const struct ebb_kworker *worker = &feed__of(sensor)->loader.workers[proc.owner.worker];
  return worker->life == proc.owner.life ? (int)proc.owner.worker : -1;
}

/* What the kernel keeps back of one puppet's counters: see sensor.h. Up to 6.1 that goes by threads: of a puppet's, at most
 * two serve and four grow. */
static inline uint64_t kernel_error_pages(struct sensor *sensor) {
  uint64_t pages = feed__of(sensor)->slop_pages, by_threads = 6 * 66;
  return skel_of(sensor)->bss->sweep_layout == EBB_RSS_SPLIT && pages < by_threads ? by_threads : pages;
}

/* The sum that moves with each change, as it stands. */
static inline int64_t kernel_pages(struct sensor *sensor, uint32_t worker) {
  return __atomic_load_n(&feed__of(sensor)->loader.workers[worker].pages, __ATOMIC_RELAXED);
}

#endif

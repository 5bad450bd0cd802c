/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "level.h"

static bool is_near_limit(const struct level_input *in) {
  for (uint32_t i = 0; i < in->n_workers; i++) {
    const struct ebb_worker_facts *worker = &in->workers[i];
    if (worker->pid <= 0 || worker->pool >= EBB_POOLS_MAX || worker->footprint_bytes == EBB_UNKNOWN)
      continue;
    uint64_t limit = in->pool_rules[worker->pool].footprint_limit_bytes;
    if (limit != EBB_UNKNOWN && worker->footprint_bytes > limit / 2)
      return true;
  }
  return false;
}

static uint32_t needed(const struct level_input *in) {
  if (in->host->level >= EBB_PRESSURE_ELEVATED)
    return 2;
  return in->live || is_near_limit(in);
}

uint32_t level__decide(struct level *level, const struct level_input *in) {
  uint32_t need = needed(in);
  if (need >= level->now) {
    *level = (struct level){.now = need};
    return level->now;
  }
  if (!level->unneeded_since_ns)
    level->unneeded_since_ns = in->now_ns;
  if (in->now_ns - level->unneeded_since_ns >= LEVEL_CALM_NS)
    *level = (struct level){.now = need};
  return level->now;
}

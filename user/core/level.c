/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "level.h"

#include "limit.h"

static bool is_near_limit(const struct level_input *in) {
  for (uint32_t i = 0; i < in->n_workers; i++) {
    const struct ebb_worker_facts *worker = &in->workers[i];
    if (worker->pid > 0 && worker->pool < EBB_POOLS_MAX && limit__is_near(&in->pool_rules[worker->pool], worker))
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

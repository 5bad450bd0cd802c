/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "host.h"

#include <math.h>

#define BACKGROUND 0.5 /* of the device's speed is what the kernel pushes out while tasks run */
#define CACHE_PART 0.9 /* of the page cache goes before somebody is killed */

/* So much has to go to swap for `excess` bytes to fit: what is in zram takes memory itself. */
static double for_excess(const struct scenario_host *rules, double excess) {
  return rules->zram_ratio > 1 ? excess / (1 - 1.0 / rules->zram_ratio) : excess;
}

static double in_memory(const struct scenario_host *rules, double swapped) {
  return rules->zram_ratio ? swapped / rules->zram_ratio : 0;
}

static double share(double part, double all) {
  return all > 0 ? fmin(part / all, 1) : 0;
}

struct places {
  double cold_out, hot_out, cache_out; /* bytes that are not in memory */
  double missing;                      /* of those, hot ones */
};

static struct places find_places(struct host *host, const struct scenario_host *rules, const struct host_load *load) {
  double hot = load->hot + (double)rules->system_bytes, cache = load->busy ? (double)rules->cache_bytes : 0;
  double excess = hot + load->cold + cache - (double)rules->memory_bytes;
  struct places places = {0};
  double out = fmax(0, for_excess(rules, excess)), room = (double)rules->swap_bytes;
  places.cold_out = fmin(fmin(out, load->cold), room);
  out -= places.cold_out;
  places.hot_out = fmin(fmin(out, load->hot), room - places.cold_out);
  double over = out - places.hot_out;
  places.cache_out = fmin(over, cache);
  places.missing = places.hot_out + places.cache_out;
  host->out_of_memory = over > cache * CACHE_PART && load->hot + load->cold > 0;
  return places;
}

static void tell_memory(struct host *host, const struct scenario_host *rules, const struct host_load *load,
                        const struct places *places) {
  double held = load->hot + load->cold + (double)rules->system_bytes - places->cold_out - places->hot_out;
  host->swap_used = places->cold_out + places->hot_out;
  host->cold_swapped = share(places->cold_out, load->cold);
  host->hot_swapped = share(places->hot_out, load->hot);
  host->available = fmax(0, (double)rules->memory_bytes - held - in_memory(rules, host->swap_used));
}

static void tell_stall(struct host *host, const struct scenario_host *rules, const struct host_load *load,
                       const struct places *places) {
  double hot = load->hot + (double)(rules->system_bytes + rules->cache_bytes);
  bool full = places->cold_out + places->missing > 0;
  double touched = load->busy ? places->missing * rules->touch_permille / 1000 : 0;
  double out = full ? load->growth : 0;
  /* What comes in pushes as much out. */
  double wanted = 2 * touched + fmax(0, out - (double)rules->swap_speed_bytes * BACKGROUND);
  double runs = 1 / (1 + wanted / (double)rules->swap_speed_bytes);
  host->waits = 1 - runs;
  host->moved = (2 * touched + out) * runs;
  host->faulted = hot > 0 ? touched * runs / hot : 0;
  host->some = load->busy ? 1 - pow(runs, load->busy) : 0;
  host->full = load->busy ? pow(1 - runs, load->busy) : 0;
  host->some = fmax(host->some, rules->stall_permille / 1000.0);
  host->rate = runs * (load->busy > rules->cpus ? (double)rules->cpus / load->busy : 1);
}

void host__load(struct host *host, const struct scenario_host *rules, const struct host_load *load) {
  struct places places = find_places(host, rules, load);
  tell_memory(host, rules, load, &places);
  tell_stall(host, rules, load, &places);
}

void host__pass(struct host *host, uint64_t ns) {
  double us = (double)ns / 1000;
  host->some_us += us * host->some;
  host->full_us += us * host->full;
  host->moved_bytes += host->moved * us / 1e6;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "pressure.h"

#include <string.h>

#define WINDOW_US (PRESSURE_WINDOW_NS / 1000)

void pressure__init(struct pressure *pressure) {
  *pressure = (struct pressure){.level = EBB_PRESSURE_UNKNOWN};
}

struct totals {
  uint64_t some_us, full_us;
};

/* Never past `to`, however doubles round. */
static uint64_t between(uint64_t from, uint64_t to, uint64_t part_ns, uint64_t span_ns) {
  double grown = (double)(to - from), then = grown * (double)part_ns / (double)span_ns;
  return then < grown ? from + (uint64_t)then : to;
}

/*
 * The totals as they were at that time, on straight lines between the samples: so the same share comes out whatever
 * the rhythm of the readings, and a stall after a long quiet gap counts for now, not for the gap. Before the first
 * sample nothing is known, and no stall is assumed.
 */
static struct totals totals_at(const struct pressure *pressure, uint64_t at_ns) {
  uint32_t i = pressure->n - 1;
  while (i > 0 && pressure->samples[i].at_ns > at_ns)
    i--;
  struct totals totals = {pressure->samples[i].some_us, pressure->samples[i].full_us};
  if (i + 1 == pressure->n || pressure->samples[i].at_ns >= at_ns)
    return totals;
  uint64_t part = at_ns - pressure->samples[i].at_ns;
  uint64_t span = pressure->samples[i + 1].at_ns - pressure->samples[i].at_ns;
  totals.some_us = between(totals.some_us, pressure->samples[i + 1].some_us, part, span);
  totals.full_us = between(totals.full_us, pressure->samples[i + 1].full_us, part, span);
  return totals;
}

/*
 * The newest sample gives way as long as it is too close to the one before it, so that however fast readings come,
 * the samples together reach back over the window.
 */
static void keep_sample(struct pressure *pressure, uint64_t now_ns, uint64_t some_us, uint64_t full_us) {
  uint32_t n = pressure->n;
  if (n >= 2 && pressure->samples[n - 1].at_ns - pressure->samples[n - 2].at_ns < PRESSURE_SPACING_NS)
    n--;
  if (n == PRESSURE_SAMPLES) {
    memmove(&pressure->samples[0], &pressure->samples[1], sizeof(pressure->samples[0]) * (PRESSURE_SAMPLES - 1));
    n--;
  }
  pressure->samples[n].at_ns = now_ns;
  pressure->samples[n].some_us = some_us;
  pressure->samples[n].full_us = full_us;
  pressure->n = n + 1;
}

static uint64_t earlier(uint64_t now_ns, uint64_t by_ns) {
  return now_ns > by_ns ? now_ns - by_ns : 0;
}

static uint32_t share_permille(uint64_t from_us, uint64_t to_us) {
  uint64_t stalled_us = to_us - from_us;
  return stalled_us >= WINDOW_US ? 1000 : (uint32_t)(stalled_us * 1000 / WINDOW_US);
}

static void measure(struct pressure *pressure, uint64_t now_ns, uint64_t some_us, uint64_t full_us) {
  struct totals then = totals_at(pressure, earlier(now_ns, PRESSURE_WINDOW_NS));
  pressure->some_permille = share_permille(then.some_us, some_us);
  pressure->full_permille = share_permille(then.full_us, full_us);
  pressure->growing = some_us > totals_at(pressure, earlier(now_ns, PRESSURE_SPACING_NS)).some_us;
}

static enum ebb_pressure_level reached(const struct pressure *pressure, const struct ebb_host_rules *rules) {
  if (pressure->full_permille >= rules->pressure_full_permille)
    return EBB_PRESSURE_CRITICAL;
  if (pressure->some_permille >= rules->pressure_some_permille)
    return EBB_PRESSURE_ELEVATED;
  return EBB_PRESSURE_CALM;
}

static bool under_half(const struct pressure *pressure, const struct ebb_host_rules *rules) {
  if (pressure->level == EBB_PRESSURE_CRITICAL)
    return 2ULL * pressure->full_permille < rules->pressure_full_permille;
  return 2ULL * pressure->some_permille < rules->pressure_some_permille;
}

/* Up at once; down one level at a time, each after its own calm. */
static enum ebb_pressure_level next_level(struct pressure *pressure, const struct ebb_host_rules *rules,
                                          uint64_t now_ns) {
  enum ebb_pressure_level up = reached(pressure, rules);
  bool below = up < pressure->level && under_half(pressure, rules);
  if (up >= pressure->level || !below) {
    pressure->below_since_ns = 0;
    return up > pressure->level ? up : pressure->level;
  }
  if (!pressure->below_since_ns)
    pressure->below_since_ns = now_ns;
  if (now_ns - pressure->below_since_ns < PRESSURE_CALM_NS)
    return pressure->level;
  pressure->below_since_ns = 0;
  return pressure->level - 1;
}

/* Totals that went back are another cgroup's: what was measured before says nothing about them. */
static bool starts_over(const struct pressure *pressure, uint64_t some_us, uint64_t full_us) {
  return pressure->n > 0 &&
         (some_us < pressure->samples[pressure->n - 1].some_us || full_us < pressure->samples[pressure->n - 1].full_us);
}

bool pressure__sample(struct pressure *pressure, const struct ebb_host_rules *rules, uint64_t now_ns, uint64_t some_us,
                      uint64_t full_us) {
  enum ebb_pressure_level before = pressure->level;
  if (some_us == EBB_UNKNOWN || full_us == EBB_UNKNOWN) {
    pressure__init(pressure);
    return before != EBB_PRESSURE_UNKNOWN;
  }
  if (starts_over(pressure, some_us, full_us))
    pressure->n = 0;
  if (pressure->n > 0 && now_ns <= pressure->samples[pressure->n - 1].at_ns)
    return false;
  keep_sample(pressure, now_ns, some_us, full_us);
  measure(pressure, now_ns, some_us, full_us);
  if (pressure->n >= 2)
    pressure->level = next_level(pressure, rules, now_ns);
  return pressure->level != before;
}

void pressure__tell(const struct pressure *pressure, struct ebb_host_facts *host) {
  host->level = pressure->level;
  host->some_permille = pressure->some_permille;
  host->full_permille = pressure->full_permille;
  host->stall_growing = pressure->growing;
  if (!host->stall_growing)
    host->last_act_ns = 0;
}

const char *pressure__level_name(enum ebb_pressure_level level) {
  static const char *const names[] = {
#define X(id, name) name,
      EBB_PRESSURE_LEVELS(X)
#undef X
  };
  return (unsigned)level < EBB_PRESSURE_N ? names[level] : "unknown";
}

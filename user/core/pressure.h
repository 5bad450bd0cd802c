/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * From PSI's running totals to a level, with hysteresis. Pure. Averages of the kernel lag by many seconds, so only
 * differences of total= are judged, over a window of about two seconds.
 */
#ifndef CORE_PRESSURE_H
#define CORE_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

#include "ebb/facts.h"
#include "ebb/rules.h"

#define PRESSURE_SAMPLES 8
#define PRESSURE_WINDOW_NS (2ULL * 1000000000ULL)
/* Samples are kept this far apart at least, so that all of them reach back over the window. */
#define PRESSURE_SPACING_NS (PRESSURE_WINDOW_NS / (PRESSURE_SAMPLES - 2))
/* A level is left only after pressure has stayed under half its threshold for this long. */
#define PRESSURE_CALM_NS (5ULL * 1000000000ULL)

struct pressure {
  struct {
    uint64_t at_ns, some_us, full_us;
  } samples[PRESSURE_SAMPLES]; /* oldest first */
  uint32_t n;
  enum ebb_pressure_level level;
  uint64_t below_since_ns; /* 0: not below half the threshold of the level */
  uint32_t some_permille, full_permille;
  bool growing; /* some total= grew since the sample before, PRESSURE_SPACING_NS ago at least */
};

void pressure__init(struct pressure *pressure);
/*
 * Take one reading, at any rhythm; true when the level changed. EBB_UNKNOWN (no PSI): back to the beginning, level
 * unknown. Totals that went back (a cgroup was replaced) start a new measurement and keep the level; a reading is
 * ignored when its time did not move on. The level stays unknown up to the second reading.
 */
bool pressure__sample(struct pressure *pressure, const struct ebb_host_rules *rules, uint64_t now_ns, uint64_t some_us,
                      uint64_t full_us);
/* Into the facts that the policy weighs. Where the stall has ended, what comes next is another one, and waits for no
 * cooldown: last_act_ns is 0 then. */
void pressure__tell(const struct pressure *pressure, struct ebb_host_facts *host);
const char *pressure__level_name(enum ebb_pressure_level level);

#endif

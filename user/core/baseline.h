/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What a fresh worker of a pool holds: the median of the last few that became ready. Pure. */
#ifndef CORE_BASELINE_H
#define CORE_BASELINE_H

#include <stdint.h>

#define BASELINE_SAMPLES 8

struct baseline {
  uint64_t bytes[BASELINE_SAMPLES]; /* a ring */
  uint32_t n;                       /* samples ever taken */
};

void baseline__add(struct baseline *baseline, uint64_t bytes);
/* EBB_UNKNOWN before the first sample. */
uint64_t baseline__median(const struct baseline *baseline);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "baseline.h"

#include <string.h>

#include "ebb/bounds.h"

void baseline__add(struct baseline *baseline, uint64_t bytes) {
  /* 0 is a process that was gone before it could be measured, not a small one. */
  if (bytes == EBB_UNKNOWN || bytes == 0)
    return;
  baseline->bytes[baseline->n % BASELINE_SAMPLES] = bytes;
  baseline->n++;
  if (baseline->n == 0)
    baseline->n = BASELINE_SAMPLES; /* wrapped: the ring is still full, and 2^32 is a multiple of its size */
}

static void insert_sorted(uint64_t *sorted, uint32_t n, uint64_t bytes) {
  for (; n > 0 && sorted[n - 1] > bytes; n--)
    sorted[n] = sorted[n - 1];
  sorted[n] = bytes;
}

uint64_t baseline__median(const struct baseline *baseline) {
  uint64_t sorted[BASELINE_SAMPLES];
  uint32_t n = baseline->n < BASELINE_SAMPLES ? baseline->n : BASELINE_SAMPLES;
  if (n == 0)
    return EBB_UNKNOWN;
  for (uint32_t i = 0; i < n; i++)
    insert_sorted(sorted, i, baseline->bytes[i]);
  uint64_t low = sorted[(n - 1) / 2], high = sorted[n / 2];
  return low + (high - low) / 2;
}

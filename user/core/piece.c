/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "piece.h"

#include "ebb/bounds.h"

void piece__ended(struct piece *piece, uint64_t peak_bytes) {
  if (peak_bytes == EBB_UNKNOWN || peak_bytes == 0)
    return;
  piece->peaks[piece->next] = peak_bytes;
  piece->next = (piece->next + 1) % PIECE_SAMPLES;
}

uint64_t piece__most(const struct piece *piece) {
  uint64_t most = 0;
  for (uint32_t i = 0; i < PIECE_SAMPLES; i++)
    if (piece->peaks[i] > most)
      most = piece->peaks[i];
  return most ? most : EBB_UNKNOWN;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What a piece of work of a oneshot pool takes: the most of what the last few took that have ended. Pure. */
#ifndef CORE_PIECE_H
#define CORE_PIECE_H

#include <stdint.h>

#define PIECE_SAMPLES 8

struct piece {
  uint64_t peaks[PIECE_SAMPLES]; /* a ring; 0: none yet */
  uint32_t next;
};

/* One has ended; its peak. EBB_UNKNOWN and 0 (gone before it could be measured) say nothing. */
void piece__ended(struct piece *piece, uint64_t peak_bytes);
/* EBB_UNKNOWN before the first. */
uint64_t piece__most(const struct piece *piece);

#endif

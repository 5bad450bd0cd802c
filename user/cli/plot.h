/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A value over time, drawn with characters: as one line of blocks, or as a plot with axes. Pure but for the output. */
#ifndef CLI_PLOT_H
#define CLI_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PLOT_COLUMNS_MAX 512
/* Bytes of a line of that many blocks of three bytes each. */
#define PLOT_LINE_BYTES (3 * PLOT_COLUMNS_MAX + 1)

struct plot_point {
  uint64_t at_us; /* CLOCK_REALTIME */
  uint64_t value;
  uint32_t generation;
};

/* Points, oldest first, of the time [from_us, to_us). */
struct plot_series {
  const struct plot_point *points;
  size_t n;
  uint64_t from_us, to_us;
  uint64_t hold_us; /* a point counts until the next one, but no longer than this: then there is a gap */
};

struct plot_column {
  uint64_t value;      /* largest within the column; EBB_UNKNOWN: a gap */
  uint32_t generation; /* newest within the column */
};

/* Distribute the points over n columns of equal time. */
void plot__columns(const struct plot_series *series, struct plot_column *to, size_t n);

/* One character a column: its height out of `top`, a blank for a gap. Returns `line` (at most size - 1 bytes). */
const char *plot__spark(const struct plot_column *columns, size_t n, uint64_t top, bool ascii, char *line, size_t size);

/* What the largest mark of an axis is, so that a quarter of it is a short number: at least `value`. */
uint64_t plot__axis_top(uint64_t value);

struct plot_frame {
  uint32_t width, height; /* of the plotting area, in characters: 16 to PLOT_COLUMNS_MAX; a multiple of 4 */
  uint64_t limit_bytes;   /* drawn as a line when known and not far above */
  bool ascii;
};

/* The plot of sizes in bytes, with axes; below it a mark under each column in which a generation began. */
void plot__draw(const struct plot_series *series, const struct plot_frame *frame, FILE *to);

#endif

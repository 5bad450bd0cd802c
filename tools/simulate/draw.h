/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a number is drawn from. As written in a scenario, with sizes (512M) or times (15s), as they are in ebb.conf:
 *
 *   20s                       always that; also: constant 20s
 *   uniform 10s 30s           evenly from … to
 *   exponential 20s           mean; what independent arrivals have between them
 *   lognormal 20s 5m          median, 95th percentile; what most durations and sizes look like
 *   pareto 100M 1.2 4G        least, exponent, most: few that are very large (a larger one counts as the most)
 */
#ifndef SIMULATE_DRAW_H
#define SIMULATE_DRAW_H

#include <stdint.h>

#include "random.h"

#define DRAW_KINDS(X)                                                                                                  \
  X(CONSTANT, "constant", 1)                                                                                           \
  X(UNIFORM, "uniform", 2)                                                                                             \
  X(EXPONENTIAL, "exponential", 1)                                                                                     \
  X(LOGNORMAL, "lognormal", 2)                                                                                         \
  X(PARETO, "pareto", 3)

enum draw_kind {
#define X(id, name, n) DRAW_##id,
  DRAW_KINDS(X)
#undef X
      DRAW_N
};

struct draw {
  enum draw_kind kind;
  double a, b, c;
};

/* How one number is read: parse__time, or a size. 0 or negative errno. */
typedef int draw_number(const char *text, uint64_t *ret);

/* 0 or -EINVAL. */
int draw__parse(const char *text, draw_number *number, struct draw *ret);
uint64_t draw__take(const struct draw *draw, struct random *random);

#endif

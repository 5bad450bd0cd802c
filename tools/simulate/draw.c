/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "draw.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

#define WORDS_MAX 4
#define Z95 1.6448536269514722 /* 95 % of a normal distribution are under this */
#define TWO_PI 6.283185307179586
#define MOST 0x1p62 /* so that a sum of two still fits */

static const struct {
  const char *name;
  int n;
} kinds[DRAW_N] = {
#define X(id, name, n) [DRAW_##id] = {name, n},
    DRAW_KINDS(X)
#undef X
};

static int find(const char *name) {
  for (int i = 0; i < DRAW_N; i++)
    if (!strcmp(kinds[i].name, name))
      return i;
  return -EINVAL;
}

/* The exponent of a pareto distribution: the one number that is no size and no time. */
static bool read_plain(const char *text, double *ret) {
  char *end;
  *ret = strtod(text, &end);
  return end != text && !*end && *ret > 0.01 && *ret < 100;
}

static bool read_values(enum draw_kind kind, const char *const *words, draw_number *number, double values[3]) {
  for (int i = 0; i < kinds[kind].n; i++) {
    uint64_t value;
    if (kind == DRAW_PARETO && i == 1) {
      if (!read_plain(words[i], &values[i]))
        return false;
      continue;
    }
    if (number(words[i], &value))
      return false;
    values[i] = (double)value;
  }
  return true;
}

static bool makes_sense(const struct draw *draw) {
  switch (draw->kind) {
  case DRAW_UNIFORM:
    return draw->a <= draw->b;
  case DRAW_LOGNORMAL:
    return draw->a > 0 && draw->a <= draw->b;
  case DRAW_PARETO:
    return draw->a > 0 && draw->a <= draw->c;
  default:
    return true;
  }
}

int draw__parse(const char *text, draw_number *number, struct draw *ret) {
  char space[256];
  const char *words[WORDS_MAX + 1];
  double values[3] = {0};
  int n = config__words(text, space, sizeof(space), words, WORDS_MAX + 1);
  if (n < 1)
    return -EINVAL;
  int kind = n == 1 ? DRAW_CONSTANT : find(words[0]);
  const char *const *first = n == 1 ? words : words + 1;
  if (kind < 0 || (n > 1 && n - 1 != kinds[kind].n) || !read_values((enum draw_kind)kind, first, number, values))
    return -EINVAL;
  struct draw draw = {(enum draw_kind)kind, values[0], values[1], values[2]};
  if (!makes_sense(&draw))
    return -EINVAL;
  *ret = draw;
  return 0;
}

/* Box and Muller; the second number is thrown away, so that a draw always takes as much of the stream. */
static double normal(struct random *random) {
  double radius = sqrt(-2 * log(random__unit(random)));
  return radius * cos(TWO_PI * random__unit(random));
}

static double take(const struct draw *draw, struct random *random) {
  switch (draw->kind) {
  case DRAW_UNIFORM:
    return draw->a + (draw->b - draw->a) * random__unit(random);
  case DRAW_EXPONENTIAL:
    return -draw->a * log(random__unit(random));
  case DRAW_LOGNORMAL:
    return draw->a * exp(log(draw->b / draw->a) / Z95 * normal(random));
  case DRAW_PARETO:
    return fmin(draw->c, draw->a * pow(random__unit(random), -1 / draw->b));
  default:
    return draw->a;
  }
}

uint64_t draw__take(const struct draw *draw, struct random *random) {
  return (uint64_t)fmin(take(draw, random), MOST);
}

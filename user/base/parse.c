/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "parse.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "clock.h"

struct unit {
  const char *name;
  uint64_t value;
};

static const struct unit size_units[] = {
    {"", 1}, {"K", 1ULL << 10}, {"M", 1ULL << 20}, {"G", 1ULL << 30}, {"T", 1ULL << 40},
};

static const struct unit time_units[] = {
    {"ms", NS_PER_MS}, {"s", NS_PER_SEC}, {"m", 60 * NS_PER_SEC}, {"h", 3600 * NS_PER_SEC}, {"d", 86400 * NS_PER_SEC},
};

/* Digits at *text, which is moved behind them. */
static int take_digits(const char **text, uint64_t *ret) {
  uint64_t value = 0;
  const char *at = *text;
  for (; *at >= '0' && *at <= '9'; at++)
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
      return -ERANGE;
  if (at == *text)
    return -EINVAL;
  *text = at;
  *ret = value;
  return 0;
}

static const struct unit *find_unit(const struct unit *units, size_t n, const char *name) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(units[i].name, name) == 0)
      return &units[i];
  return NULL;
}

/* All ones means "off" or "unknown" everywhere else, so no text may say it. */
static int scale(uint64_t value, uint64_t unit, uint64_t *ret) {
  uint64_t product;
  if (__builtin_mul_overflow(value, unit, &product) || product == UINT64_MAX)
    return -ERANGE;
  *ret = product;
  return 0;
}

int parse__number(const char *text, uint64_t max, uint64_t *ret) {
  uint64_t value;
  int r = take_digits(&text, &value);
  if (r < 0)
    return r;
  if (*text)
    return -EINVAL;
  if (value > max)
    return -ERANGE;
  *ret = value;
  return 0;
}

static int percent_of(uint64_t percent, uint64_t whole_bytes, uint64_t *ret_bytes) {
  if (!whole_bytes)
    return -EINVAL;
  if (percent > 100)
    return -ERANGE;
  *ret_bytes = whole_bytes / 100 * percent + whole_bytes % 100 * percent / 100;
  return 0;
}

int parse__size(const char *text, uint64_t whole_bytes, uint64_t *ret_bytes) {
  uint64_t value;
  int r = take_digits(&text, &value);
  if (r < 0)
    return r;
  if (strcmp(text, "%") == 0)
    return percent_of(value, whole_bytes, ret_bytes);
  const struct unit *unit = find_unit(size_units, sizeof(size_units) / sizeof(*size_units), text);
  return unit ? scale(value, unit->value, ret_bytes) : -EINVAL;
}

int parse__time(const char *text, uint64_t *ret_ns) {
  uint64_t value;
  int r = take_digits(&text, &value);
  if (r < 0)
    return r;
  if (!*text && value == 0) {
    *ret_ns = 0;
    return 0;
  }
  const struct unit *unit = find_unit(time_units, sizeof(time_units) / sizeof(*time_units), text);
  return unit ? scale(value, unit->value, ret_ns) : -EINVAL;
}

int parse__permille(const char *text, uint32_t *ret_permille) {
  uint64_t percent, tenth = 0;
  int r = take_digits(&text, &percent);
  if (r < 0)
    return r;
  if (text[0] == '.' && text[1] >= '0' && text[1] <= '9') {
    tenth = (uint64_t)(text[1] - '0');
    text += 2;
  }
  if (strcmp(text, "%") != 0)
    return -EINVAL;
  if (percent > 100 || percent * 10 + tenth > 1000)
    return -ERANGE;
  *ret_permille = (uint32_t)(percent * 10 + tenth);
  return 0;
}

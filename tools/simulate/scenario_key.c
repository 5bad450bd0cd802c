/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "scenario_key.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "parse.h"
#include "text.h"

/* section, struct, key, place, kind, default, expected; NULL: no default */
#define A_SIZE "a size such as 512M, or a share of the host's memory such as 5%"
#define A_TIME "a time such as 15s, 10m or 2h"
#define A_DRAW "uniform A B, exponential MEAN, lognormal MEDIAN P95, pareto LEAST EXPONENT MOST, or one value"
#define SCENARIO_KEYS(X)                                                                                               \
  X("run", run, lasts, lasts_ns, time, NULL, A_TIME)                                                                   \
  X("run", run, seed, seed, number, "1", "a number")                                                                   \
  X("run", run, watchdog, watchdog, yes_or_no, "yes", "yes or no")                                                     \
  X("host", host, memory, memory_bytes, size, NULL, A_SIZE)                                                            \
  X("host", host, system, system_bytes, size, "0", A_SIZE)                                                             \
  X("host", host, cache, cache_bytes, size, "0", A_SIZE)                                                               \
  X("host", host, swap, swap_bytes, size, "0", A_SIZE)                                                                 \
  X("host", host, swap_speed, swap_speed_bytes, size, "40M", A_SIZE)                                                   \
  X("host", host, zram_ratio, zram_ratio, number, "0", "a number; 0: swap is on a disk")                               \
  X("host", host, cpus, cpus, number, "4", "a number")                                                                 \
  X("host", host, touch, touch_permille, share, "20%", "a share such as 20%")                                          \
  X("host", host, stall, stall_permille, share, "0%", "a share such as 2%")                                            \
  X("workers", workers, baseline, baseline, sizes, "20M", "sizes: " A_DRAW)                                            \
  X("workers", workers, start, start, times, "1s", "times: " A_DRAW)                                                   \
  X("workers", workers, stop, stop, times, "100ms", "times: " A_DRAW)                                                  \
  X("workers", workers, shared, shared_bytes, size, "0", A_SIZE)                                                       \
  X("jobs", jobs, pool, pool_name, name, NULL, "the name of a pool")                                                   \
  X("jobs", jobs, burst, burst, number, "1", "a number")                                                               \
  X("jobs", jobs, every, every, times, NULL, "times: " A_DRAW)                                                         \
  X("jobs", jobs, takes, takes, times, NULL, "times: " A_DRAW)                                                         \
  X("jobs", jobs, memory, memory, sizes, "0", "sizes: " A_DRAW)                                                        \
  X("jobs", jobs, leaks, leaks, sizes, "0", "sizes: " A_DRAW)                                                          \
  X("jobs", jobs, keeps, keeps_permille, share, "0%", "a share such as 100%")

static int set_size(void *field, const char *value, uint64_t ram_bytes) {
  return parse__size(value, ram_bytes, field);
}

static int set_time(void *field, const char *value, uint64_t ram_bytes) {
  (void)ram_bytes;
  return parse__time(value, field);
}

static int set_share(void *field, const char *value, uint64_t ram_bytes) {
  (void)ram_bytes;
  return parse__permille(value, field);
}

static int set_number(void *field, const char *value, uint64_t ram_bytes) {
  uint64_t number;
  (void)ram_bytes;
  int error = parse__number(value, UINT32_MAX, &number);
  if (!error)
    *(uint32_t *)field = (uint32_t)number;
  return error;
}

static int set_yes_or_no(void *field, const char *value, uint64_t ram_bytes) {
  (void)ram_bytes;
  bool yes = !strcmp(value, "yes");
  if (!yes && strcmp(value, "no") != 0)
    return -EINVAL;
  *(uint32_t *)field = yes;
  return 0;
}

static int set_name(void *field, const char *value, uint64_t ram_bytes) {
  (void)ram_bytes;
  return text__copy(field, EBB_NAME_BYTES, value) ? 0 : -EINVAL;
}

static int set_times(void *field, const char *value, uint64_t ram_bytes) {
  (void)ram_bytes;
  return draw__parse(value, parse__time, field);
}

static int plain_size(const char *text, uint64_t *ret) {
  return parse__size(text, 0, ret);
}

static int set_sizes(void *field, const char *value, uint64_t ram_bytes) {
  (void)ram_bytes;
  return draw__parse(value, plain_size, field);
}

const struct scenario_key scenario_keys[] = {
#define X(section, type, key, place, kind, preset, expected)                                                           \
  {section, #key, offsetof(struct scenario_##type, place), set_##kind, preset, expected},
    SCENARIO_KEYS(X)
#undef X
        {0},
};

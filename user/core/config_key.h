/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The keys of the configuration: one list of names, places, defaults and expectations, and the values they take. */
#ifndef CORE_CONFIG_KEY_H
#define CORE_CONFIG_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

#define A_TIME "a time such as 15s, 10m or 2h, at most 365d"
#define A_POSITIVE_TIME "a time such as 15s, 10m or 2h, more than 0, at most 365d"
#define A_LIMIT "a size such as 512M or 1G, a share of RAM such as 25%, or off"
#define A_SHARE "a share such as 10% or 2.5%, or off"
#define A_SWITCH "yes or no"
#define A_NAME "a name of at most 31 bytes, without blanks"
#define A_PATH "an absolute path of at most 255 bytes"

/* key, place in struct config, kind of value (config_key.c), default ("": none), what is expected */
#define CONFIG_EBB_KEYS(X)                                                                                             \
  X(control_group, control_group, name, "", A_NAME)                                                                    \
  X(memory_budget, rules.memory_budget_bytes, limit, "off", A_LIMIT)                                                   \
  X(pressure_source, pressure_source, path, "/proc/pressure/memory", A_PATH)                                           \
  X(pressure_some, rules.pressure_some_permille, share, "10%", A_SHARE)                                                \
  X(pressure_full, rules.pressure_full_permille, share, "5%", A_SHARE)                                                 \
  X(reserve, rules.reserve_bytes, size, "5%", "a size such as 512M, or a share of RAM such as 5%")                     \
  X(cooldown, rules.cooldown_ns, time, "15s", A_TIME)                                                                  \
  X(stop_timeout, stop_timeout_ns, time_limit, "off", A_TIME ", or off")                                               \
  X(dry_run, rules.dry_run, switch, "no", A_SWITCH)

/* Likewise, place in struct config_pool. */
#define CONFIG_POOL_KEYS(X)                                                                                            \
  X(command, command, command, "", "a command line of at most 1023 bytes and 64 words, with its quotes closed")        \
  X(user, user, name, "", A_NAME)                                                                                      \
  X(directory, directory, path, "", A_PATH)                                                                            \
  X(environment, environment, environment, "", "NAME=value words, at most 1023 bytes and 128 words, none of EBB_*")    \
  X(umask, umask, umask, "022", "three octal digits such as 022")                                                      \
  X(size, size, workers, "1", "a number of workers, at most 4096")                                                     \
  X(min_ready, rules.min_ready, workers, "", "a number of workers, at most 4096")                                      \
  X(spares, rules.spares, workers, "0", "a number of workers, at most 4096")                                           \
  X(footprint_limit, rules.footprint_limit_bytes, limit, "off", A_LIMIT)                                               \
  X(retained_limit, rules.retained_limit_bytes, limit, "off", A_LIMIT)                                                 \
  X(contribution_limit, rules.contribution_limit_permille, share, "off", A_SHARE)                                      \
  X(min_gain, rules.min_gain_bytes, size, "64M", "a size such as 64M, or a share of RAM such as 1%")                   \
  X(min_lifetime, rules.min_lifetime_ns, time, "10s", A_TIME)                                                          \
  X(max_jobs, rules.max_jobs, jobs, "off", "a number of jobs, 1 or more, or off")                                      \
  X(max_lifetime, rules.max_lifetime_ns, time_limit, "off", A_POSITIVE_TIME ", or off")                                \
  X(trim, rules.trim, switch, "no", A_SWITCH)                                                                          \
  X(trim_wait, rules.trim_wait_ns, positive_time, "10s", A_POSITIVE_TIME)                                              \
  X(idle, rules.idle, idle, "lease", "lease or signal")                                                                \
  X(retire_signal, retire_signal, signal, "TERM", "TERM, INT, QUIT, HUP, USR1 or USR2")                                \
  X(grace, grace_ns, time, "30s", A_TIME)                                                                              \
  X(strikes, rules.strikes, strikes, "1", "a number of confirmations, 1 to 3600")                                      \
  X(mode, rules.mode, mode, "service", "service, oneshot or adopt")                                                    \
  X(priority, rules.priority, priority, "0", "a number, 0 to 1000: the higher one comes first")                        \
  X(refill, rules.refill, refill, "auto", "auto or after")                                                             \
  X(refill_command, refill_command, command, "",                                                                       \
    "a command line of at most 1023 bytes and 64 words, with its quotes closed")                                       \
  X(adopt_cgroup, adopt_cgroup, path, "", A_PATH)                                                                      \
  X(ready_timeout, ready_timeout_ns, positive_time, "30s", A_POSITIVE_TIME)                                            \
  X(pids, pids, pids, "off", "a number of processes and threads, 1 to 4194304, or off")                                \
  X(stuck_after, rules.stuck_after_ns, time_limit, "1h", A_POSITIVE_TIME ", or off")                                   \
  X(recycle_exit_codes, exit_codes, exit_codes, "0", "at most 16 numbers of 0 to 255, or off")

/* Indexes into the keys of a section. */
#define X(key, place, kind, preset, expected) CONFIG_EBB_##key,
enum config_ebb_key { CONFIG_EBB_KEYS(X) CONFIG_EBB_KEYS_N };
#undef X
#define X(key, place, kind, preset, expected) CONFIG_POOL_##key,
enum config_pool_key { CONFIG_POOL_KEYS(X) CONFIG_POOL_KEYS_N };
#undef X

#define CONFIG_KEYS_MAX CONFIG_POOL_KEYS_N
_Static_assert((int)CONFIG_KEYS_MAX >= (int)CONFIG_EBB_KEYS_N, "the larger of both");

/* Where a value goes. */
struct config_target {
  void *object; /* the struct config or struct config_pool */
  void *field;
  size_t size; /* of the field */
  uint64_t ram_bytes;
};

struct config_key {
  const char *name;
  size_t offset, size;
  int (*set)(const struct config_target *target, const char *value);
  const char *preset;
  const char *expected;
};

enum config_section { CONFIG_SECTION_NONE, CONFIG_SECTION_EBB, CONFIG_SECTION_POOL };

struct config_keys {
  const struct config_key *keys;
  unsigned n;
};
struct config_keys config_keys__of(enum config_section section);

/* Write the value to its place in the object. 0; -EINVAL: not what is expected. */
int config_key__set(const struct config_key *key, void *object, uint64_t ram_bytes, const char *value);
/* Write the defaults of all keys of the section. */
void config_keys__preset(enum config_section section, void *object, uint64_t ram_bytes);

/* NULL: no such key. */
const struct config_key *config_keys__find(enum config_section section, const char *name);
/* The key that was probably meant; NULL: none comes near. */
const struct config_key *config_keys__nearest(enum config_section section, const char *name);

#endif

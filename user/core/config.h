/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The configuration as a plain struct, and the parser (libinih) that fills it from texts in memory. Pure: the caller
 * reads the files (base/source.h) and says how much RAM there is.
 */
#ifndef CORE_CONFIG_H
#define CORE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "ebb/bounds.h"
#include "ebb/rules.h"
#include "source.h"

#define CONFIG_COMMAND_BYTES 1024     /* command line of a pool, as written */
#define CONFIG_ENVIRONMENT_BYTES 1024 /* likewise */
#define CONFIG_COMMAND_WORDS_MAX 64   /* that a command or an environment may have: what was read splits into that */
#define CONFIG_ENVIRONMENT_WORDS_MAX 128
#define CONFIG_EXIT_CODES_MAX 16
#define CONFIG_SHARE_OFF EBB_SHARE_OFF
#define CONFIG_PIDS_OFF 0
#define CONFIG_PATH_BYTES 256

/* What is wrong and what was expected: "/etc/ebb/ebb.conf:12: footprint_limit: expected …, got …". */
struct config_error {
  char text[512];
};

struct config_pool {
  char name[EBB_NAME_BYTES];
  char command[CONFIG_COMMAND_BYTES];         /* split by config__words when the pool is set up */
  char environment[CONFIG_ENVIRONMENT_BYTES]; /* likewise: A=1 B=2 */
  char user[EBB_NAME_BYTES];                  /* empty: whoever runs ebbd */
  char directory[CONFIG_PATH_BYTES];          /* empty: / */
  char refill_command[CONFIG_COMMAND_BYTES];  /* of an adopting pool: run when a slot has become empty; empty: none */
  char adopt_cgroup[CONFIG_PATH_BYTES]; /* of an adopting pool: its workers are in it, or below it; empty: anywhere */
  uint32_t size;
  uint32_t umask; /* file mode bits that its workers leave out */
  int retire_signal;
  uint64_t grace_ns;
  uint64_t ready_timeout_ns;
  uint32_t pids; /* processes and threads that a worker may have at one time; or off */
  uint32_t n_exit_codes;
  uint8_t exit_codes[CONFIG_EXIT_CODES_MAX]; /* that mean "recycled" */
  struct ebb_pool_rules rules;
};

struct config {
  char control_group[EBB_NAME_BYTES]; /* empty: the group of whoever runs ebbd */
  char pressure_source[CONFIG_PATH_BYTES];
  struct ebb_host_rules rules;
  uint64_t stop_timeout_ns; /* EBB_UNKNOWN: busy workers are waited for without limit */
  uint64_t ram_bytes;
  uint32_t n_pools;
  uint32_t n_slots; /* sum of the sizes */
  struct config_pool pools[EBB_POOLS_MAX];
};

/*
 * Read all texts, in their order, as one configuration: sections [ebb] and [pool:<name>]. Unknown or repeated sections
 * and keys, bad and contradictory values are errors; a line that starts with a blank continues the value before it.
 * 0, or -EINVAL with *error filled in (file, line, what was expected); then *ret is only good for throwing away.
 */
int config__read(struct config *ret, uint64_t ram_bytes, const struct source *sources, size_t n,
                 struct config_error *error);

/*
 * Split as a shell would without expansions: blanks separate, '…' and "…" group, \ takes the next byte.
 * Words are written into `space`, NUL after each, and pointed to by words[], which ends with NULL.
 * Returns the number of words, -EINVAL (open quote, nothing there) or -E2BIG.
 */
int config__words(const char *line, char *space, size_t space_bytes, const char **words, size_t n_words);

/* Index of the pool, or -ENOENT. */
int config__pool_index(const struct config *config, const char *name);

#endif

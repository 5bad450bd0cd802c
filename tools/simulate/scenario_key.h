/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The keys of a scenario that are its own: where each value goes, and what is expected. */
#ifndef SIMULATE_SCENARIO_KEY_H
#define SIMULATE_SCENARIO_KEY_H

#include "scenario.h"

struct scenario_key {
  const char *section; /* up to its colon */
  const char *name;
  size_t offset;
  int (*set)(void *field, const char *value, uint64_t ram_bytes);
  const char *preset; /* NULL: it has to be given */
  const char *expected;
};

/* All keys, up to one without a name. */
extern const struct scenario_key scenario_keys[];

#endif

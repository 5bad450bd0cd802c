/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "override.h"

#include "board.h"

struct ebb_pool_rules override__rules(const struct pool *pool) {
  struct ebb_pool_rules rules = pool->config.rules;
  if (pool->limited & BOARD_LIMITED_FOOTPRINT)
    rules.footprint_limit_bytes = pool->footprint_limit_bytes;
  if (pool->limited & BOARD_LIMITED_RETAINED)
    rules.retained_limit_bytes = pool->retained_limit_bytes;
  return rules;
}

void override__set(struct pool *pool, const struct command *command) {
  if (command->defaults)
    pool->limited = 0;
  if (command->footprint_limited) {
    pool->limited |= BOARD_LIMITED_FOOTPRINT;
    pool->footprint_limit_bytes = command->footprint_limit_bytes;
  }
  if (command->retained_limited) {
    pool->limited |= BOARD_LIMITED_RETAINED;
    pool->retained_limit_bytes = command->retained_limit_bytes;
  }
}

void override__restore(struct pool *pool, const struct board_pool *record) {
  pool->limited = record->limited & (BOARD_LIMITED_FOOTPRINT | BOARD_LIMITED_RETAINED);
  pool->footprint_limit_bytes = record->rules.footprint_limit_bytes;
  pool->retained_limit_bytes = record->rules.retained_limit_bytes;
}

/* EBB_UNKNOWN: `off`, or what the file says. */
static void record(struct keeper *keeper, const struct pool *pool, const struct command *command, const char *text,
                   uint64_t bytes) {
  const struct audit_worker worker = {.pool = pool->config.name, .slot = -1};
  const struct audit_memory memory = {EBB_UNKNOWN, bytes, EBB_UNKNOWN, EBB_UNKNOWN};
  audit__write(&keeper->audit, &(struct audit_record){.event = AUDIT_LIMIT,
                                                      .id = command->id,
                                                      .worker = &worker,
                                                      .by = command->by,
                                                      .memory = &memory,
                                                      .text = text});
}

void override__record(struct keeper *keeper, const struct pool *pool, const struct command *command) {
  uint64_t footprint = command->footprint_limit_bytes, retained = command->retained_limit_bytes;
  if (command->footprint_limited)
    record(keeper, pool, command, footprint == EBB_UNKNOWN ? "footprint off" : "footprint", footprint);
  if (command->retained_limited)
    record(keeper, pool, command, retained == EBB_UNKNOWN ? "retained off" : "retained", retained);
  if (command->defaults)
    record(keeper, pool, command, "default", EBB_UNKNOWN);
}

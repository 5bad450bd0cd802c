/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "hold.h"

#include <string.h>

static void extend(uint64_t *hold_ns, uint64_t until_ns) {
  if (*hold_ns < until_ns)
    *hold_ns = until_ns;
}

static bool set_for_watch(struct pool *pool, enum command_hold what, uint64_t until_ns) {
  bool goes_on = what == COMMAND_HOLD_REFILL && (pool->hold_watch_ns || pool->hold_refill_ns >= until_ns);
  if (what & COMMAND_HOLD_RETIRE)
    extend(&pool->hold_retire_ns, until_ns);
  if (what & COMMAND_HOLD_REFILL)
    pool->hold_watch_ns = until_ns;
  return !goes_on;
}

bool hold__set(struct pool *pool, const struct command *command, uint64_t now_ns) {
  uint64_t until_ns = now_ns + command->for_ns;
  if (!strcmp(command->by, "watch"))
    return set_for_watch(pool, command->what, until_ns);
  if (command->what & COMMAND_HOLD_RETIRE)
    pool->hold_retire_ns = until_ns;
  if (command->what & COMMAND_HOLD_REFILL)
    pool->hold_refill_ns = until_ns;
  return true;
}

void hold__lift(struct pool *pool) {
  pool->hold_retire_ns = pool->hold_refill_ns = pool->hold_watch_ns = 0;
}

static bool end(uint64_t *hold_ns, uint64_t now_ns) {
  bool over = *hold_ns && now_ns >= *hold_ns;
  if (over)
    *hold_ns = 0;
  return over;
}

void hold__turn(struct keeper *keeper, uint64_t now_ns) {
  for_each_pool(pool, keeper) {
    bool retire = end(&pool->hold_retire_ns, now_ns);
    bool refill = end(&pool->hold_refill_ns, now_ns);
    refill |= end(&pool->hold_watch_ns, now_ns);
    if (!retire && (!refill || hold__refill_until_ns(pool)))
      continue;
    const struct audit_worker worker = {.pool = pool->config.name, .slot = -1};
    audit__write(
        &keeper->audit,
        &(struct audit_record){.event = AUDIT_RESUME, .worker = &worker, .by = "ebbd", .text = "the hold ran out"});
  }
}

static uint64_t sooner(uint64_t first_ns, uint64_t hold_ns) {
  return hold_ns && hold_ns < first_ns ? hold_ns : first_ns;
}

uint64_t hold__deadline(const struct pool *pool) {
  return sooner(sooner(sooner(UINT64_MAX, pool->hold_retire_ns), pool->hold_refill_ns), pool->hold_watch_ns);
}

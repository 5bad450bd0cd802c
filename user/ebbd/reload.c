/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "reload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "log.h"
#include "meminfo.h"
#include "roster.h"
#include "source.h"
#include "worker.h"

static struct config fresh; /* large; read here, so that a bad one never touches the one in force */

int reload__load(struct config *ret, const char *path, struct config_error *error) {
  static struct sources sources;
  struct meminfo memory;
  int failed = meminfo__read(&memory);
  if (failed) {
    (void)snprintf(error->text, sizeof(error->text), "/proc/meminfo: %s", strerror(-failed));
    return failed;
  }
  failed = sources__read(&sources, path);
  if (failed)
    (void)snprintf(error->text, sizeof(error->text), "%s: %s", sources.items[0].name ? sources.items[0].name : path,
                   strerror(-failed));
  else
    failed = config__read(ret, memory.total_bytes, sources.items, sources.n, error);
  sources__free(&sources);
  return failed;
}

int reload__read(struct keeper *keeper, struct config_error *error) {
  return reload__load(&fresh, keeper->options->config_path, error);
}

static void remove_pool(struct pool *pool) {
  pool->removed = true; /* the next turn lets its workers go */
  pool->requests = 0;
}

/* Also one that is on its way out: it comes back with the workers it still has, so that no slot is ever two. */
static struct pool *find_pool(struct keeper *keeper, const char *name) {
  for_each_pool(pool, keeper) if (!strcmp(pool->config.name, name)) return pool;
  return NULL;
}

/* Slots that back off do so because of a worker of before. */
static void try_anew(struct keeper *keeper, struct pool *pool) {
  pool->unleased_warned = false;
  for_each_slot_of(slot, keeper, pool) {
    slot->failures = 0;
    slot->retry_ns = 0;
  }
}

/* 0; -ENOSPC: pool or slots have no place yet. */
static int apply_pool(struct keeper *keeper, const struct config_pool *config, uint64_t now_ns) {
  struct pool *pool = find_pool(keeper, config->name);
  /* A size set by `scale` stays until the file says another one than before. */
  bool resize = !pool || pool->removed || pool->config.size != config->size;
  if (!pool)
    pool = roster__new_pool(keeper);
  if (!pool)
    return -ENOSPC;
  uint64_t before = pool->recipe;
  int error = roster__arm(pool, config);
  if (pool->recipe != before)
    try_anew(keeper, pool);
  if (error)
    return error;
  return roster__resize(keeper, pool, resize ? config->size : pool->size, now_ns) ? 0 : -ENOSPC;
}

static void place_all(struct keeper *keeper, uint64_t now_ns) {
  keeper->unplaced = false;
  for (uint32_t i = 0; i < keeper->config.n_pools; i++)
    keeper->unplaced |= apply_pool(keeper, &keeper->config.pools[i], now_ns) == -ENOSPC;
}

bool reload__place(struct keeper *keeper, uint64_t now_ns) {
  bool any = keeper->unplaced;
  if (any)
    place_all(keeper, now_ns);
  return any;
}

void reload__apply(struct keeper *keeper, uint64_t now_ns) {
  if (strcmp(keeper->config.control_group, fresh.control_group) != 0)
    log__warning("reload: control_group stays as it is until ebbd is started again");
  keeper->config = fresh;
  for_each_pool(pool, keeper) if (config__pool_index(&fresh, pool->config.name) < 0) remove_pool(pool);
  place_all(keeper, now_ns);
  if (keeper->unplaced)
    log__warning("reload: there is no place for all of its workers until others have gone");
}

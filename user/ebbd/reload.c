/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "reload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "adopt.h"
#include "cleanup.h"
#include "log.h"
#include "memcg.h"
#include "roster.h"
#include "source.h"
#include "worker.h"

static struct config fresh; /* large; read here, so that a bad one never touches the one in force */

int reload__load(struct config *ret, const char *path, struct config_error *error) {
  static struct sources sources;
  struct meminfo memory;
  int failed = memory__read(&memory); /* percentages are of what there is for us */
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
  pool->requests = pool->requests_first = 0;
  pool->limited = 0;
}

static void place_all(struct keeper *keeper, uint64_t now_ns) {
  keeper->unplaced = false;
  for (uint32_t i = 0; i < keeper->config.n_pools; i++)
    keeper->unplaced |= roster__apply(keeper, &keeper->config.pools[i], now_ns) == -ENOSPC;
  keeper->unplaced |= !roster__balance_all(keeper, now_ns);
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
  adopt__make_places(keeper);
  if (keeper->unplaced)
    log__warning("reload: there is no place for all of its workers until others have gone");
}

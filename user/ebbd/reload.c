/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "reload.h"

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

void reload__apply(struct keeper *keeper, uint64_t now_ns) {
  keeper->config = fresh;
  for_each_pool(pool, keeper) if (config__pool_index(&fresh, pool->config.name) < 0) remove_pool(pool);
  for (uint32_t i = 0; i < fresh.n_pools; i++) {
    const struct config_pool *pool = &fresh.pools[i];
    int error = roster__apply(keeper, pool, now_ns);
    if (error)
      log__error("reload: no place for pool %s and its %u slots: %s", pool->name, pool->size, strerror(-error));
  }
}

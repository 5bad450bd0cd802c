/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the policy weighs of the host: memory, pressure, and what moved for lack of memory. */
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "watch.h"

/* After a reload: totals of two files say nothing together. */
static void follow_source(struct watch *watch) {
  const char *path = watch->view.ebbd.pressure_source;
  if (!strcmp(watch->psi_path, path))
    return;
  (void)snprintf(watch->psi_path, sizeof(watch->psi_path), "%s", path);
  pressure__init(&watch->pressure);
  watch->psi_source = sd_event_source_unref(watch->psi_source);
  psi_trigger__close(&watch->trigger);
  watch->host.last_act_ns = 0;
}

static void gather_pressure(struct watch *watch, uint64_t now_ns) {
  struct psi_totals totals;
  follow_source(watch);
  struct ebb_host_facts *host = &watch->host;
  int error = psi__read(watch->view.ebbd.pressure_source, &totals);
  host->stall_some_us = error ? EBB_UNKNOWN : totals.some_us;
  host->stall_full_us = error ? EBB_UNKNOWN : totals.full_us;
  if (error && !watch->psi_missing)
    log__warning("%s: %s: going on without pressure rules", watch->view.ebbd.pressure_source, strerror(-error));
  watch->psi_missing = error;
  if (pressure__sample(&watch->pressure, &watch->view.ebbd.rules, now_ns, host->stall_some_us, host->stall_full_us))
    act__note(watch, "pressure", NULL, -1, 0, NULL, EBB_UNKNOWN, pressure__level_name(watch->pressure.level));
  pressure__tell(&watch->pressure, host);
}

static void gather_moved(struct watch *watch, uint64_t now_ns) {
  uint64_t pages;
  if (vmstat__read_moved(&pages))
    return;
  watch->host.reclaim_moved = moved__sample(&watch->moved, now_ns, pages);
}

void gather__host(struct watch *watch, uint64_t now_ns) {
  struct meminfo memory; /* that the workers have, who live in the container that ebbd, and so we, are in */
  watch->host.now_ns = now_ns;
  if (memory__read_in(&watch->memcg, &memory) == 0) {
    watch->host.mem_total_bytes = memory.total_bytes;
    watch->host.mem_available_bytes = memory.available_bytes;
  }
  gather_pressure(watch, now_ns);
  gather_moved(watch, now_ns);
  watch->host.drops = watch->sensor->ops->drops(watch->sensor);
  watch->host.tier = watch->sensor->ops->tier(watch->sensor);
}

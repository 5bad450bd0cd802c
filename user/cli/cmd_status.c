/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ebb status: pools and workers, once. */
#include <stdio.h>

#include "cli.h"
#include "clock.h"
#include "json.h"
#include "overview.h"
#include "reason.h"
#include "snapshot.h"

static uint64_t pid_or_unknown(bool running, int32_t pid) {
  return running && pid > 0 ? (uint64_t)pid : EBB_UNKNOWN;
}

static void add_daemons(const struct snapshot *snapshot, struct json_object *to) {
  struct json_object *ebbd = json__object(to, "ebbd"), *watch = json__object(to, "watch");
  bool timed = snapshot->alive && snapshot->ebbd.started_ns <= snapshot->now_ns;
  json__number(ebbd, "pid", pid_or_unknown(snapshot->alive, snapshot->pid));
  json__fraction(ebbd, "uptime_s", timed ? snapshot->now_ns - snapshot->ebbd.started_ns : EBB_UNKNOWN, NS_PER_SEC);
  json__boolean(ebbd, "dry_run", snapshot->ebbd.rules.dry_run);
  json__number(watch, "pid", pid_or_unknown(snapshot->watched, snapshot->ebbd.watch_pid));
  json__string(watch, "tier", overview__tier(snapshot));
  json__string(watch, "level", overview__level(snapshot));
  json__string(watch, "pressure", overview__pressure(snapshot));
  json__number(watch, "drops", snapshot->host.drops);
}

static void add_host(const struct snapshot *snapshot, struct json_object *to) {
  struct json_object *host = json__object(to, "host");
  json__number(host, "mem_available_bytes", snapshot->host.mem_available_bytes);
  json__number(host, "pools_footprint_bytes", snapshot->host.pools_footprint_bytes);
  json__number(host, "memory_budget_bytes", snapshot->ebbd.rules.memory_budget_bytes);
}

static void add_warnings(const struct snapshot_pool *pool, struct json_object *to) {
  struct json_object *warnings = json__array(to, "warnings");
  if (pool->warnings & TRACE_WARN_BELOW_BASELINE)
    (void)json_object_array_add(warnings, json_object_new_string("below-baseline"));
  if (pool->warnings & TRACE_WARN_UNLEASED)
    (void)json_object_array_add(warnings, json_object_new_string("unleased"));
  if (pool->warnings & TRACE_WARN_STUCK)
    (void)json_object_array_add(warnings, json_object_new_string("stuck"));
}

/* Limits that somebody has set in place of those of the file. */
static void add_limited(const struct snapshot_pool *pool, struct json_object *to) {
  struct json_object *limited = json__array(to, "limited");
  if (pool->board.limited & BOARD_LIMITED_FOOTPRINT)
    (void)json_object_array_add(limited, json_object_new_string("footprint"));
  if (pool->board.limited & BOARD_LIMITED_RETAINED)
    (void)json_object_array_add(limited, json_object_new_string("retained"));
}

static void add_memory(const struct ebb_worker_facts *facts, struct json_object *to) {
  json__number(to, "footprint_bytes", facts->footprint_bytes);
  json__number(to, "anon_bytes", facts->anon_bytes);
  json__number(to, "shmem_bytes", facts->shmem_bytes);
  json__number(to, "swap_bytes", facts->swap_bytes);
  json__number(to, "peak_bytes", facts->peak_bytes);
}

static void add_worker(const struct snapshot_worker *worker, struct json_object *workers) {
  const struct ebb_worker_facts *facts = &worker->facts;
  struct json_object *to = json__append(workers);
  bool leaves = worker->state == SNAPSHOT_DUE || worker->state == SNAPSHOT_RETIRING || worker->slot.first;
  json__number(to, "slot", worker->slot.slot);
  json__number(to, "generation", worker->slot.generation);
  json__number(to, "pid", pid_or_unknown(true, worker->slot.pid));
  json__string(to, "state", snapshot__state_name(worker->state));
  json__fraction(to, "since_s", worker->lasted_ns, NS_PER_SEC);
  json__fraction(to, "held_s", worker->held_ns, NS_PER_SEC);
  json__boolean(to, "stuck", worker->stuck);
  json__boolean(to, "waits", worker->slot.waits);
  add_memory(facts, to);
  json__number(to, "jobs", facts->jobs);
  json__string(to, "job", worker->known && facts->busy && facts->job[0] ? facts->job : NULL);
  json__number(to, "faults", facts->minor_faults);
  json__number(to, "major_faults", facts->major_faults);
  json__number(to, "stall_us", facts->stall_us);
  json__fraction(to, "contribution", facts->contribution_permille, 1000);
  json__string(to, "due", leaves && worker->slot.reason < REASON_N ? reason__name(worker->slot.reason) : NULL);
}

static void add_pool(const struct snapshot *snapshot, uint32_t index, struct json_object *pools) {
  const struct snapshot_pool *pool = &snapshot->pools[index];
  struct json_object *to = json__append(pools);
  json__string(to, "name", pool->board.name);
  json__number(to, "size", pool->board.size);
  json__number(to, "ready", pool->ready);
  json__number(to, "busy", pool->busy);
  json__number(to, "due", pool->due);
  json__number(to, "spares", pool->spares);
  json__boolean(to, "hold", pool->hold);
  json__boolean(to, "backoff", pool->backoff);
  json__number(to, "baseline_bytes", pool->facts.baseline_bytes);
  json__number(to, "footprint_limit_bytes", pool->board.rules.footprint_limit_bytes);
  json__number(to, "retained_limit_bytes", pool->board.rules.retained_limit_bytes);
  add_limited(pool, to);
  json__number(to, "jobs", pool->jobs);
  json__number(to, "retired", pool->board.retired);
  json__number(to, "refilled", pool->board.refilled);
  json__number(to, "stale", pool->stale);
  add_warnings(pool, to);
  struct json_object *workers = json__array(to, "workers");
  for (uint32_t i = 0; i < snapshot->n_workers; i++)
    if (snapshot->workers[i].slot.pool == index && snapshot__shows(snapshot, &snapshot->workers[i]))
      add_worker(&snapshot->workers[i], workers);
}

static void print_json(const struct snapshot *snapshot) {
  struct json_object *status = json_object_new_object();
  json__number(status, "version", 1);
  add_daemons(snapshot, status);
  add_host(snapshot, status);
  struct json_object *pools = json__array(status, "pools");
  for (uint32_t i = 0; i < snapshot->n_pools; i++)
    if (snapshot->pools[i].board.name[0])
      add_pool(snapshot, i, pools);
  json__print(status);
}

static void print_tables(const struct snapshot *snapshot) {
  char line[512];
  struct table table;
  (void)puts(overview__daemons(snapshot, line, sizeof(line)));
  (void)printf("%s\n\n", overview__host(snapshot, line, sizeof(line)));
  overview__pools(snapshot, &table);
  table__print(&table, stdout);
  table__done(&table);

  (void)putchar('\n');
  overview__workers_begin(&table, false);
  for (uint32_t i = 0; i < snapshot->n_workers; i++)
    if (snapshot__shows(snapshot, &snapshot->workers[i]))
      overview__worker(snapshot, &snapshot->workers[i], NULL, &table);
  table__print(&table, stdout);
  table__done(&table);
}

int cmd_status(struct cli *cli, int argc, char **argv) {
  struct snapshot snapshot;
  cli__parse_plain(cli, argc, argv,
                   "Shows pools and workers with their memory. When ebbd does not run: the last state, with a note on "
                   "standard error.");
  int code = cli__snapshot(cli, &snapshot);
  if (code != CLI_DONE)
    return code;
  if (cli->json)
    print_json(&snapshot);
  else
    print_tables(&snapshot);
  snapshot__close(&snapshot);
  return CLI_DONE;
}

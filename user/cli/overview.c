/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "overview.h"

#include "pressure.h"
#include "reason.h"
#include "text.h"

const char *overview__tier(const struct snapshot *snapshot) {
  static const char *const names[] = {
#define X(id, name) name,
      EBB_TIERS(X)
#undef X
  };
  return snapshot->host.tier < EBB_TIER_N ? names[snapshot->host.tier] : NULL;
}

const char *overview__level(const struct snapshot *snapshot) {
  static const char *const names[] = {"L0", "L1", "L2"};
  bool known = overview__tier(snapshot) && snapshot->host.probe_level < sizeof(names) / sizeof(*names);
  return known ? names[snapshot->host.probe_level] : NULL;
}

const char *overview__pressure(const struct snapshot *snapshot) {
  bool known = overview__tier(snapshot) && snapshot->host.level != EBB_PRESSURE_UNKNOWN;
  return known ? pressure__level_name(snapshot->host.level) : NULL;
}

const char *overview__daemons(const struct snapshot *snapshot, char *to, size_t size) {
  struct text line;
  char up[16];
  text__init(&line, to, size);
  if (!snapshot->alive) {
    text__add(&line, "ebbd is not running");
    return to;
  }
  uint64_t started_ns = snapshot->ebbd.started_ns, now_ns = snapshot->now_ns;
  (void)text__duration(up, sizeof(up), started_ns <= now_ns ? now_ns - started_ns : EBB_UNKNOWN);
  text__addf(&line, "ebbd %d%s, up %s", snapshot->pid, snapshot->ebbd.stopping ? " is stopping" : "", up);
  if (!snapshot->watched)
    text__add(&line, ", no ebb-watch");
  else
    text__addf(&line, ", ebb-watch %d", snapshot->ebbd.watch_pid);
  if (snapshot->watched && overview__tier(snapshot))
    text__addf(&line, " (%s %s)", overview__tier(snapshot), overview__level(snapshot) ?: "?");
  if (snapshot->ebbd.rules.dry_run)
    text__add(&line, ", dry run");
  return to;
}

const char *overview__host(const struct snapshot *snapshot, char *to, size_t size) {
  const struct ebb_host_facts *host = &snapshot->host;
  struct text line;
  char bytes[16];
  text__init(&line, to, size);
  text__addf(&line, "pressure %s", overview__pressure(snapshot) ?: "unknown");
  text__addf(&line, ", %s available", text__size(bytes, sizeof(bytes), host->mem_available_bytes));
  text__addf(&line, ", pools hold %s", text__size(bytes, sizeof(bytes), host->pools_footprint_bytes));
  if (snapshot->ebbd.rules.memory_budget_bytes != EBB_UNKNOWN)
    text__addf(&line, " of %s", text__size(bytes, sizeof(bytes), snapshot->ebbd.rules.memory_budget_bytes));
  if (host->drops != EBB_UNKNOWN && host->drops > 0)
    text__addf(&line, ", %llu records lost", (unsigned long long)host->drops);
  return to;
}

static const struct table_column pool_columns[] = {
    {"POOL", false},   {"SIZE", true},      {"READY", true},    {"BUSY", true},  {"DUE", true},
    {"SPARE", true},   {"FOOTPRINT", true}, {"BASELINE", true}, {"LIMIT", true}, {"JOBS", true},
    {"RETIRED", true}, {"REFILLED", true},  {"NOTES", false},
};

static void add_notes(const struct snapshot *snapshot, const struct snapshot_pool *pool, struct table *table) {
  char notes[128], left[16];
  struct text text = TEXT(notes);
  uint64_t until_ns = pool->board.hold_retire_ns;
  if (until_ns < pool->board.hold_refill_ns)
    until_ns = pool->board.hold_refill_ns;
  if (until_ns < pool->board.hold_watch_ns)
    until_ns = pool->board.hold_watch_ns;
  if (pool->hold)
    text__addf(&text, " hold (%s)", text__duration(left, sizeof(left), until_ns - snapshot->now_ns));
  if (pool->board.drained)
    text__add(&text, " drained");
  if (pool->stale)
    text__addf(&text, " %u stale", pool->stale);
  if (pool->board.limited)
    text__add(&text, " limited");
  if (pool->backoff)
    text__add(&text, " backoff");
  if (pool->warnings & TRACE_WARN_BELOW_BASELINE)
    text__add(&text, " below-baseline");
  if (pool->warnings & TRACE_WARN_UNLEASED)
    text__add(&text, " unleased");
  if (pool->warnings & TRACE_WARN_STUCK)
    text__add(&text, " stuck");
  table__add(table, VIEW_WARN, "%s", notes + (text.used > 0));
}

void overview__pools(const struct snapshot *snapshot, struct table *table) {
  table__init(table, pool_columns, sizeof(pool_columns) / sizeof(*pool_columns));
  for (uint32_t i = 0; i < snapshot->n_pools; i++) {
    const struct snapshot_pool *pool = &snapshot->pools[i];
    char name[4 * EBB_NAME_BYTES];
    if (!pool->board.name[0])
      continue;
    table__add(table, VIEW_PLAIN, "%s", view__foreign(name, sizeof(name), pool->board.name));
    table__add_count(table, pool->board.size);
    table__add(table, pool->ready < pool->board.size ? VIEW_WARN : VIEW_PLAIN, "%u", pool->ready);
    table__add_count(table, pool->busy);
    table__add_count(table, pool->due);
    table__add_count(table, pool->spares);
    table__add_size(table, pool->footprint_bytes);
    table__add_size(table, pool->facts.baseline_bytes);
    table__add_size(table, pool->board.rules.footprint_limit_bytes);
    table__add_count(table, pool->jobs);
    table__add_count(table, pool->board.retired);
    table__add_count(table, pool->board.refilled);
    add_notes(snapshot, pool, table);
  }
}

#define BEFORE_TREND                                                                                                   \
  {"WORKER", false}, {"STATE", false}, {"SINCE", true}, {"PID", true}, {"GEN", true}, {"FOOTPRINT", true},
/* The share is told only under pressure: a terminal that has no room for all columns is without that one. */
#define AFTER_TREND {"GROWTH", true}, {"SWAP", true}, {"PEAK", true}, {"JOBS", true}, {"JOB", false}, {"SHARE", true},

static const struct table_column worker_columns[] = {BEFORE_TREND AFTER_TREND};
static const struct table_column trend_columns[] = {BEFORE_TREND{"LAST SECONDS", false}, AFTER_TREND};

void overview__workers_begin(struct table *table, bool with_trend) {
  if (with_trend)
    table__init(table, trend_columns, sizeof(trend_columns) / sizeof(*trend_columns));
  else
    table__init(table, worker_columns, sizeof(worker_columns) / sizeof(*worker_columns));
}

enum view_style overview__style(enum snapshot_state state) {
  switch (state) {
  case SNAPSHOT_BUSY:
    return VIEW_GOOD;
  case SNAPSHOT_DUE:
  case SNAPSHOT_RETIRING:
  case SNAPSHOT_UNLEASED:
    return VIEW_WARN;
  case SNAPSHOT_BACKOFF:
    return VIEW_BAD;
  case SNAPSHOT_EMPTY:
  case SNAPSHOT_STARTING:
    return VIEW_FAINT;
  default:
    return VIEW_PLAIN;
  }
}

static void add_stuck(const struct snapshot_worker *worker, struct text *text) {
  char age[16];
  if (worker->stuck)
    text__addf(text, ", stuck %s", text__duration(age, sizeof(age), worker->held_ns));
}

/* Who it is and what it does; one that is to go with the reason, a stuck one with its age. */
static void add_state(const struct snapshot *snapshot, const struct snapshot_worker *worker, struct table *table) {
  char name[4 * EBB_NAME_BYTES], state[64];
  struct text text = TEXT(state);
  const struct snapshot_pool *pool = &snapshot->pools[worker->slot.pool];
  bool leaves = worker->state == SNAPSHOT_DUE || worker->state == SNAPSHOT_RETIRING;
  bool waits = !leaves && worker->slot.first; /* until its successor is ready */
  bool reasoned = (leaves || waits) && worker->slot.reason > REASON_NONE && worker->slot.reason < REASON_N;
  table__add(table, VIEW_PLAIN, "%s/%u", view__foreign(name, sizeof(name), pool->board.name), worker->slot.slot);
  text__addf(&text, "%s%s%s%s", snapshot__state_name(worker->state), waits ? ", successor first" : "",
             reasoned ? ": " : "", reasoned ? reason__name(worker->slot.reason) : "");
  add_stuck(worker, &text);
  table__add(table, worker->stuck ? VIEW_BAD : overview__style(worker->state), "%s", state);
  table__add_duration(table, worker->lasted_ns);
}

void overview__worker(const struct snapshot *snapshot, const struct snapshot_worker *worker, const char *trend,
                      struct table *table) {
  const struct ebb_worker_facts *facts = &worker->facts;
  uint64_t limit_bytes = snapshot->pools[worker->slot.pool].board.rules.footprint_limit_bytes;
  bool over = facts->footprint_bytes != EBB_UNKNOWN && facts->footprint_bytes > limit_bytes;
  char size[16], label[4 * EBB_LABEL_BYTES];
  add_state(snapshot, worker, table);
  table__add_count(table, worker->slot.pid > 0 ? (uint64_t)worker->slot.pid : EBB_UNKNOWN);
  table__add_count(table, worker->slot.generation);
  table__add(table, over ? VIEW_BAD : VIEW_PLAIN, "%s", text__size(size, sizeof(size), facts->footprint_bytes));
  if (trend)
    table__add(table, VIEW_PLAIN, "%s", trend);
  table__add_size(table, snapshot__growth(snapshot, worker));
  table__add_size(table, facts->swap_bytes);
  table__add_size(table, facts->peak_bytes);
  table__add_count(table, facts->jobs);
  table__add(table, VIEW_PLAIN, "%s", view__foreign(label, sizeof(label), worker->known ? facts->job : ""));
  table__add_share(table, facts->contribution_permille);
}

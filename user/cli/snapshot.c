/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "slot.h"
#include "text.h"

/* The watch writes its facts once a second; older ones than this want a word. */
#define STALE_NS (5 * NS_PER_SEC)

static const char *const state_names[SNAPSHOT_STATES_N] = {
#define X(id, name) [SNAPSHOT_##id] = name,
    SNAPSHOT_STATES(X)
#undef X
};

const char *snapshot__state_name(enum snapshot_state state) {
  return state < SNAPSHOT_STATES_N ? state_names[state] : "unknown";
}

static enum snapshot_state state_of(uint32_t state, bool busy, bool fresh) {
  switch (state) {
  case EBB_SLOT_BACKOFF:
    return SNAPSHOT_BACKOFF;
  case EBB_SLOT_STARTING:
    return SNAPSHOT_STARTING;
  case EBB_SLOT_UNLEASED:
    return SNAPSHOT_UNLEASED;
  case EBB_SLOT_SPARE:
    return SNAPSHOT_SPARE;
  case EBB_SLOT_SERVING:
    return busy ? SNAPSHOT_BUSY : fresh ? SNAPSHOT_READY : SNAPSHOT_IDLE;
  case EBB_SLOT_DUE:
    return SNAPSHOT_DUE;
  case EBB_SLOT_RETIRING:
  case EBB_SLOT_LEAVING:
    return SNAPSHOT_RETIRING;
  default:
    return SNAPSHOT_EMPTY;
  }
}

/* A sample does not say whether there ever was a job. */
const char *snapshot__sample_state_name(uint32_t state) {
  return snapshot__state_name(state_of(state & ~TRACE_STATE_BUSY, state & TRACE_STATE_BUSY, false));
}

static uint64_t since(uint64_t now_ns, uint64_t at_ns) {
  return at_ns == 0 || at_ns > now_ns ? EBB_UNKNOWN : now_ns - at_ns;
}

static struct ebb_worker_facts facts_of(const struct board_slot *slot) {
  return (struct ebb_worker_facts){
      .pool = slot->pool,
      .slot = slot->slot,
      .generation = slot->generation,
      .pid = slot->pid,
      .born_ns = slot->born_ns,
      .since_ns = slot->since_ns,
      .footprint_bytes = EBB_UNKNOWN,
      .anon_bytes = EBB_UNKNOWN,
      .shmem_bytes = EBB_UNKNOWN,
      .swap_bytes = EBB_UNKNOWN,
      .trimmed_ns = slot->trimmed_ns,
      .fresh_bytes = slot->fresh_bytes,
      .rest_bytes = EBB_UNKNOWN,
      .private_bytes = EBB_UNKNOWN,
      .peak_bytes = EBB_UNKNOWN,
      .jobs = EBB_UNKNOWN,
      .minor_faults = EBB_UNKNOWN,
      .major_faults = EBB_UNKNOWN,
      .stall_us = EBB_UNKNOWN,
      .contribution_permille = EBB_UNKNOWN,
  };
}

/* The trace lags behind the board: a record may still be of the slot's last worker, or of another slot. */
static bool is_of(const struct ebb_worker_facts *facts, const struct board_slot *slot) {
  return slot->pid > 0 && facts->pid == slot->pid && facts->generation == slot->generation &&
         facts->pool == slot->pool && facts->slot == slot->slot;
}

/* By the lease, as the watch has seen it; and one that is wanted out, and is known to use its lease, would have let go. */
static uint64_t held_for(const struct snapshot *snapshot, const struct snapshot_worker *worker) {
  const struct board_slot *slot = &worker->slot;
  bool goes = slot->state == EBB_SLOT_DUE || slot->state == EBB_SLOT_RETIRING || slot->state == EBB_SLOT_LEAVING;
  uint64_t by_lease =
      worker->known && worker->facts.busy ? since(snapshot->now_ns, worker->facts.taken_ns) : EBB_UNKNOWN;
  uint64_t by_wish = goes && slot->leased ? since(snapshot->now_ns, slot->since_ns) : EBB_UNKNOWN;
  return by_lease == EBB_UNKNOWN || (by_wish != EBB_UNKNOWN && by_wish > by_lease) ? by_wish : by_lease;
}

static void merge_worker(const struct snapshot *snapshot, struct snapshot_worker *worker) {
  struct trace_worker record;
  const struct board_slot *slot = &worker->slot;
  worker->known =
      snapshot->traced && !trace__worker(&snapshot->trace, worker->index, &record) && is_of(&record.facts, slot);
  worker->facts = worker->known ? record.facts : facts_of(slot);
  worker->facts.state = slot->state < EBB_SLOT_N ? slot->state : EBB_SLOT_EMPTY;
  bool piece =
      snapshot->pools[slot->pool].board.rules.mode == EBB_MODE_ONESHOT; /* at work for as long as it is there */
  bool busy = piece || (worker->known && worker->facts.busy);
  worker->state = state_of(worker->facts.state, busy, !worker->known || worker->facts.jobs == 0);
  bool by_facts = worker->known && slot->state == EBB_SLOT_SERVING && worker->facts.since_ns > slot->since_ns;
  worker->lasted_ns = since(snapshot->now_ns, by_facts ? worker->facts.since_ns : slot->since_ns);
  uint64_t patience_ns =
      snapshot->pools[slot->pool].board.rules.stuck_after_ns; /* 0: of a pool without configuration */
  worker->held_ns = held_for(snapshot, worker);
  worker->stuck = patience_ns && worker->held_ns != EBB_UNKNOWN && worker->held_ns >= patience_ns;
}

static bool is_stale(const struct board_pool *pool, const struct board_slot *slot) {
  return slot->pid > 0 && ((slot->recipe && slot->recipe != pool->recipe) || slot->born_ns < pool->rolled_ns);
}

static void count_worker(struct snapshot_pool *pool, const struct snapshot_worker *worker) {
  enum snapshot_state state = worker->state;
  pool->ready +=
      state == SNAPSHOT_READY || state == SNAPSHOT_IDLE || state == SNAPSHOT_BUSY || state == SNAPSHOT_UNLEASED;
  pool->busy += state == SNAPSHOT_BUSY;
  pool->stale += is_stale(&pool->board, &worker->slot);
  pool->due += state == SNAPSHOT_DUE;
  pool->spares += state == SNAPSHOT_SPARE;
  pool->backoff |= state == SNAPSHOT_BACKOFF;
  pool->warnings |= state == SNAPSHOT_UNLEASED && pool->board.rules.mode != EBB_MODE_ONESHOT ? TRACE_WARN_UNLEASED : 0;
  pool->warnings |= worker->stuck ? TRACE_WARN_STUCK : 0;
  if (worker->facts.footprint_bytes == EBB_UNKNOWN)
    return;
  if (pool->footprint_bytes == EBB_UNKNOWN)
    pool->footprint_bytes = 0;
  pool->footprint_bytes += worker->facts.footprint_bytes;
}

static int by_pool_and_slot(const void *a, const void *b) {
  const struct board_slot *one = &((const struct snapshot_worker *)a)->slot;
  const struct board_slot *other = &((const struct snapshot_worker *)b)->slot;
  return one->pool != other->pool ? (one->pool > other->pool) - (one->pool < other->pool)
                                  : (one->slot > other->slot) - (one->slot < other->slot);
}

static int take_workers(struct snapshot *snapshot, const struct board_view *view) {
  snapshot->workers = calloc(view->n_slots ? view->n_slots : 1, sizeof(*snapshot->workers));
  if (!snapshot->workers)
    return -ENOMEM;
  for (uint32_t i = 0; i < view->n_slots && i < EBB_SLOTS_MAX; i++) {
    struct snapshot_worker *worker = &snapshot->workers[snapshot->n_workers];
    *worker = (struct snapshot_worker){.slot = view->slots[i], .index = view->index[i]};
    if (worker->slot.pool >= snapshot->n_pools)
      continue;
    merge_worker(snapshot, worker);
    count_worker(&snapshot->pools[worker->slot.pool], worker);
    snapshot->n_workers++;
  }
  qsort(snapshot->workers, snapshot->n_workers, sizeof(*snapshot->workers), by_pool_and_slot);
  return 0;
}

static void take_pools(struct snapshot *snapshot, const struct board_view *view) {
  snapshot->n_pools = view->n_pools < EBB_POOLS_MAX ? view->n_pools : EBB_POOLS_MAX;
  for (uint32_t i = 0; i < snapshot->n_pools; i++) {
    struct snapshot_pool *pool = &snapshot->pools[i];
    struct trace_pool record;
    *pool = (struct snapshot_pool){.board = view->pools[i],
                                   .facts = {.baseline_bytes = EBB_UNKNOWN, .piece_bytes = EBB_UNKNOWN},
                                   .jobs = snapshot->traced ? 0 : EBB_UNKNOWN,
                                   .footprint_bytes = EBB_UNKNOWN};
    pool->board.name[EBB_NAME_BYTES - 1] = 0;
    pool->hold = pool->board.hold_retire_ns > snapshot->now_ns || pool->board.hold_refill_ns > snapshot->now_ns ||
                 pool->board.hold_watch_ns > snapshot->now_ns;
    if (snapshot->traced && !trace__pool(&snapshot->trace, i, &record) && !strcmp(record.name, pool->board.name)) {
      pool->facts = record.facts;
      pool->warnings = record.warnings;
    }
    pool->facts.requests = pool->board.requests;
    pool->facts.hold_retire_ns = pool->board.hold_retire_ns;
  }
}

static void take_jobs(struct snapshot *snapshot) {
  for (uint32_t i = 0; snapshot->traced && i < EBB_JOB_KINDS_MAX; i++) {
    struct trace_job record;
    if (trace__job(&snapshot->trace, i, &record) || !record.kind.pool[0])
      continue;
    struct snapshot_pool *pool = (struct snapshot_pool *)snapshot__pool(snapshot, record.kind.pool);
    if (pool)
      pool->jobs += record.kind.runs;
  }
  for (uint32_t i = 0; i < snapshot->n_pools; i++) /* pieces take no lease, or one for several jobs */
    if (snapshot->pools[i].board.rules.mode == EBB_MODE_ONESHOT)
      snapshot->pools[i].jobs = snapshot->pools[i].board.pieces;
}

static void take_host(struct snapshot *snapshot) {
  struct trace_host record;
  bool known = snapshot->traced && !trace__host(&snapshot->trace, &record) && record.facts.now_ns;
  snapshot->host = known ? record.facts
                         : (struct ebb_host_facts){.mem_total_bytes = EBB_UNKNOWN,
                                                   .mem_available_bytes = EBB_UNKNOWN,
                                                   .pools_footprint_bytes = EBB_UNKNOWN,
                                                   .stall_some_us = EBB_UNKNOWN,
                                                   .stall_full_us = EBB_UNKNOWN,
                                                   .drops = EBB_UNKNOWN,
                                                   .tier = EBB_TIER_N};
  snapshot->age_ns = known ? since(snapshot->now_ns, snapshot->host.now_ns) : EBB_UNKNOWN;
  if (snapshot->host.level >= EBB_PRESSURE_N)
    snapshot->host.level = EBB_PRESSURE_UNKNOWN;
}

static int open_trace(struct snapshot *snapshot, int run_dirfd) {
  int r = trace__open(&snapshot->trace, run_dirfd);
  snapshot->traced = r == 0;
  return r == -ENOENT ? 0 : r;
}

static int open_board(struct snapshot *snapshot, int run_dirfd, struct board_view *view) {
  struct seqfile file = {0};
  int r = board__open(&file, run_dirfd);
  if (r < 0)
    return r;
  r = board__view(&file, view);
  seqfile__close(&file);
  if (r < 0)
    return r;
  snapshot->ebbd = view->ebbd;
  snapshot->alive = view->alive;
  snapshot->pid = view->ebbd_pid;
  return 0;
}

int snapshot__open(struct snapshot *ret, int run_dirfd, uint64_t now_ns, const char **ret_file) {
  static struct board_view view; /* too big for a stack */
  struct snapshot snapshot = {.now_ns = now_ns};
  int r = open_board(&snapshot, run_dirfd, &view);
  if (r < 0) {
    *ret_file = BOARD_NAME;
    return r;
  }
  r = open_trace(&snapshot, run_dirfd);
  if (r == 0) {
    snapshot.watched = snapshot.alive && snapshot.ebbd.watch_pid > 0;
    take_host(&snapshot);
    take_pools(&snapshot, &view);
    take_jobs(&snapshot);
    r = take_workers(&snapshot, &view);
  }
  if (r < 0) {
    *ret_file = TRACE_NAME;
    snapshot__close(&snapshot);
    return r;
  }
  *ret = snapshot;
  return 0;
}

void snapshot__close(struct snapshot *snapshot) {
  seqfile__close(&snapshot->trace);
  free(snapshot->workers);
  snapshot->workers = NULL;
  snapshot->n_workers = 0;
  snapshot->traced = false;
}

const struct snapshot_pool *snapshot__pool(const struct snapshot *snapshot, const char *name) {
  for (uint32_t i = 0; i < snapshot->n_pools; i++)
    if (snapshot->pools[i].board.name[0] && !strcmp(snapshot->pools[i].board.name, name))
      return &snapshot->pools[i];
  return NULL;
}

const struct snapshot_worker *snapshot__find(const struct snapshot *snapshot, const char *pool, uint32_t slot) {
  for (uint32_t i = 0; i < snapshot->n_workers; i++) {
    const struct board_slot *at = &snapshot->workers[i].slot;
    if (at->slot == slot && !strcmp(snapshot->pools[at->pool].board.name, pool))
      return &snapshot->workers[i];
  }
  return NULL;
}

bool snapshot__shows(const struct snapshot *snapshot, const struct snapshot_worker *worker) {
  const struct board_pool *pool = &snapshot->pools[worker->slot.pool].board;
  return pool->name[0] && (worker->state != SNAPSHOT_EMPTY || worker->slot.closed != PLACE_SURPLUS);
}

uint64_t snapshot__growth(const struct snapshot *snapshot, const struct snapshot_worker *worker) {
  uint64_t baseline = snapshot->pools[worker->slot.pool].facts.baseline_bytes;
  uint64_t footprint = worker->facts.footprint_bytes;
  if (baseline == EBB_UNKNOWN || footprint == EBB_UNKNOWN)
    return EBB_UNKNOWN;
  return footprint > baseline ? footprint - baseline : 0;
}

const char *snapshot__note(const struct snapshot *snapshot, char *to, size_t size) {
  struct text text;
  char age[16];
  text__init(&text, to, size);
  (void)text__duration(age, sizeof(age), snapshot->age_ns);
  if (!snapshot->alive)
    text__add(&text, "ebbd is not running: this is its last state");
  else if (!snapshot->watched)
    text__addf(&text, "ebb-watch is not running: %s%s%s",
               snapshot->age_ns == EBB_UNKNOWN ? "memory is not known" : "memory as it was ",
               snapshot->age_ns == EBB_UNKNOWN ? "" : age, snapshot->age_ns == EBB_UNKNOWN ? "" : " ago");
  else if (snapshot->age_ns != EBB_UNKNOWN && snapshot->age_ns > STALE_NS)
    text__addf(&text, "ebb-watch has written nothing for %s", age);
  return to;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Facts first, judgement later: what the workers hold, and do. */
#include "limit.h"
#include "watch.h"

<<<<<<< HEAD
=======
    static void
    unfollow(struct watch *watch, uint32_t index, uint64_t now_ns) {
  struct follow *follow = &watch->follows[index];
  if (!follow->generation)
    return;
  act__gone(watch, index, now_ns);
  watch->sensor->ops->remove(watch->sensor, index);
  if (follow->lease_fd >= 0)
    (void)close(follow->lease_fd);
  *follow = (struct follow){.lease_fd = -1};
}

static void forget_figures(struct ebb_worker_facts *worker) {
  worker->footprint_bytes = worker->anon_bytes = worker->shmem_bytes = worker->swap_bytes = EBB_UNKNOWN;
  worker->rest_bytes = worker->private_bytes = worker->stall_us = worker->contribution_permille = EBB_UNKNOWN;
  worker->minor_faults = worker->major_faults = EBB_UNKNOWN;
  worker->private_ns = worker->peak_bytes = worker->jobs = 0;
  worker->busy = worker->strikes = worker->processes = 0;
  worker->taken_ns = 0;
  worker->job[0] = 0;
}

static void follow(struct watch *watch, uint32_t index, const struct board_slot *record) {
  struct follow *follow = &watch->follows[index];
  char name[EBB_NAME_BYTES + 32], path[sizeof(watch->run_path) + sizeof(name)];
  (void)snprintf(name, sizeof(name), "lease/%s.%u.%u", watch->view.pools[record->pool].name, record->slot,
                 record->generation);
  (void)snprintf(path, sizeof(path), "%s/%s", watch->run_path, name);
  *follow = (struct follow){
      .generation = record->generation,
      .pid = record->pid,
      .seasoned = record->leased && record->state != EBB_SLOT_SPARE, /* that one has not been let in */
      .armed_bytes = EBB_UNKNOWN,
      .lease_fd = openat(watch->run_dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW),
  };
  forget_figures(&watch->workers[index]);
  record__restore(watch, index);
  const struct sensor_target target = {
      .worker = index,
      .generation = record->generation,
      .pid = record->pid,
      .lease_fd = follow->lease_fd,
      .lease_path = path,
  };
  int error = watch->sensor->ops->add(watch->sensor, &target);
  if (error && error != -ESRCH)
    log__warning("%s: cannot follow pid %d: %s", name, record->pid, strerror(-error));
}

static bool same_worker(const struct follow *follow, const struct board_slot *record) {
  return follow->generation == record->generation && follow->pid == record->pid;
}

/* Until the board shows what became of a command, its worker counts as on its way out; so does one whose successor comes. */
static uint32_t state_of(struct follow *follow, const struct board_slot *record, uint64_t now_ns) {
  follow->unseen = record->state == EBB_SLOT_SERVING && follow->asked && now_ns - follow->asked_ns < ASKED_NS;
  bool marked = record->state == EBB_SLOT_SERVING && record->first;
  return follow->unseen || marked ? EBB_SLOT_DUE : record->state;
}

static void take_record(struct watch *watch, uint32_t index, const struct board_slot *record, uint64_t now_ns) {
  struct ebb_worker_facts *worker = &watch->workers[index];
  struct follow *known = &watch->follows[index];
  bool other = !same_worker(known, record);
  if (other || record->pid <= 0)
    unfollow(watch, index, now_ns);
  worker->pool = record->pool;
  worker->slot = record->slot;
  worker->generation = record->generation;
  worker->pid = record->pid;
  worker->born_ns = record->born_ns;
  if (other && record->pid > 0)
    follow(watch, index, record);
  else if (record->pid <= 0)
    forget_figures(worker);
  uint32_t state = state_of(known, record, now_ns);
  if (worker->state != state || other)
    worker->since_ns = record->since_ns;
  worker->state = state;
  bool due = state == EBB_SLOT_DUE && record->pid > 0;
  if (known->generation && known->eager != due) {
    known->eager = due;
    watch->sensor->ops->eager(watch->sensor, index, due);
  }
}

/* Of the workers that are there: it follows a new version of their code by itself. */
static uint64_t baseline_of(const struct watch *watch, uint32_t pool) {
  struct baseline baseline = {.n = 0};
  for (uint32_t i = 0; i < watch->view.n_slots; i++) {
    const struct board_slot *record = &watch->view.slots[i];
    if (record->pool == pool && record->pid > 0 && record->leased && record->fresh_bytes != EBB_UNKNOWN)
      baseline__add(&baseline, record->fresh_bytes);
  }
  return baseline__median(&baseline);
}

static void take_pool(struct watch *watch, uint32_t index, uint64_t now_ns) {
  const struct board_pool *pool = &watch->view.pools[index];
  struct ebb_pool_facts *facts = &watch->pools[index];
  watch->rules[index] = pool->rules;
  facts->baseline_bytes = baseline_of(watch, index);
  facts->hold_retire_ns = pool->hold_retire_ns > now_ns ? pool->hold_retire_ns : 0;
  facts->requests = pool->requests;
  /* Requests that we have answered, but which the board still counts. */
  for (uint32_t i = 0; i < watch->n_workers; i++) {
    const struct follow *follow = &watch->follows[i];
    if (follow->unseen && watch->workers[i].pool == index && facts->requests > 0 && follow->asked_for == REASON_REQUEST)
      facts->requests--;
  }
}

int gather__board(struct watch *watch, uint64_t now_ns) {
  struct board_view *view = &watch->view;
  static char names[EBB_POOLS_MAX][EBB_NAME_BYTES];
  int error = board__view(&watch->board, view);
  if (error)
    return error;
  if (!view->ebbd.pressure_source[0])
    return -EAGAIN; /* ebbd is just starting and has said nothing yet */
  for (uint32_t i = 0; i < view->n_pools; i++) {
    if (strcmp(names[i], view->pools[i].name) != 0) { /* another pool has this place now */
      (void)snprintf(names[i], sizeof(names[i]), "%s", view->pools[i].name);
      watch->warnings[i] = 0;
      record__restore_pool(watch, i);
    }
  }
  static bool seen[EBB_SLOTS_MAX];
  memset(seen, 0, sizeof(seen));
  for (uint32_t i = 0; i < view->n_slots; i++) {
    uint32_t index = view->index[i];
    seen[index] = true;
    if (index >= watch->n_workers)
      watch->n_workers = index + 1;
    take_record(watch, index, &view->slots[i], now_ns);
  }
  for (uint32_t i = 0; i < watch->n_workers; i++)
    if (!seen[i]) {
      unfollow(watch, i, now_ns);
      watch->workers[i] = (struct ebb_worker_facts){0};
    }
  for (uint32_t i = 0; i < view->n_pools; i++)
    take_pool(watch, i, now_ns);
  for (uint32_t i = 0; i < watch->n_workers; i++)
    if (watch->follows[i].generation && !watch->follows[i].begun)
      jobs__begin(watch, i);
  return 0;
}

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
  host->level = watch->pressure.level;
  host->some_permille = watch->pressure.some_permille;
  host->full_permille = watch->pressure.full_permille;
  host->stall_growing = watch->pressure.growing;
  if (!host->stall_growing)
    host->last_act_ns = 0; /* the stall has ended: what comes now is another one, and waits for no cooldown */
}

static void gather_moved(struct watch *watch, uint64_t now_ns) {
  uint64_t pages;
  if (vmstat__read_moved(&pages))
    return;
  /* A few pages always move; only a rate says something, and only over a while. */
  uint64_t passed_ns = now_ns - watch->moved_since_ns;
  if (passed_ns >= MOVED_WINDOW_NS) {
    if (watch->moved_since_ns && pages > watch->moved_pages &&
        (pages - watch->moved_pages) * NS_PER_SEC / passed_ns >= MOVED_PAGES_PER_S)
      watch->moved_ns = now_ns;
    watch->moved_pages = pages;
    watch->moved_since_ns = now_ns;
  }
  watch->host.reclaim_moved = watch->moved_ns && now_ns - watch->moved_ns < MOVED_NS;
}

void gather__host(struct watch *watch, uint64_t now_ns) {
  struct meminfo memory;
  watch->host.now_ns = now_ns;
  if (meminfo__read(&memory) == 0) {
    watch->host.mem_total_bytes = memory.total_bytes;
    watch->host.mem_available_bytes = memory.available_bytes;
  }
  gather_pressure(watch, now_ns);
  gather_moved(watch, now_ns);
  watch->host.drops = watch->sensor->ops->drops(watch->sensor);
  watch->host.tier = watch->sensor->ops->tier(watch->sensor);
}

>>>>>>> 9ead48370a0296ffa12c8f3d8804056e2393e745
static void arm(struct watch *watch, uint32_t index) {
  struct follow *follow = &watch->follows[index];
  const struct ebb_worker_facts *worker = &watch->workers[index];
  uint64_t threshold = limit__next_bytes(&watch->rules[worker->pool], worker);
  if (follow->armed_bytes == threshold)
    return;
  follow->armed_bytes = threshold;
  watch->sensor->ops->arm(watch->sensor, index, threshold);
}

/* Turns may come and go between two looks: the last one's begin or end counts, not that we saw a change. */
static void note_turn(struct watch *watch, uint32_t index, const struct sensor_reading *reading, uint64_t now_ns) {
  struct ebb_worker_facts *worker = &watch->workers[index];
  uint64_t turned_ns = reading->busy ? reading->taken_ns : watch->follows[index].released_ns;
  if (turned_ns > worker->since_ns)
    worker->since_ns = turned_ns;
  else if (worker->busy && !reading->busy)
    worker->since_ns = now_ns; /* its end has not been reported */
  worker->busy = reading->busy;
  worker->taken_ns = reading->busy ? reading->taken_ns : 0;
}

void gather__worker(struct watch *watch, uint32_t index, bool exact, uint64_t now_ns) {
  struct ebb_worker_facts *worker = &watch->workers[index];
  struct sensor_reading reading;
  if (!watch->follows[index].generation || watch->sensor->ops->read(watch->sensor, index, exact, &reading))
    return;
  /* Whether it locks the file says nothing of its jobs. */
  reading.busy &= watch->rules[worker->pool].idle == EBB_IDLE_LEASE;
  note_turn(watch, index, &reading, now_ns);
  worker->anon_bytes = reading.anon_bytes;
  worker->shmem_bytes = reading.shmem_bytes;
  worker->swap_bytes = reading.swap_bytes;
  worker->footprint_bytes = reading.anon_bytes + reading.shmem_bytes + reading.swap_bytes;
  worker->minor_faults = reading.minor_faults;
  worker->major_faults = reading.major_faults;
  worker->stall_us = reading.stall_us;
  worker->processes = reading.processes;
  if (worker->state == EBB_SLOT_SERVING || worker->state == EBB_SLOT_DUE)
    watch->follows[index].held_bytes = worker->footprint_bytes;
  if (!reading.busy)
    worker->rest_bytes = worker->footprint_bytes;
  if (worker->footprint_bytes > worker->peak_bytes)
    worker->peak_bytes = worker->footprint_bytes;
  jobs__label(watch, index);
  arm(watch, index);
}

void gather__workers(struct watch *watch, uint64_t now_ns) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < watch->n_workers; i++) {
    if (!watch->follows[i].generation)
      continue;
    gather__worker(watch, i, false, now_ns);
    if (watch->workers[i].footprint_bytes != EBB_UNKNOWN)
      sum += watch->workers[i].footprint_bytes;
  }
  watch->host.pools_footprint_bytes = sum;
  contribution__tell(&watch->contribution, watch->workers, watch->n_workers, watch->host.level >= EBB_PRESSURE_ELEVATED,
                     now_ns);
}

void gather__private(struct watch *watch, uint32_t index, uint64_t now_ns) {
  struct ebb_worker_facts *worker = &watch->workers[index];
  uint64_t bytes;
  gather__worker(watch, index, true, now_ns);
  /* Not to be read: then nothing is known to be freed by it. */
  if (watch->sensor->ops->private_bytes(watch->sensor, index, &bytes))
    bytes = 0;
  worker->private_bytes = bytes < worker->footprint_bytes ? bytes : worker->footprint_bytes;
  worker->private_ns = now_ns;
}

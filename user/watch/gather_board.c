/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the board says: workers that came and went, rules, holds, requests. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "watch.h"

static void unfollow(struct watch *watch, uint32_t index, uint64_t now_ns) {
  struct follow *follow = &watch->follows[index];
  if (!follow->generation)
    return;
  act__gone(watch, index, now_ns);
  const struct ebb_worker_facts *worker = &watch->workers[index];
  if (watch->rules[worker->pool].mode == EBB_MODE_ONESHOT)
    piece__ended(&watch->pieces[worker->pool], worker->peak_bytes);
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
  worker->taken_ns = worker->turn_ns = 0;
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
  watch->struck_ns[index] = 0;
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

/* Likewise: it has been ordered now, so that no turn that ended before ebbd has written it is taken for one after it. */
static uint64_t trimmed_of(const struct follow *follow, const struct board_slot *record, uint64_t now_ns) {
  if (record->trimmed_ns >= follow->trimmed_ns)
    return record->trimmed_ns;
  return now_ns - follow->trimmed_ns < ASKED_NS ? now_ns : follow->trimmed_ns;
}

/* Likewise of a place that the next piece may take. */
static bool is_just_let_in(const struct follow *follow, const struct board_slot *record, uint64_t now_ns) {
  return record->waits && record->pid <= 0 && follow->started_ns && now_ns - follow->started_ns < ASKED_NS;
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
  worker->waits = record->waits;
  worker->fresh_bytes = record->fresh_bytes;
  worker->trimmed_ns = trimmed_of(known, record, now_ns);
  uint32_t state = is_just_let_in(known, record, now_ns) ? EBB_SLOT_STARTING : state_of(known, record, now_ns);
  if (worker->state != state || other)
    worker->since_ns = record->since_ns;
  worker->state = state;
  /* Not one whose successor is on its way: it works on. */
  bool due = (known->unseen || record->state == EBB_SLOT_DUE) && record->pid > 0;
  if (known->generation && known->due != due) {
    known->due = due;
    events__listen(watch, index);
    if (due) /* its job may have ended meanwhile */
      (void)act__again(watch, index);
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

/* Our own hold is only for those who would start somebody without being told. */
static uint64_t held_by_others(const struct watch *watch, uint32_t index, uint64_t now_ns) {
  uint64_t until_ns = watch->view.pools[index].hold_refill_ns, sent_ns = watch->held[index].at_ns;
  bool ours = sent_ns && until_ns <= sent_ns + HOLD_NS + ASKED_NS;
  return until_ns > now_ns && !ours ? until_ns : 0;
}

static void take_pool(struct watch *watch, uint32_t index, uint64_t now_ns) {
  const struct board_pool *pool = &watch->view.pools[index];
  struct ebb_pool_facts *facts = &watch->pools[index];
  watch->rules[index] = pool->rules;
  facts->baseline_bytes = baseline_of(watch, index);
  facts->hold_retire_ns = pool->hold_retire_ns > now_ns ? pool->hold_retire_ns : 0;
  facts->hold_refill_ns = held_by_others(watch, index, now_ns);
  facts->piece_bytes = piece__most(&watch->pieces[index]);
  if (facts->piece_bytes == EBB_UNKNOWN)
    facts->piece_bytes = pool->rules.footprint_limit_bytes; /* until the first has ended: what it is said to take */
  facts->requests = pool->requests;
  /* Requests that we have answered, but which the board still counts. */
  for (uint32_t i = 0; i < watch->n_workers; i++) {
    const struct follow *follow = &watch->follows[i];
    if (follow->unseen && watch->workers[i].pool == index && facts->requests > 0 && follow->asked_for == REASON_REQUEST)
      facts->requests--;
  }
}

/* Once the last worker of the pool that had the place before has been counted. */
static void forget_other_pools(struct watch *watch) {
  static char names[EBB_POOLS_MAX][EBB_NAME_BYTES];
  for (uint32_t i = 0; i < watch->view.n_pools; i++) {
    if (strcmp(names[i], watch->view.pools[i].name) == 0)
      continue;
    (void)snprintf(names[i], sizeof(names[i]), "%s", watch->view.pools[i].name);
    watch->warnings[i] = 0;
    watch->pieces[i] = (struct piece){.next = 0};
    watch->held[i] = (struct held){.at_ns = 0};
    record__restore_pool(watch, i);
  }
}

int gather__board(struct watch *watch, uint64_t now_ns) {
  struct board_view *view = &watch->view;
  int error = board__view(&watch->board, view);
  if (error)
    return error;
  if (!view->ebbd.pressure_source[0])
    return -EAGAIN; /* ebbd is just starting and has said nothing yet */
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
  forget_other_pools(watch);
  for (uint32_t i = 0; i < view->n_pools; i++)
    take_pool(watch, i, now_ns);
  for (uint32_t i = 0; i < watch->n_workers; i++)
    if (watch->follows[i].generation && !watch->follows[i].begun)
      jobs__begin(watch, i);
  return 0;
}

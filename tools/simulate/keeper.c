/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "keeper.h"

#include <assert.h>
#include <math.h>

#include "world.h"

#define NEVER UINT64_MAX

static const struct config_pool *config_of(const struct world *world, const struct worker *worker) {
  return &world->scenario->config.pools[worker->pool];
}

static uint64_t draw(struct world *world, const struct worker *worker, const struct draw *from) {
  return draw__take(from, &world->keeper.random[worker->pool]);
}

static void step(struct worker *worker, enum slot_event event, uint64_t now_ns) {
  bool expected = slot__step(&worker->state, event);
  assert(expected);
  (void)expected;
  worker->since_ns = now_ns;
}

/* Memory. These, rather than fmin and fmax: they are most of what is computed. */

static double smaller(double a, double b) {
  return a < b ? a : b;
}

static double larger(double a, double b) {
  return a > b ? a : b;
}

bool worker__is_there(const struct worker *worker) {
  return worker->pid > 0;
}

double worker__job_bytes(const struct worker *worker, double progress) {
  if (!worker->busy)
    return 0;
  return worker->job.memory_bytes * smaller(1, 2 * (progress - worker->begun) / worker->job.takes_ns);
}

double worker__footprint(const struct worker *worker, double progress) {
  if (!worker__is_there(worker))
    return 0;
  return worker->baseline + worker->leaked + larger(worker->kept, worker__job_bytes(worker, progress));
}

double worker__hot(const struct worker *worker, double progress) {
  return worker->busy ? worker->baseline + worker__job_bytes(worker, progress) : 0;
}

/* Bytes a second of work by which it grows now. */
static double growth(const struct worker *worker, double job_bytes) {
  bool grows = worker->busy && job_bytes < worker->job.memory_bytes && job_bytes >= worker->kept;
  return grows ? 2 * worker->job.memory_bytes / worker->job.takes_ns * 1e9 : 0;
}

static void look_at(struct keeper *keeper, const struct worker *worker, double progress, struct host_load *load) {
  if (worker->until_ns < keeper->next_ns)
    keeper->next_ns = worker->until_ns;
  keeper->serving += worker->state == EBB_SLOT_SERVING || worker->busy;
  if (!worker__is_there(worker))
    return;
  double job_bytes = worker__job_bytes(worker, progress);
  double footprint = worker->baseline + worker->leaked + larger(worker->kept, job_bytes);
  double hot = worker->busy ? worker->baseline + job_bytes : 0;
  load->hot += hot;
  load->cold += footprint - hot;
  if (!worker->busy)
    return;
  load->growth += growth(worker, job_bytes);
  load->busy++;
  keeper->next_end = smaller(keeper->next_end, worker->ends);
}

struct host_load keeper__look(struct keeper *keeper, double progress) {
  struct host_load load = {0};
  keeper->next_ns = NEVER;
  keeper->next_end = INFINITY;
  keeper->serving = 0;
  for (uint32_t i = 0; i < keeper->n; i++)
    look_at(keeper, &keeper->workers[i], progress, &load);
  return load;
}

/* Life. */

static void start(struct world *world, struct worker *worker) {
  const struct scenario_workers *like = &world->scenario->workers[worker->pool];
  step(worker, SLOT_SPAWNED, world->now_ns);
  worker->generation++;
  worker->pid = ++world->keeper.last_pid;
  worker->born_ns = world->now_ns;
  worker->baseline = (double)draw(world, worker, &like->baseline);
  worker->leaked = worker->kept = worker->peak = worker->stall_us = worker->faulted = 0;
  worker->jobs = 0;
  worker->served = false;
  worker->until_ns = world->now_ns + draw(world, worker, &like->start);
  world->measure.starts++;
}

void keeper__init(struct world *world) {
  const struct config *config = &world->scenario->config;
  struct keeper *keeper = &world->keeper;
  keeper->last_pid = 1;
  for (uint32_t pool = 0; pool < config->n_pools; pool++) {
    random__seed(&keeper->random[pool], world->scenario->run.seed, pool);
    for (uint32_t slot = 0; slot < config->pools[pool].size; slot++) {
      keeper->workers[keeper->n] = (struct worker){.pool = pool, .slot = slot};
      start(world, &keeper->workers[keeper->n++]);
    }
  }
}

/* All of it has gone: the slot is filled again, at once or after a while. */
static void gone(struct world *world, struct worker *worker, bool retired) {
  const struct slot_end end = {
      .retired = retired,
      .was_serving = worker->served,
      .lived_ns = world->now_ns - worker->born_ns,
      .ready_timeout_ns = config_of(world, worker)->ready_timeout_ns,
  };
  if (retired && worker->busy)
    world->measure.interrupted++;
  step(worker, SLOT_LEADER_EXITED, world->now_ns);
  step(worker, SLOT_GONE, world->now_ns);
  worker->pid = 0;
  worker->busy = false;
  worker->until_ns = NEVER;
  if (!slot__died_young(&end)) {
    worker->failures = 0;
    start(world, worker);
    return;
  }
  step(worker, SLOT_DIED_YOUNG, world->now_ns);
  worker->until_ns = world->now_ns + slot__backoff_ns(++worker->failures);
}

static void come_up(struct world *world, struct worker *worker) {
  step(worker, SLOT_LEASED, world->now_ns);
  worker->until_ns = NEVER;
  worker->served = true;
  keeper__hand_out(world, worker->pool);
}

void keeper__turn(struct world *world) {
  if (world->keeper.next_ns > world->now_ns)
    return;
  for (uint32_t i = 0; i < world->keeper.n; i++) {
    struct worker *worker = &world->keeper.workers[i];
    if (worker->until_ns > world->now_ns)
      continue;
    if (worker->state == EBB_SLOT_STARTING)
      come_up(world, worker);
    else if (worker->state == EBB_SLOT_BACKOFF)
      start(world, worker);
    else
      gone(world, worker, true);
  }
}

/* Jobs. */

static struct worker *longest_idle(struct keeper *keeper, uint32_t pool) {
  struct worker *best = NULL;
  for (uint32_t i = 0; i < keeper->n; i++) {
    struct worker *worker = &keeper->workers[i];
    bool takes = worker->pool == pool && worker->state == EBB_SLOT_SERVING && !worker->busy;
    if (takes && (!best || worker->since_ns < best->since_ns))
      best = worker;
  }
  return best;
}

void keeper__hand_out(struct world *world, uint32_t pool) {
  struct queue *queue = &world->queues[pool];
  struct worker *worker;
  while (queue->n && (worker = longest_idle(&world->keeper, pool))) {
    worker->job_before = worker__footprint(worker, world->progress);
    (void)queue__pop(queue, &worker->job);
    worker->busy = true;
    worker->taken_ns = world->now_ns;
    worker->since_ns = world->now_ns;
    worker->begun = world->progress;
    worker->ends = world->progress + worker->job.takes_ns;
    measure__began(&world->measure, world->now_ns - worker->job.came_ns);
  }
}

int keeper__finish(struct world *world) {
  if (world->keeper.next_end > world->progress)
    return -1;
  for (uint32_t i = 0; i < world->keeper.n; i++) {
    struct worker *worker = &world->keeper.workers[i];
    if (!worker->busy || worker->ends > world->progress)
      continue;
    double peak = worker__footprint(worker, world->progress);
    const struct scenario_jobs *kind = &world->scenario->jobs[worker->job.kind];
    worker->kept = larger(worker->kept, worker->job.memory_bytes * kind->keeps_permille / 1000);
    worker->leaked += worker->job.leak_bytes;
    worker->busy = false;
    worker->since_ns = world->now_ns;
    worker->jobs++;
    worker->peak = larger(worker->peak, peak);
    measure__finished(world, worker, peak);
    return (int)i;
  }
  return -1;
}

void keeper__pass(struct world *world, uint64_t ns) {
  const struct host *host = &world->host;
  if (host->waits <= 0)
    return;
  for (uint32_t i = 0; i < world->keeper.n; i++) {
    struct worker *worker = &world->keeper.workers[i];
    if (!worker->busy)
      continue;
    worker->stall_us += host->waits * (double)ns / 1e3;
    worker->faulted += worker__hot(worker, world->progress) * host->faulted * (double)ns / 1e9;
  }
}

/* Going. */

void keeper__fence(struct world *world, uint32_t index) {
  struct worker *worker = &world->keeper.workers[index];
  if (worker->state != EBB_SLOT_DUE || worker->busy)
    return;
  step(worker, SLOT_FENCED, world->now_ns);
  worker->until_ns = world->now_ns + draw(world, worker, &world->scenario->workers[worker->pool].stop);
}

void keeper__obey(struct world *world, const struct plan_act *act) {
  struct worker *worker = &world->keeper.workers[act->worker];
  step(worker, SLOT_ASKED_OUT, world->now_ns);
  measure__retired(&world->measure, act->reason);
  keeper__fence(world, act->worker);
}

void keeper__kill(struct world *world) {
  struct worker *largest = NULL;
  double most = 0;
  for (uint32_t i = 0; i < world->keeper.n; i++) {
    double bytes = worker__footprint(&world->keeper.workers[i], world->progress);
    if (bytes <= most)
      continue;
    most = bytes;
    largest = &world->keeper.workers[i];
  }
  if (!largest)
    return;
  measure__killed(&world->measure, largest->busy);
  gone(world, largest, false);
}

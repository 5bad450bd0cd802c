/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "watch.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "baseline.h"
#include "world.h"

#define PAGE_BYTES 4096u
/* As user/watch/jobs.c does it: a footprint this near to the limit is judged at once. */
#define NEAR_BYTES (4ULL * 1024 * 1024)

static uint64_t whole(double number) {
  return (uint64_t)fmax(0, number);
}

/* Facts. */

static void begin(struct watch *watch, uint32_t index, const struct worker *worker) {
  watch->struck_ns[index] = 0;
  watch->workers[index] = (struct ebb_worker_facts){
      .pool = worker->pool,
      .slot = worker->slot,
      .generation = worker->generation,
      .pid = worker->pid,
      .born_ns = worker->born_ns,
      .processes = 1,
      .rest_bytes = EBB_UNKNOWN,
      .private_bytes = EBB_UNKNOWN,
      .stall_us = EBB_UNKNOWN,
      .contribution_permille = EBB_UNKNOWN,
  };
}

static void gather_memory(const struct world *world, const struct worker *worker, struct ebb_worker_facts *facts) {
  double bytes = worker__footprint(worker, world->progress), hot = worker__hot(worker, world->progress);
  facts->footprint_bytes = whole(bytes);
  facts->swap_bytes = whole((bytes - hot) * world->host.cold_swapped + hot * world->host.hot_swapped);
  if (facts->swap_bytes > facts->footprint_bytes)
    facts->swap_bytes = facts->footprint_bytes;
  facts->anon_bytes = facts->footprint_bytes - facts->swap_bytes;
  facts->major_faults = whole(worker->faulted / PAGE_BYTES);
  if (world->watch.host.probe_level >= 2)
    facts->stall_us = whole(worker->stall_us);
  if (!worker->busy)
    facts->rest_bytes = facts->footprint_bytes;
  if (facts->footprint_bytes > facts->peak_bytes)
    facts->peak_bytes = facts->footprint_bytes;
}

static void gather_worker(struct world *world, uint32_t index) {
  const struct worker *worker = &world->keeper.workers[index];
  struct ebb_worker_facts *facts = &world->watch.workers[index];
  if (facts->generation != worker->generation || facts->pid != worker->pid)
    begin(&world->watch, index, worker);
  facts->state = worker->state;
  facts->busy = worker->busy;
  facts->since_ns = worker->since_ns;
  facts->taken_ns = worker->busy ? worker->since_ns : 0;
  facts->jobs = worker->jobs;
  gather_memory(world, worker, facts);
}

static void gather_pools(struct world *world) {
  struct baseline baselines[EBB_POOLS_MAX] = {0};
  const struct keeper *keeper = &world->keeper;
  for (uint32_t i = 0; i < keeper->n; i++)
    if (worker__is_there(&keeper->workers[i]) && keeper->workers[i].served)
      baseline__add(&baselines[keeper->workers[i].pool], whole(keeper->workers[i].baseline));
  for (uint32_t i = 0; i < world->scenario->config.n_pools; i++)
    world->watch.pools[i].baseline_bytes = baseline__median(&baselines[i]);
}

static void gather_host(struct world *world) {
  struct watch *watch = &world->watch;
  struct ebb_host_facts *facts = &watch->host;
  facts->now_ns = world->now_ns;
  facts->mem_total_bytes = world->scenario->host.memory_bytes;
  facts->mem_available_bytes = whole(world->host.available);
  facts->stall_some_us = whole(world->host.some_us);
  facts->stall_full_us = whole(world->host.full_us);
  (void)pressure__sample(&watch->pressure, &world->scenario->config.rules, world->now_ns, facts->stall_some_us,
                         facts->stall_full_us);
  pressure__tell(&watch->pressure, facts);
  facts->reclaim_moved = moved__sample(&watch->moved, world->now_ns, whole(world->host.moved_bytes / PAGE_BYTES));
}

static void gather_workers(struct world *world) {
  struct watch *watch = &world->watch;
  uint64_t sum = 0;
  for (uint32_t i = 0; i < world->keeper.n; i++) {
    gather_worker(world, i);
    sum += watch->workers[i].footprint_bytes;
  }
  watch->host.pools_footprint_bytes = sum;
  contribution__tell(&watch->contribution, watch->workers, world->keeper.n, watch->host.level >= EBB_PRESSURE_ELEVATED,
                     world->now_ns);
}

static void look_closely(struct world *world) {
  struct watch *watch = &world->watch;
  const struct level_input in = {
      .host = &watch->host,
      .pool_rules = watch->rules,
      .workers = watch->workers,
      .n_workers = world->keeper.n,
      .now_ns = world->now_ns,
  };
  watch->host.probe_level = level__decide(&watch->level, &in);
}

/* Judgement. */

static void read_private(void *arg, uint32_t index) {
  struct world *world = arg;
  const struct worker *worker = &world->keeper.workers[index];
  struct ebb_worker_facts *facts = &world->watch.workers[index];
  uint64_t shared = world->scenario->workers[worker->pool].shared_bytes;
  gather_worker(world, index);
  facts->private_bytes = facts->footprint_bytes > shared ? facts->footprint_bytes - shared : 0;
  facts->private_ns = world->now_ns;
  world->measure.reads++;
}

static int put(void *arg, const char *bytes, size_t n) {
  return fwrite(bytes, 1, n, arg) == n ? 0 : -EIO;
}

static void record(struct world *world, const struct policy_input *in, const struct plan *plan) {
  struct watch *watch = &world->watch;
  const char *names[EBB_POOLS_MAX];
  if (!watch->record)
    return;
  for (uint32_t i = 0; i < EBB_POOLS_MAX; i++)
    names[i] = world->scenario->config.pools[i].name;
  tape__take(watch->tape, in, plan, names);
  if (!tape__write(watch->tape, put, watch->record))
    return;
  perror("simulate: nothing more is recorded");
  watch->record = NULL;
}

static void act(struct world *world, const struct plan_act *act) {
  struct watch *watch = &world->watch;
  keeper__obey(world, act);
  turn__acted(&watch->host, act->reason, world->now_ns);
  gather_worker(world, act->worker);
}

static void judge(struct world *world) {
  struct watch *watch = &world->watch;
  struct plan plan;
  const struct policy_input in = {
      .host_rules = &world->scenario->config.rules,
      .host = &watch->host,
      .pool_rules = watch->rules,
      .pools = watch->pools,
      .workers = watch->workers,
      .n_pools = world->scenario->config.n_pools,
      .n_workers = world->keeper.n,
      .now_ns = world->now_ns,
  };
  turn__decide(&in, read_private, world, &plan);
  record(world, &in, &plan);
  turn__strike(&in, &plan, watch->workers, watch->struck_ns);
  measure__judged(&world->measure, &plan);
  for (uint32_t i = 0; i < plan.n_acts; i++)
    act(world, &plan.acts[i]);
}

void watch__init(struct world *world, FILE *record) {
  struct watch *watch = &world->watch;
  pressure__init(&watch->pressure);
  contribution__init(&watch->contribution, PAGE_BYTES);
  watch->host.tier = EBB_TIER_FULL;
  for (uint32_t i = 0; i < world->scenario->config.n_pools; i++)
    watch->rules[i] = world->scenario->config.pools[i].rules;
  watch->tick_ns = world->now_ns;
  watch->record = record;
  watch->tape = record ? calloc(1, sizeof(*watch->tape)) : NULL;
  if (record && !watch->tape)
    abort();
}

void watch__done(struct world *world) {
  free(world->watch.tape);
  world->watch.tape = NULL;
}

/* Without the watchdog time passes all the same: what the host does is worked out once a second. */
void watch__tick(struct world *world) {
  world->watch.tick_ns = world->now_ns + TURN_TICK_NS;
  if (!world->scenario->run.watchdog)
    return;
  gather_pools(world);
  gather_host(world);
  gather_workers(world);
  look_closely(world);
  judge(world);
  world->watch.tick_ns = world->now_ns + turn__wait_ns(&world->watch.host);
}

void watch__released(struct world *world, uint32_t worker) {
  uint64_t limit = world->watch.rules[world->keeper.workers[worker].pool].footprint_limit_bytes;
  if (!world->scenario->run.watchdog)
    return;
  gather_worker(world, worker);
  if (limit != EBB_UNKNOWN && world->watch.workers[worker].footprint_bytes + NEAR_BYTES >= limit)
    judge(world);
}

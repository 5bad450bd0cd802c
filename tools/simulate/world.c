/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "world.h"

#include <math.h>
#include <string.h>

static uint64_t least(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

/* Under the rate that there is; not over the tick, which looks again. */
static uint64_t next_end_ns(const struct world *world) {
  double left = world->keeper.next_end - world->progress;
  double ns = ceil(fmax(0, left) / world->host.rate);
  return ns < 1e15 ? world->now_ns + (uint64_t)ns : UINT64_MAX;
}

static uint64_t next_ns(const struct world *world) {
  uint64_t next = least(world->watch.tick_ns, arrivals__next_ns(&world->arrivals, world->scenario));
  next = least(next, world->keeper.next_ns);
  return least(next, next_end_ns(world));
}

static void pass(struct world *world, uint64_t to_ns) {
  uint64_t ns = to_ns - world->now_ns;
  measure__pass(world, ns);
  host__pass(&world->host, ns);
  keeper__pass(world, ns);
  world->progress += (double)ns * world->host.rate;
  world->now_ns = to_ns;
}

/* What is taken now, and what that means for all. */
static void settle(struct world *world) {
  world->load = keeper__look(&world->keeper, world->progress);
  host__load(&world->host, &world->scenario->host, &world->load);
  measure__look(world);
}

static void end_jobs(struct world *world) {
  int worker;
  while ((worker = keeper__finish(world)) >= 0) {
    watch__released(world, (uint32_t)worker);
    keeper__fence(world, (uint32_t)worker);
    keeper__hand_out(world, world->keeper.workers[worker].pool);
  }
}

static void take_jobs(struct world *world) {
  struct job job;
  while (arrivals__take(&world->arrivals, world->scenario, world->now_ns, &job)) {
    uint32_t pool = world->scenario->jobs[job.kind].pool;
    world->measure.arrived++;
    queue__push(&world->queues[pool], &job);
    keeper__hand_out(world, pool);
  }
}

static void happen(struct world *world) {
  keeper__turn(world);
  end_jobs(world);
  take_jobs(world);
  settle(world);
  while (world->host.out_of_memory && world->load.hot + world->load.cold > 0) {
    keeper__kill(world);
    settle(world);
  }
  if (world->now_ns < world->watch.tick_ns)
    return;
  watch__tick(world);
  settle(world);
}

void world__run(struct world *world, const struct scenario *scenario, FILE *record) {
  memset(world, 0, sizeof(*world));
  world->scenario = scenario;
  world->now_ns = WORLD_START_NS;
  uint64_t end_ns = WORLD_START_NS + scenario->run.lasts_ns;
  arrivals__init(&world->arrivals, scenario, world->now_ns);
  keeper__init(world);
  watch__init(world, record);
  for (settle(world); world->now_ns < end_ns; happen(world))
    pass(world, least(next_ns(world), end_ns));
  world->measure.stall_some = world->host.some_us / 1e6;
  world->measure.stall_full = world->host.full_us / 1e6;
  measure__finish(&world->measure);
  watch__done(world);
  for (uint32_t i = 0; i < EBB_POOLS_MAX; i++)
    queue__done(&world->queues[i]);
}

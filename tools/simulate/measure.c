/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "measure.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "jobstats.h"
#include "world.h"

const struct metric metrics[] = {
#define X(name, unit, text) {#name, text, MEASURE_##unit},
    METRICS(X)
#undef X
        {0},
};

void measure__pass(struct world *world, uint64_t ns) {
  struct measure *measure = &world->measure;
  double s = (double)ns / 1e9;
  measure->passed_s += s;
  measure->byte_s += s * (world->load.hot + world->load.cold);
  measure->slot_s += s * world->keeper.n;
  measure->empty_s += s * (world->keeper.n - world->keeper.serving);
}

void measure__look(struct world *world) {
  struct measure *measure = &world->measure;
  measure->peak_bytes = fmax(measure->peak_bytes, world->load.hot + world->load.cold);
  measure->peak_swap_bytes = fmax(measure->peak_swap_bytes, world->host.swap_used);
}

void measure__began(struct measure *measure, uint64_t waited_ns) {
  measure->waited_s += (double)waited_ns / 1e9;
  measure->taken++;
}

/* By the same table as `ebb jobs`. */
void measure__finished(struct world *world, const struct worker *worker, double peak) {
  struct measure *measure = &world->measure;
  const char *pool = world->scenario->config.pools[worker->pool].name;
  const struct jobstats_run run = {
      .pool = pool,
      .label = world->scenario->jobs[worker->job.kind].label,
      .lasted_ns = world->now_ns - worker->taken_ns,
      .before_bytes = (uint64_t)worker->job_before,
      .after_bytes = (uint64_t)worker__footprint(worker, world->progress),
      .peak_bytes = (uint64_t)peak,
      .minor_faults = EBB_UNKNOWN,
      .major_faults = EBB_UNKNOWN,
      .stall_us = EBB_UNKNOWN,
  };
  jobstats__count(&measure->kinds[jobstats__find(measure->kinds, EBB_JOB_KINDS_MAX, pool, run.label)], &run);
  measure->worked_s += (double)run.lasted_ns / 1e9;
  measure->finished++;
}

void measure__retired(struct measure *measure, enum reason reason) {
  measure->retired++;
  measure->retired_for[reason]++;
}

void measure__killed(struct measure *measure, bool at_a_job) {
  measure->killed++;
  measure->lost += at_a_job;
}

void measure__judged(struct measure *measure, const struct plan *plan) {
  measure->judged++;
  for (uint32_t i = 0; i < EBB_POOLS_MAX; i++)
    measure->below_baseline += plan->below_baseline[i];
}

static double part(double of, double all, double without) {
  return all > 0 ? of / all : without;
}

void measure__finish(struct measure *measure) {
  measure->mean_bytes = part(measure->byte_s, measure->passed_s, 0);
  measure->stall_some = part(measure->stall_some, measure->passed_s, 0);
  measure->stall_full = part(measure->stall_full, measure->passed_s, 0);
  measure->throughput = part(measure->finished, measure->arrived, 1);
  measure->wait_s = part(measure->waited_s, measure->taken, 0);
  measure->job_s = part(measure->worked_s, measure->finished, 0);
  measure->empty = part(measure->empty_s, measure->slot_s, 0);
}

/* Of a kind of jobs, in all pools. */
static int value_of_label(const struct measure *measure, bool runs, const char *label, double *ret) {
  double of = 0, all = 0;
  bool found = false;
  for (uint32_t i = 0; i < EBB_JOB_KINDS_MAX && *measure->kinds[i].pool; i++) {
    const struct ebb_job_kind *kind = &measure->kinds[i];
    bool is = !strcmp(kind->label, label);
    found |= is;
    of += is ? (double)(runs ? kind->runs : kind->retained_bytes) : 0;
    all += (double)kind->retained_bytes;
  }
  *ret = runs ? of : part(of, all, 0);
  return found ? 0 : -ENOENT;
}

int measure__value(const struct measure *measure, const char *name, double *ret) {
  const double *values = &measure->peak_bytes;
  for (int i = 0; metrics[i].name; i++)
    if (!strcmp(metrics[i].name, name)) {
      *ret = values[i];
      return 0;
    }
  if (!strncmp(name, "retired/", 8)) {
    enum reason reason = reason__find(name + 8);
    *ret = measure->retired_for[reason];
    return reason == REASON_NONE ? -ENOENT : 0;
  }
  if (!strncmp(name, "runs/", 5))
    return value_of_label(measure, true, name + 5, ret);
  if (!strncmp(name, "retained_share/", 15))
    return value_of_label(measure, false, name + 15, ret);
  return -ENOENT;
}

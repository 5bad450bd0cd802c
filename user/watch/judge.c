/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* From facts to acts: ask the policy, read what it wants to know more exactly, ask again, do what it says. */
#include <errno.h>
#include <string.h>

#include "log.h"
#include "watch.h"

struct reading {
  struct watch *watch;
  uint64_t now_ns;
};

static void read_private(void *arg, uint32_t worker) {
  const struct reading *reading = arg;
  gather__private(reading->watch, worker, reading->now_ns);
}

static void warn(struct watch *watch, uint32_t pool, uint32_t warning, const char *reason) {
  if (watch->warnings[pool] & warning)
    return;
  watch->warnings[pool] |= warning;
  act__note(watch, "warning", watch->view.pools[pool].name, -1, 0, reason, EBB_UNKNOWN, NULL);
}

static void warn_all(struct watch *watch, const struct plan *plan) {
  for (uint32_t i = 0; i < watch->view.n_pools; i++) {
    if (plan->below_baseline[i])
      warn(watch, i, TRACE_WARN_BELOW_BASELINE, reason__name(REASON_BELOW_BASELINE));
    else
      watch->warnings[i] &= ~TRACE_WARN_BELOW_BASELINE;
    watch->warnings[i] &= ~TRACE_WARN_UNLEASED; /* ebbd has said that one; here it is only shown */
  }
  for (uint32_t i = 0; i < watch->n_workers; i++) {
    const struct ebb_worker_facts *worker = &watch->workers[i];
    if (worker->state == EBB_SLOT_UNLEASED && worker->pid > 0 && watch->rules[worker->pool].mode != EBB_MODE_ONESHOT)
      watch->warnings[worker->pool] |= TRACE_WARN_UNLEASED;
  }
}

static int act(struct watch *watch, const struct plan *plan, uint64_t now_ns) {
  const struct actions *actions = act__actions(watch);
  int error = 0;
  for (uint32_t i = 0; i < plan->n_acts && !error; i++)
    error = actions->retire(watch, &plan->acts[i], now_ns);
  for (uint32_t i = 0; i < plan->n_trims && !error; i++)
    error = actions->trim(watch, &plan->trims[i], now_ns);
  for (uint32_t i = 0; i < plan->n_starts && !error; i++)
    error = actions->start(watch, plan->starts[i], now_ns);
  for (uint32_t i = 0; i < watch->view.n_pools && !error; i++)
    if (plan->hold_refill[i])
      error = actions->hold_refill(watch, i, now_ns);
  return error;
}

static void take(struct watch *watch, const struct policy_input *in, const struct plan *plan) {
  const char *names[EBB_POOLS_MAX];
  for (uint32_t i = 0; i < EBB_POOLS_MAX; i++)
    names[i] = i < in->n_pools ? watch->view.pools[i].name : "";
  recorder__take(&watch->recorder, in, plan, names);
}

static void record(struct watch *watch) {
  int error = recorder__write(&watch->recorder);
  if (error == -EFBIG)
    log__warning("%s has come to its size: nothing more is recorded", watch->options->record);
  else if (error)
    log__warning("%s: %s: nothing more is recorded", watch->options->record, strerror(-error));
}

void judge__turn(struct watch *watch, uint64_t now_ns) {
  static struct plan plan;
  const struct policy_input in = {
      .host_rules = &watch->view.ebbd.rules,
      .host = &watch->host,
      .pool_rules = watch->rules,
      .pools = watch->pools,
      .workers = watch->workers,
      .n_pools = watch->view.n_pools,
      .n_workers = watch->n_workers,
      .now_ns = now_ns,
  };
  struct reading reading = {watch, now_ns};
  turn__decide(&in, read_private, &reading, &plan);
  take(watch, &in, &plan);
  turn__strike(&in, &plan, watch->workers, watch->struck_ns);
  warn_all(watch, &plan);
  int error = watch->view.ebbd.stopping ? 0 : act(watch, &plan, now_ns); /* of one that stops nothing is to be had */
  if (error)                                                             /* said again at the next turn */
    log__warning("the control FIFO takes no command: %s", strerror(-error));
  record(watch);
}

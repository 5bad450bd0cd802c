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
  for (uint32_t i = 0; i < watch->n_workers; i++)
    if (watch->workers[i].state == EBB_SLOT_UNLEASED && watch->workers[i].pid > 0)
      watch->warnings[watch->workers[i].pool] |= TRACE_WARN_UNLEASED;
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

static void carry_out(struct watch *watch, const struct plan *plan, uint64_t now_ns) {
  for (uint32_t i = 0; i < plan->n_acts; i++) {
    int error = act__retire(watch, &plan->acts[i], now_ns);
    if (error) { /* said again at the next turn */
      log__warning("the control FIFO takes no command: %s", strerror(-error));
      return;
    }
    struct ebb_worker_facts *worker = &watch->workers[plan->acts[i].worker];
    worker->state = EBB_SLOT_DUE;
    if (plan->acts[i].reason == REASON_REQUEST)
      watch->pools[worker->pool].requests--;
  }
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
  carry_out(watch, &plan, now_ns);
  record(watch);
}

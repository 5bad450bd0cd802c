/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "turn.h"

#include "limit.h"

/* Each round reads a few private bytes that were not known. */
#define ROUNDS_MAX 16

void turn__decide(const struct policy_input *in, turn_read *read, void *arg, struct plan *ret_plan) {
  for (int round = 0; round < ROUNDS_MAX; round++) {
    policy__decide(in, ret_plan);
    if (ret_plan->n_confirm == 0)
      return;
    for (uint32_t i = 0; i < ret_plan->n_confirm; i++)
      read(arg, ret_plan->confirm[i]);
  }
}

void turn__strike(const struct policy_input *in, const struct plan *plan, struct ebb_worker_facts *workers,
                  uint64_t *struck_ns) {
  for (uint32_t i = 0; i < plan->n_struck; i++) {
    uint32_t worker = plan->struck[i];
    if (struck_ns[worker] && in->now_ns - struck_ns[worker] < TURN_STRIKE_NS)
      continue;
    struck_ns[worker] = in->now_ns;
    workers[worker].strikes++;
  }
  for (uint32_t i = 0; i < in->n_workers; i++)
    if (workers[i].strikes && !limit__is_exceeded(&in->pool_rules[workers[i].pool], &workers[i]))
      workers[i].strikes = 0;
}

void turn__acted(struct ebb_host_facts *host, enum reason reason, uint64_t now_ns) {
  if (reason == REASON_PRESSURE || reason == REASON_CONTRIBUTION)
    host->last_act_ns = now_ns;
}

uint64_t turn__wait_ns(const struct ebb_host_facts *host) {
  return host->level >= EBB_PRESSURE_ELEVATED ? TURN_TICK_PRESSED_NS : TURN_TICK_NS;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "stop.h"

#include <stdio.h>

#include "ebb/lease.h"
#include "fault.h"
#include "log.h"
#include "pending.h"
#include "worker.h"

static void record_stop(struct keeper *keeper, const char *format, uint32_t busy) {
  char text[80];
  (void)snprintf(text, sizeof(text), format, busy);
  audit__write(&keeper->audit, &(struct audit_record){.event = AUDIT_STOP, .text = busy ? text : NULL});
}

/* Who is left to the next ebbd works on until then. */
static void leave_them(struct keeper *keeper) {
  uint32_t left = 0;
  for_each_slot(slot, keeper) {
    if (!worker__present(slot))
      continue;
    left++;
    if (!slot->told_once)
      (void)lease__order(slot->lease_fd, EBB_ORDER_RUN);
    log__info("leaving %s/%u (pid %d) to the next ebbd", slot->pool->config.name, slot->number, slot->pid);
  }
  record_stop(keeper, "leaving %u workers to the next ebbd", left);
  keeper->stop = STOP_DONE;
}

static void wait_for_busy(struct keeper *keeper, uint64_t now_ns) {
  uint32_t busy = 0;
  for_each_slot(slot, keeper) {
    (void)worker__let_go(keeper, slot, REASON_STOP, now_ns);
    if (slot->state != EBB_SLOT_DUE)
      continue;
    busy++;
    log__info("waiting for %s/%u (pid %d) %s", slot->pool->config.name, slot->number, slot->pid,
              slot->leased || slot->told_once ? "to finish its job" : "to come to its lease, or to end");
  }
  FAULT(STOPPING);
  record_stop(keeper, "waiting for %u workers in the middle of a job", busy);
  keeper->stop = STOP_WAITING;
  keeper->stop_ns =
      keeper->config.stop_timeout_ns == EBB_UNKNOWN ? UINT64_MAX : now_ns + keeper->config.stop_timeout_ns;
}

void stop__ask(struct keeper *keeper, uint64_t now_ns) {
  if (keeper->stop == STOP_DONE)
    return;
  pending__supersede_stop(keeper);
  if (keeper->stop == STOP_NO)
    wait_for_busy(keeper, now_ns);
  else
    leave_them(keeper);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "trim.h"

#include "ebb/lease.h"
#include "fault.h"
#include "units.h"
#include "worker.h"

/* An order that could not be written is tried again after this. */
#define RETRY_NS NS_PER_SEC

/* Only who serves takes its lease again, and only who uses it reads what is in it. */
const char *trim__order(struct slot *slot, uint64_t now_ns) {
  if (!worker__present(slot))
    return "no-worker";
  if (slot->state != EBB_SLOT_SERVING && slot->state != EBB_SLOT_UNLEASED)
    return reason__name(REASON_LEAVING);
  if (!slot->leased)
    return reason__name(REASON_UNLEASED);
  if (lease__order(slot->lease_fd, EBB_ORDER_TRIM))
    return "no-order";
  FAULT(TRIM_ORDERED);
  slot->trimmed_ns = now_ns;
  slot->trim_end_ns = now_ns + slot->pool->config.rules.trim_wait_ns;
  return NULL;
}

void trim__record(struct keeper *keeper, const struct slot *slot, const struct command *command) {
  const struct audit_worker worker = worker__name(slot);
  audit__write(&keeper->audit,
               &(struct audit_record){.event = AUDIT_TRIM, .id = command->id, .worker = &worker, .by = command->by});
}

void trim__turn(struct slot *slot, uint64_t now_ns) {
  if (now_ns < trim__deadline(slot))
    return;
  if (lease__order(slot->lease_fd, EBB_ORDER_RUN)) {
    slot->trim_end_ns = now_ns + RETRY_NS;
    return;
  }
  slot->trim_end_ns = 0;
  FAULT(TRIM_OVER);
}

uint64_t trim__deadline(const struct slot *slot) {
  return slot->trim_end_ns && slot->state == EBB_SLOT_SERVING ? slot->trim_end_ns : UINT64_MAX;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "tell.h"

#include <errno.h>
#include <string.h>

#include "fault.h"
#include "log.h"
#include "pidfd.h"
#include "publish.h"
#include "worker.h"

void tell__turn(struct keeper *keeper, struct slot *slot) {
  if (!tell__is_for(slot) || slot->state != EBB_SLOT_DUE || slot->told_once)
    return;
  int number = slot->pool->config.retire_signal;
  slot->told_once = true;
  publish__slot(keeper, slot);
  FAULT(TELL_NOTED);
  int error = pidfd__signal(slot->pidfd, number);
  if (error == -ESRCH)
    return; /* it has just ended by itself */
  if (error) {
    log__error("%s/%u: pid %d could not be told to go, and will not be told again: %s", slot->pool->config.name,
               slot->number, slot->pid, strerror(-error));
    return;
  }
  FAULT(TOLD_ONCE);
  struct audit_worker worker = worker__name(slot);
  audit__write(&keeper->audit, &(struct audit_record){.event = AUDIT_SIGNALLED, .worker = &worker, .signal = number});
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "summon.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "children.h"
#include "clock.h"
#include "environment.h"
#include "exits.h"
#include "fault.h"
#include "log.h"
#include "pidfd.h"
#include "publish.h"
#include "worker.h"

static void let_go(struct keeper *keeper, struct summon *summon) {
  exits__leave(keeper, summon->pidfd);
  children__forget(summon->pid);
  (void)close(summon->pidfd);
  summon->pid = 0;
}

void summon__forget(struct slot *slot) {
  if (slot->summon.pid)
    let_go(slot->keeper, &slot->summon);
}

static void fail(struct keeper *keeper, struct slot *slot, const char *text, uint64_t now_ns) {
  slot->summoned_ns = 0;
  if (slot->failures == 0)
    log__warning("%s/%u: refill_command: %s", slot->pool->config.name, slot->number, text);
  worker__back_off(keeper, slot, SLOT_SPAWN_FAILED, text, now_ns);
}

static bool waits(const struct slot *slot) {
  return slot->state == EBB_SLOT_EMPTY && slot->summoned_ns;
}

/* The slot that nobody comes for when the command of this one has failed. The worker of another one's command may have come
 * here; that one then waits still, for nobody, and would never be asked for again. */
static struct slot *find_waiting(struct slot *own) {
  if (waits(own))
    return own;
  for_each_slot_of(slot, own->keeper, own->pool) if (waits(slot)) return slot;
  return NULL;
}

void summon__exited(struct keeper *keeper, struct slot *slot) {
  char text[64];
  struct audit_end end = {-1, -1}; /* not the slot's: its worker may just have ended, too */
  if (pidfd__wait(slot->summon.pidfd, false, &end.code, &end.signal) == 0)
    return;
  let_go(keeper, &slot->summon);
  struct slot *waiting = end.code == 0 ? NULL : find_waiting(slot);
  if (!waiting)
    return; /* it has done what it was to do, or somebody was adopted all the same */
  waiting->end = end;
  (void)snprintf(text, sizeof(text), "refill_command: %s %d", end.signal >= 0 ? "signal" : "exit code",
                 end.signal >= 0 ? end.signal : end.code);
  fail(keeper, waiting, text, clock__monotonic_ns());
}

static int run(struct keeper *keeper, struct slot *slot, struct spawn_error *error) {
  struct summon *summon = &slot->summon;
  const struct spawn spawn = environment__spawn(keeper, slot, NULL);
  int r = spawn__run(&spawn, &summon->pid, &summon->pidfd, error);
  if (r)
    return r;
  children__know(summon->pid);
  r = exits__follow(keeper, summon->pidfd, slot->index | EXITS_SUMMON);
  if (r < 0) { /* nobody sees how it ends */
    *error = (struct spawn_error){"watch", -r};
    let_go(keeper, summon);
  }
  return r < 0 ? r : 0;
}

static void call(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  struct spawn_error error;
  char text[160];
  slot->summoned_ns = now_ns;
  slot->summon_told = slot->summon_left = false;
  publish__slot(keeper, slot);
  FAULT(SUMMON_NOTED);
  slot->end = (struct audit_end){.code = -1, .signal = -1};
  if (worker__find_user(slot->pool))
    error = (struct spawn_error){"user", -slot->pool->identity_error};
  else if (run(keeper, slot, &error) == 0)
    error.error = 0;
  if (error.error) {
    (void)snprintf(text, sizeof(text), "refill_command: %s: %s", error.step, strerror(error.error));
    fail(keeper, slot, text, now_ns);
    return;
  }
  FAULT(SUMMONED);
  const struct audit_worker worker = {.pool = slot->pool->config.name, .slot = slot->number, .pid = slot->summon.pid};
  audit__write(&keeper->audit, &(struct audit_record){.event = AUDIT_SUMMON, .worker = &worker});
}

static void report(struct keeper *keeper, struct slot *slot) {
  const char *text = slot->summon.pid ? "refill_command has not ended within ready_timeout"
                                      : "nobody was adopted within ready_timeout of refill_command";
  const struct audit_worker worker = {.pool = slot->pool->config.name, .slot = slot->number, .pid = slot->summon.pid};
  slot->summon_told = true;
  log__warning("%s/%u: %s", slot->pool->config.name, slot->number, text);
  audit__write(&keeper->audit,
               &(struct audit_record){.event = AUDIT_WARNING, .worker = &worker, .reason = "summon", .text = text});
}

void summon__turn(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  if (slot->state == EBB_SLOT_BACKOFF) {
    worker__step(slot, SLOT_RESTED, now_ns);
    slot->summoned_ns = 0;
  }
  if (!slot->pool->argv[0] || (slot->summon_left && now_ns >= summon__deadline(slot)))
    slot->summoned_ns = 0;
  if (!slot->pool->argv[0])
    return;
  if (!slot->summoned_ns && !slot->summon.pid)
    call(keeper, slot, now_ns);
  else if (now_ns >= summon__deadline(slot))
    report(keeper, slot);
}

void summon__restore(struct slot *slot, bool summoned, uint64_t now_ns) {
  slot->summon_left = summoned;
  slot->summoned_ns = summoned ? now_ns : 0;
}

uint64_t summon__deadline(const struct slot *slot) {
  return slot->summoned_ns && !slot->summon_told ? slot->summoned_ns + slot->pool->config.ready_timeout_ns : UINT64_MAX;
}

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

void summon__exited(struct keeper *keeper, struct slot *slot) {
  char text[64];
  slot->end = (struct audit_end){.code = -1, .signal = -1};
  if (pidfd__wait(slot->summon.pidfd, false, &slot->end.code, &slot->end.signal) == 0)
    return;
  let_go(keeper, &slot->summon);
  if (slot->end.code == 0 || slot->state != EBB_SLOT_EMPTY || !slot->summoned_ns)
    return; /* it has done what it was to do, or somebody was adopted all the same */
  (void)snprintf(text, sizeof(text), "refill_command: %s %d", slot->end.signal >= 0 ? "signal" : "exit code",
                 slot->end.signal >= 0 ? slot->end.signal : slot->end.code);
  fail(keeper, slot, text, clock__monotonic_ns());
}

static int run(struct keeper *keeper, struct slot *slot, struct spawn_error *error) {
  static struct environment environment; /* large; one start at a time */
  struct pool *pool = slot->pool;
  struct summon *summon = &slot->summon;
  environment__compose(&environment, keeper, slot, NULL);
  const struct spawn spawn = {
      .argv = pool->argv,
      .envp = environment.vars,
      .directory = pool->config.directory[0] ? pool->config.directory : "/",
      .identity = &pool->identity,
      .oom_score_adj = 0,
      .new_group = true,
      .keep_fd = -1,
      .open_files = keeper->open_files,
      .masks = true,
      .umask = pool->config.umask,
  };
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

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "worker.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "children.h"
#include "ebb/lease.h"
#include "exits.h"
#include "fault.h"
#include "fill.h"
#include "log.h"
#include "pidfd.h"
#include "procstat.h"
#include "publish.h"
#include "roll.h"
#include "selfprotect.h"
#include "spare.h"
#include "tell.h"
#include "trim.h"
#include "units.h"

/* If the kernel must kill, let it take what costs no job. */
#define FENCED_OOM_SCORE_ADJ 1000

struct audit_worker worker__name(const struct slot *slot) {
  return (struct audit_worker){slot->pool->config.name, slot->number, slot->generation, slot->pid};
}

void worker__lease_name(const struct slot *slot, char *to) {
  (void)snprintf(to, LEASE_NAME_BYTES, "%s.%u.%u", slot->pool->config.name, slot->number, slot->generation);
}

void worker__lease_path(const struct slot *slot, char *to) {
  char name[LEASE_NAME_BYTES];
  worker__lease_name(slot, name);
  (void)snprintf(to, LEASE_PATH_BYTES, "%s/lease/%s", slot->keeper->run_path, name);
}

enum reason worker__unwanted(const struct keeper *keeper, const struct slot *slot) {
  return keeper->stop != STOP_NO ? REASON_STOP
         : slot->pool->removed   ? REASON_RELOAD
         : slot->pool->drained   ? REASON_DRAIN
         : slot->closed          ? REASON_SCALE
                                 : REASON_NONE;
}

void worker__step(struct slot *slot, enum slot_event event, uint64_t now_ns) {
  bool expected = slot__step(&slot->state, event);
  assert(expected);
  (void)expected;
  slot->since_ns = now_ns;
}

static void record(struct keeper *keeper, const struct slot *slot, enum audit_event event) {
  struct audit_worker worker = worker__name(slot);
  audit__write(&keeper->audit, &(struct audit_record){.event = event, .worker = &worker});
}

static void record_reason(struct keeper *keeper, const struct slot *slot, enum audit_event event) {
  struct audit_worker worker = worker__name(slot);
  audit__write(&keeper->audit,
               &(struct audit_record){.event = event, .worker = &worker, .reason = reason__name(slot->reason)});
}

/* The gate: the worker waits for its lease for the first time, so it uses it, and is ready. */
static void keep_at_gate(struct slot *slot, uint64_t now_ns) {
  slot->leased = slot->was_serving = true;
  slot->awaited = false;
  worker__step(slot, SLOT_SPARED, now_ns);
  FAULT(SPARED);
}

void worker__let_in(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  bool served = slot->state == EBB_SLOT_SERVING;
  slot->leased = slot->was_serving = true;
  slot->awaited = false;
  worker__step(slot, SLOT_LEASED, now_ns);
  publish__slot(keeper,
                slot); /* before it can work: for the next ebbd, who holds a lease unknown to use it is a stranger */
  FAULT(GATE_KNOWN);
  slot->holds = false;
  (void)lease__unlock(slot->lease_fd);
  FAULT(GATE_OPEN);
  if (!served)
    record(keeper, slot, AUDIT_READY);
}

static void note_unleased(struct keeper *keeper, struct slot *slot) {
  slot->was_serving = true;
  if (slot->pool->unleased_warned)
    return;
  slot->pool->unleased_warned = true;
  struct audit_worker worker = worker__name(slot);
  audit__write(&keeper->audit, &(struct audit_record){
                                   .event = AUDIT_WARNING,
                                   .worker = &worker,
                                   .reason = "unleased",
                                   .text = "it has not taken its lease within ready_timeout: it will be left alone"});
  log__warning("%s/%u: pid %d has not taken its lease within ready_timeout: workers of this pool that do not use their "
               "lease are left alone",
               slot->pool->config.name, slot->number, slot->pid);
}

static void give_up_waiting(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  worker__step(slot, SLOT_LATE, now_ns);
  note_unleased(keeper, slot);
}

/* Before Linux 6.9 a group is named by its number, which is nobody else's only while its leader is our child. Of another,
 * the leader alone is told; what it leaves behind follows, each through a pidfd of its own. An adopted one's group may be its
 * starter's. */
static int tell(const struct slot *slot, int signal) {
  if (slot->adopted)
    return pidfd__signal(slot->pidfd, signal);
  return slot->ours ? pidfd__signal_group(slot->pidfd, slot->pid, signal)
                    : pidfd__signal_group_or_process(slot->pidfd, signal);
}

static void tell_to_go(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  int sent = tell(slot, slot->pool->config.retire_signal);
  slot->kill_ns = now_ns + slot->pool->config.grace_ns;
  if (sent)
    return; /* it has just ended by itself */
  FAULT(TOLD);
  struct audit_worker worker = worker__name(slot);
  audit__write(
      &keeper->audit,
      &(struct audit_record){.event = AUDIT_SIGNALLED, .worker = &worker, .signal = slot->pool->config.retire_signal});
}

/* Soon again at first, since most jobs are short; then seldom. The watch tells sooner when there is one. */
static uint64_t next_try(const struct slot *slot, uint64_t now_ns) {
  uint64_t wait_ns = (now_ns - slot->since_ns) / 8;
  if (wait_ns < FENCE_RETRY_FIRST_NS)
    wait_ns = FENCE_RETRY_FIRST_NS;
  return now_ns + (wait_ns < FENCE_RETRY_NS ? wait_ns : FENCE_RETRY_NS);
}

/* Between jobs, and can start none: we hold its lease, and it is known to use it. */
static bool try_fence(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  slot->try_ns = next_try(slot, now_ns);
  if (slot->awaited)
    slot->leased = true;
  if (!slot->leased || (!slot->holds && lease__try_lock(slot->lease_fd))) /* of a spare we hold it */
    return false;
  slot->holds = true;
  FAULT(FENCED);
  worker__step(slot, SLOT_FENCED, now_ns);
  (void)selfprotect__oom_score_adj_of(slot->pid, FENCED_OOM_SCORE_ADJ);
  record_reason(keeper, slot, AUDIT_FENCED);
  tell_to_go(keeper, slot, now_ns);
  return true;
}

bool worker__between_jobs(const struct slot *slot) {
  if (!slot->leased || lease__try_lock(slot->lease_fd))
    return false;
  (void)lease__unlock(slot->lease_fd);
  return true;
}

void worker__record_retire(struct keeper *keeper, const struct slot *slot, const struct retirement *why) {
  struct audit_worker worker = worker__name(slot);
  audit__write(&keeper->audit, &(struct audit_record){.event = AUDIT_RETIRE,
                                                      .id = why->id,
                                                      .worker = &worker,
                                                      .reason = reason__name(why->reason),
                                                      .by = why->by,
                                                      .memory = why->memory});
}

bool worker__ask_out(struct keeper *keeper, struct slot *slot, const struct retirement *why, uint64_t now_ns) {
  switch (slot->state) {
  case EBB_SLOT_STARTING:
  case EBB_SLOT_UNLEASED:
  case EBB_SLOT_SPARE:
  case EBB_SLOT_SERVING:
    if (!slot->first || slot->reason != why->reason)
      worker__record_retire(keeper, slot, why);
    slot->reason = why->reason;
    (void)lease__order(slot->lease_fd, EBB_ORDER_EXIT);
    FAULT(ORDERED);
    worker__step(slot, SLOT_ASKED_OUT, now_ns);
    if (!try_fence(keeper, slot, now_ns)) {
      record_reason(keeper, slot, AUDIT_DUE);
      FAULT(DUE);
      tell__turn(keeper, slot);
    }
    return true;
  case EBB_SLOT_DUE:
    (void)try_fence(keeper, slot, now_ns);
    return true;
  case EBB_SLOT_RETIRING:
  case EBB_SLOT_LEAVING:
    return true;
  default:
    return false;
  }
}

/* The wish that made it due has been taken back. */
static void keep(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  (void)lease__order(slot->lease_fd, EBB_ORDER_RUN);
  FAULT(KEPT);
  worker__step(slot, slot->leased || worker__serves_at_once(slot) ? SLOT_KEPT : SLOT_LATE, now_ns);
  slot->reason = REASON_NONE;
  struct audit_worker worker = worker__name(slot);
  audit__write(&keeper->audit,
               &(struct audit_record){.event = AUDIT_RESUME, .worker = &worker, .text = "no longer due"});
}

/* What the pool is to be like, as opposed to what somebody asked of this worker. */
static bool is_wish(enum reason reason) {
  return reason == REASON_ROLL || (reason >= REASON_SCALE && reason <= REASON_RELOAD);
}

/* What a wish asked for, and nobody asks for any more. */
static bool taken_back(const struct keeper *keeper, const struct slot *slot) {
  return slot->reason == REASON_ROLL    ? !roll__stale(slot)
         : slot->reason == REASON_SCALE ? spare__is_needed(keeper, slot)
                                        : is_wish(slot->reason);
}

/* Wishes are looked at, not remembered: whatever came and went, a worker is asked out just while it is not wanted. */
static void follow_wishes(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  enum reason unwanted = worker__unwanted(keeper, slot);
  bool stays = slot->state >= EBB_SLOT_STARTING && slot->state <= EBB_SLOT_SERVING;
  if (stays && unwanted != REASON_NONE)
    (void)worker__let_go(keeper, slot, unwanted, now_ns);
  else if (slot->state == EBB_SLOT_DUE && unwanted == REASON_NONE && taken_back(keeper, slot) && !slot->told_once)
    keep(keeper, slot, now_ns);
}

static void kill_group(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  slot->kill_ns = now_ns + slot->pool->config.grace_ns + NS_PER_SEC;
  if (tell(slot, SIGKILL))
    return;
  struct audit_worker worker = worker__name(slot);
  audit__write(&keeper->audit,
               &(struct audit_record){
                   .event = AUDIT_SIGNALLED, .worker = &worker, .signal = SIGKILL, .text = "still there after grace"});
}

/* A worker that does not come to its lease cannot be retired: whoever asked for it is told so. What the pool is to be like
 * stays true of it, should it come after all. */
static bool never_comes(const struct slot *slot, uint64_t now_ns) {
  return !slot->leased && !tell__is_for(slot) && !is_wish(slot->reason) &&
         now_ns - slot->born_ns >= slot->pool->config.ready_timeout_ns;
}

static bool has_process(const struct slot *slot) {
  return worker__present(slot) && slot->state != EBB_SLOT_LEAVING;
}

static bool is_complete(const struct slot *slot) {
  return slot->start_time && slot->followed;
}

void worker__complete(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  struct procstat status;
  slot->complete_ns = now_ns + COMPLETE_RETRY_NS;
  /* Read first, then asked for: it was alive, so it was no other. */
  if (!slot->start_time && !procstat__read(slot->pid, &status) && !pidfd__signal(slot->pidfd, 0))
    slot->start_time = status.start_time;
  if (slot->followed)
    return;
  int error = FAULT_FAILS(NO_EVENT) ? -errno : exits__follow(keeper, slot->pidfd, slot->index);
  slot->followed = !error;
  if (error)
    log__error("%s/%u: cannot watch for the end of pid %d: %s", slot->pool->config.name, slot->number, slot->pid,
               strerror(-error));
}

bool worker__turn(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  enum ebb_slot_state before = slot->state;
  if (has_process(slot) && !is_complete(slot) && now_ns >= slot->complete_ns)
    worker__complete(keeper, slot, now_ns);
  follow_wishes(keeper, slot, now_ns);
  switch (slot->state) {
  case EBB_SLOT_EMPTY:
  case EBB_SLOT_BACKOFF:
    fill__turn(keeper, slot, now_ns);
    break;
  case EBB_SLOT_STARTING:
  case EBB_SLOT_UNLEASED:
    if (slot->awaited && slot->ours && slot->holds)
      keep_at_gate(slot, now_ns);
    else if (slot->awaited)
      worker__let_in(keeper, slot, now_ns);
    else if (slot->state == EBB_SLOT_STARTING && now_ns - slot->born_ns >= slot->pool->config.ready_timeout_ns)
      give_up_waiting(keeper, slot, now_ns);
    break;
  case EBB_SLOT_SERVING:
    if (slot->awaited)
      worker__let_in(keeper, slot, now_ns);
    trim__turn(slot, now_ns);
    break;
  case EBB_SLOT_DUE:
    tell__turn(keeper, slot);
    if (slot->awaited || now_ns >= slot->try_ns)
      (void)try_fence(keeper, slot, now_ns);
    if (slot->state == EBB_SLOT_DUE && never_comes(slot, now_ns)) {
      keep(keeper, slot, now_ns);
      if (slot->state == EBB_SLOT_UNLEASED)
        note_unleased(keeper, slot);
    }
    break;
  case EBB_SLOT_RETIRING:
    if (now_ns >= slot->kill_ns)
      kill_group(keeper, slot, now_ns);
    break;
  case EBB_SLOT_LEAVING:
    if (now_ns >= slot->try_ns)
      worker__leave(keeper, slot, now_ns);
    break;
  default:
    break;
  }
  return slot->state != before;
}

static uint64_t state_deadline(const struct keeper *keeper, const struct slot *slot) {
  switch (slot->state) {
  case EBB_SLOT_EMPTY:
  case EBB_SLOT_BACKOFF:
    return fill__deadline(keeper, slot);
  case EBB_SLOT_STARTING:
    return slot->born_ns + slot->pool->config.ready_timeout_ns;
  case EBB_SLOT_SERVING:
    return trim__deadline(slot);
  case EBB_SLOT_DUE:
    return slot->leased                                  ? slot->try_ns
           : is_wish(slot->reason) || tell__is_for(slot) ? UINT64_MAX
                                                         : slot->born_ns + slot->pool->config.ready_timeout_ns;
  case EBB_SLOT_RETIRING:
    return slot->kill_ns;
  case EBB_SLOT_LEAVING:
    return slot->try_ns;
  default:
    return UINT64_MAX;
  }
}

uint64_t worker__deadline(const struct keeper *keeper, const struct slot *slot) {
  uint64_t deadline_ns = state_deadline(keeper, slot);
  bool sooner = has_process(slot) && !is_complete(slot) && slot->complete_ns < deadline_ns;
  return sooner ? slot->complete_ns : deadline_ns;
}

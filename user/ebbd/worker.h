/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A slot's life. The only code that steps a slot's state, holds its lease, or sends a signal; the rules it keeps:
 *   - a signal goes only to a worker whose lease we hold and which has been seen to use it (RETIRING), or to what such a
 *     worker left behind (LEAVING); or once to one that finishes its job then (tell.h);
 *   - a number is never used as a pid after its process may have been reaped: signals go through the pidfd, and our
 *     children stay zombies until nothing of the worker is left.
 */
#ifndef EBBD_WORKER_H
#define EBBD_WORKER_H

#include "keeper.h"

/* Do what the slot's state and the wishes for it ask for now. true when the state changed. */
bool worker__turn(struct keeper *keeper, struct slot *slot, uint64_t now_ns);
/* When that may be different, without any event; UINT64_MAX: never. */
uint64_t worker__deadline(const struct keeper *keeper, const struct slot *slot);

/* Why a worker is wanted out, as the audit tells it. */
struct retirement {
  enum reason reason;
  const char *id, *by;               /* NULL: none; ebbd itself */
  const struct audit_memory *memory; /* NULL: not judged by figures */
};

/* Somebody wants the worker out: order X, and fence it at once if it is between jobs. Also for one that is due already
 * (tries again). false: there is no worker to ask. That it was asked for is recorded, unless it is marked (succession.h) for
 * the same reason. */
bool worker__ask_out(struct keeper *keeper, struct slot *slot, const struct retirement *why, uint64_t now_ns);
/* The same, by ebbd's own reason. */
static inline bool worker__let_go(struct keeper *keeper, struct slot *slot, enum reason reason, uint64_t now_ns) {
  return worker__ask_out(keeper, slot, &(struct retirement){.reason = reason, .by = "ebbd"}, now_ns);
}
/* It was asked for: what ask_out records when it is not done at once. */
void worker__record_retire(struct keeper *keeper, const struct slot *slot, const struct retirement *why);
/* A spare, or one that was taken over at its lease, may work. It is on the board before it can. */
void worker__let_in(struct keeper *keeper, struct slot *slot, uint64_t now_ns);
/* It serves, and its lease is free just now. */
bool worker__between_jobs(const struct slot *slot);
/* For records. */
struct audit_worker worker__name(const struct slot *slot);
#define LEASE_NAME_BYTES (EBB_NAME_BYTES + 24)
void worker__lease_name(const struct slot *slot, char *to);
/* As its EBB_LEASE has it. */
#define LEASE_PATH_BYTES (PATH_MAX + sizeof("/lease/") + LEASE_NAME_BYTES)
void worker__lease_path(const struct slot *slot, char *to);
static inline bool worker__present(const struct slot *slot) {
  return slot->state != EBB_SLOT_EMPTY && slot->state != EBB_SLOT_BACKOFF;
}
/* It serves from its start, whether it ever comes to its lease or not. */
static inline bool worker__serves_at_once(const struct slot *slot) {
  return slot->idle == EBB_IDLE_SIGNAL || slot->pool->config.rules.mode == EBB_MODE_ONESHOT;
}
/* It serves, and nothing proves it to be between jobs, as far as is known: it is never signalled. */
static inline bool worker__unproven(const struct slot *slot) {
  return slot->state == EBB_SLOT_UNLEASED ||
         (slot->state == EBB_SLOT_SERVING && !slot->leased && slot->idle == EBB_IDLE_LEASE);
}
static inline bool worker__can_go(const struct slot *slot) {
  return slot->state == EBB_SLOT_SERVING && !worker__unproven(slot);
}
/* Why no process is wanted here; REASON_NONE: one is. */
enum reason worker__unwanted(const struct keeper *keeper, const struct slot *slot);
static inline bool worker__wanted(const struct keeper *keeper, const struct slot *slot) {
  return worker__unwanted(keeper, slot) == REASON_NONE;
}
/* Step the table and note the time; asserts that the event is one for this state. */
void worker__step(struct slot *slot, enum slot_event event, uint64_t now_ns);

/* start.c: put a worker into an empty slot. On failure the slot backs off. */
void worker__start(struct keeper *keeper, struct slot *slot, uint64_t now_ns);
/* start.c: the slot has to wait before the next start. */
void worker__back_off(struct keeper *keeper, struct slot *slot, enum slot_event event, const char *text,
                      uint64_t now_ns);
/* start.c: look for the pool's user again, if it was missing. 0 or negative errno. */
int worker__find_user(struct pool *pool);
/* Learn what has to be known of the process, as far as it is not; again after a while, where the system could not say. */
void worker__complete(struct keeper *keeper, struct slot *slot, uint64_t now_ns);
/* leave.c: slot->pidfd's process has ended. */
void worker__exited(struct keeper *keeper, struct slot *slot);
/* leave.c: the leader has ended: see that nothing of the worker is left, then free the slot. */
void worker__leave(struct keeper *keeper, struct slot *slot, uint64_t now_ns);

#endif

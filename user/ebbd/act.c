/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "act.h"

#include <string.h>

#include "adopt.h"
#include "fault.h"
#include "fill.h"
#include "hold.h"
#include "log.h"
#include "override.h"
#include "pending.h"
#include "publish.h"
#include "reload.h"
#include "roster.h"
#include "stop.h"
#include "succession.h"
#include "text.h"
#include "trim.h"
#include "worker.h"

/* The watch saw the job of a due worker end. It wishes for nothing of its own. */
static bool is_nudge(const struct command *command) {
  return command->verb == COMMAND_RETIRE && !strcmp(command->by, "watch") &&
         !strcmp(command->reason, reason__name(REASON_SCALE));
}

struct call {
  struct keeper *keeper;
  const struct command *command;
  struct pool *pool; /* NULL: all, or the verb has no aim */
  struct slot *slot; /* NULL: none named */
  uint64_t now_ns;
};

static const char too_many[] = "too-many-pending";

/* There has to be a place to remember what the outcome depends on. */
static bool no_place(const struct call *call) {
  return call->command->id[0] && !pending__new(call->keeper);
}

/*
 * Say yes, once what is wished for is set and a place was found free. Both are put on the board before that: what was
 * accepted outlives us.
 */
static void accept(const struct call *call, enum pending_kind kind) {
  const struct command *command = call->command;
  if (command->id[0]) {
    struct pending *pending = pending__new(call->keeper);
    *pending = (struct pending){
        .kind = kind,
        .verb = command->verb,
        .pool = call->pool ? call->pool->index : EBB_POOLS_MAX,
        .slot = call->slot ? call->slot->index : EBB_SLOTS_MAX,
        .generation = call->slot ? call->slot->generation : 0,
    };
    (void)text__copy(pending->id, sizeof(pending->id), command->id);
  }
  publish__all(call->keeper);
  FAULT(WISHED);
  if (command->id[0] || !command->by[0])
    audit__write(&call->keeper->audit, &(struct audit_record){.event = AUDIT_ACCEPTED,
                                                              .id = command->id,
                                                              .by = command->by,
                                                              .text = command__verb_name(command->verb)});
  FAULT(ACCEPTED);
}

static bool retirement_held(const struct call *call) {
  return call->now_ns < call->pool->hold_retire_ns;
}

/* The watch's choice for an unnamed request says so by its reason; there must be such a request. */
static bool answers_request(const struct call *call) {
  return !strcmp(call->command->by, "watch") && !strcmp(call->command->reason, reason__name(REASON_REQUEST));
}

/* The watch says it again and again. For a roll it has said nothing yet. */
static bool is_marked_already(const struct call *call) {
  const struct slot *slot = call->slot;
  return slot->first && slot->state == EBB_SLOT_SERVING && slot->reason != REASON_ROLL &&
         !strcmp(call->command->by, "watch") && call->command->refill == COMMAND_REFILL_FIRST &&
         !call->command->id[0] && !answers_request(call);
}

static const char *retire_slot(const struct call *call) {
  struct slot *slot = call->slot;
  if (!worker__present(slot))
    return "no-worker";
  if (call->command->generation && call->command->generation != slot->generation)
    return "other-generation";
  if (is_nudge(call->command)) {
    if (slot->state == EBB_SLOT_DUE)
      (void)worker__ask_out(call->keeper, slot, &(struct retirement){.reason = slot->reason}, call->now_ns);
    return NULL;
  }
  if (is_marked_already(call))
    return NULL;
  if (worker__unproven(slot))
    return reason__name(REASON_UNLEASED); /* nothing will ever prove it idle */
  if (no_place(call))
    return too_many;
  bool first = call->command->refill == COMMAND_REFILL_FIRST;
  if (answers_request(call)) {
    if (!call->pool->requests)
      return "no-request";
    first |= pending__take_request(call->pool);
    pending__chosen(call->keeper, slot);
  } else if (retirement_held(call)) {
    return "hold";
  }
  const struct command *command = call->command;
  enum reason reason = reason__find(command->reason);
  if (command->refill == COMMAND_REFILL_NO)
    slot->closed = PLACE_EMPTIED;
  /* So that the next ebbd knows, should this be our last deed. A roll can be taken back: who asks now means this worker. */
  if (slot->reason == (slot->state == EBB_SLOT_DUE ? REASON_ROLL : REASON_NONE))
    slot->reason = reason;
  first = first && succession__mark(call->keeper, slot, reason, call->now_ns);
  accept(call, PENDING_RETIRE);
  const struct audit_memory memory = {command->footprint_bytes, command->limit_bytes, command->private_bytes,
                                      EBB_UNKNOWN};
  const struct retirement why = {.reason = reason, .id = command->id, .by = command->by, .memory = &memory};
  if (first)
    worker__record_retire(call->keeper, slot, &why); /* the turn that follows lets it go, when its successor is ready */
  else
    (void)worker__ask_out(call->keeper, slot, &why, call->now_ns);
  return NULL;
}

/* Which one is a question of memory, so the watch chooses. */
static const char *retire_any(const struct call *call) {
  bool any = false;
  for_each_slot_of(slot, call->keeper, call->pool) any |= worker__can_go(slot);
  if (!any)
    return "no-worker";
  if (call->command->refill == COMMAND_REFILL_NO)
    return "bad-option"; /* which slot should stay empty is not known yet */
  if (retirement_held(call))
    return "hold";
  if (no_place(call))
    return too_many;
  call->pool->requests++;
  call->pool->requests_first += call->command->refill == COMMAND_REFILL_FIRST;
  call->pool->requested_ns = call->now_ns;
  accept(call, PENDING_CHOICE);
  return NULL;
}

static const char *do_retire(const struct call *call) {
  return call->slot ? retire_slot(call) : retire_any(call);
}

/* What `scale` has taken away comes back too, as far as the file has it. Any other surplus place stays as it is: the pool
 * has a worker elsewhere for it. */
static void open_place(struct slot *slot) {
  struct pool *pool = slot->pool;
  slot->failures = 0;
  slot->retry_ns = 0;
  slot->summoned_ns = 0;
  if (slot->closed == PLACE_SURPLUS && pool->size >= pool->config.size)
    return;
  pool->size += slot->closed == PLACE_SURPLUS;
  slot->closed = PLACE_OPEN;
}

static const char *admit(const struct call *call) {
  if (no_place(call))
    return too_many;
  const char *refusal = fill__admit(call->slot);
  if (!refusal)
    accept(call, PENDING_NOW);
  return refusal;
}

static const char *do_refill(const struct call *call) {
  if (fill__is_admission(call->slot, call->command))
    return admit(call);
  if (call->pool->drained && call->slot)
    return "drained"; /* a pool is drained as a whole, and comes back as a whole */
  if (no_place(call))
    return too_many;
  call->pool->drained = false;
  for_each_slot_of(slot, call->keeper, call->pool) if (!call->slot || slot == call->slot) open_place(slot);
  accept(call, PENDING_FULL);
  return NULL;
}

static const char *do_scale(const struct call *call) {
  const struct command *command = call->command;
  int64_t size = command->scale_sign ? (int64_t)call->pool->size + command->scale_sign * (int64_t)command->scale_n
                                     : (int64_t)command->scale_n;
  if (size < 0)
    return "bad-value";
  if (!roster__has_room(call->keeper, call->pool, (uint64_t)size))
    return "no-room";
  if (no_place(call))
    return too_many;
  (void)roster__resize(call->keeper, call->pool, (uint32_t)size, call->now_ns);
  accept(call, PENDING_FULL);
  return NULL;
}

#define for_each_aim(aim, call) for_each_pool(aim, (call)->keeper) if (!(call)->pool || aim == (call)->pool)

static const char *do_drain(const struct call *call) {
  if (no_place(call))
    return too_many;
  for_each_aim(pool, call) pool->drained = true; /* the turn that follows lets the workers go */
  accept(call, PENDING_EMPTY);
  return NULL;
}

static void record_pool(const struct call *call, const struct pool *pool, enum audit_event event, const char *text) {
  const struct audit_worker worker = {.pool = pool->config.name, .slot = -1};
  audit__write(&call->keeper->audit,
               &(struct audit_record){
                   .event = event, .id = call->command->id, .worker = &worker, .by = call->command->by, .text = text});
}

static const char *do_resume(const struct call *call) {
  if (no_place(call))
    return too_many;
  for_each_aim(pool, call) {
    pool->drained = false;
    hold__lift(pool);
  }
  accept(call, PENDING_FULL);
  for_each_aim(pool, call) record_pool(call, pool, AUDIT_RESUME, NULL);
  return NULL;
}

static const char *do_hold(const struct call *call) {
  static const char *const texts[] = {NULL, "retire", "refill", "all"};
  bool begins[EBB_POOLS_MAX] = {false};
  if (no_place(call))
    return too_many;
  for_each_aim(pool, call) begins[pool->index] = hold__set(pool, call->command, call->now_ns);
  accept(call, PENDING_NOW);
  for_each_aim(pool, call) if (begins[pool->index]) record_pool(call, pool, AUDIT_HOLD, texts[call->command->what]);
  return NULL;
}

static const char *do_limit(const struct call *call) {
  if (no_place(call))
    return too_many;
  override__set(call->pool, call->command);
  accept(call, PENDING_NOW);
  override__record(call->keeper, call->pool, call->command);
  return NULL;
}

static const char *do_trim(const struct call *call) {
  const struct command *command = call->command;
  if (command->generation && command->generation != call->slot->generation)
    return worker__present(call->slot) ? "other-generation" : "no-worker";
  if (no_place(call))
    return too_many;
  const char *refusal = trim__order(call->slot, call->now_ns);
  if (refusal)
    return refusal;
  accept(call, PENDING_NOW);
  trim__record(call->keeper, call->slot, command);
  return NULL;
}

static const char *do_adopt(const struct call *call) {
  struct slot *slot = NULL;
  if (no_place(call))
    return too_many;
  const char *refusal = adopt__take(call->keeper, call->pool, call->command->pid, call->now_ns, &slot);
  if (refusal)
    return refusal;
  accept(call, PENDING_NOW);
  adopt__record(call->keeper, slot, call->command);
  return NULL;
}

static const char *do_note(const struct call *call) {
  const struct command *command = call->command;
  const struct audit_memory memory = {command->footprint_bytes, command->limit_bytes, command->private_bytes,
                                      command->freed_bytes};
  if (no_place(call))
    return too_many;
  if (command->id[0])
    accept(call, PENDING_NOW);
  const struct audit_worker worker = {
      .pool = command->pool,
      .slot = command->slot,
      .generation = command->generation ? command->generation
                    : call->slot        ? call->slot->generation
                                        : 0,
  };
  audit__write(&call->keeper->audit, &(struct audit_record){.event = audit__find(command->event),
                                                            .id = command->id,
                                                            .worker = command->pool[0] ? &worker : NULL,
                                                            .reason = command->reason,
                                                            .by = command->by,
                                                            .memory = &memory,
                                                            .text = command->text});
  return NULL;
}

static const char *do_roll(const struct call *call) {
  if (call->pool->config.rules.mode == EBB_MODE_ADOPT)
    return "not-supported"; /* it is not ours to start them */
  if (no_place(call))
    return too_many;
  call->pool->rolled_ns = call->now_ns;
  call->pool->batch = call->command->batch;
  accept(call, PENDING_ROLLED);
  return NULL;
}

static const char *do_reload(const struct call *call) {
  struct config_error error;
  if (no_place(call))
    return too_many;
  if (reload__read(call->keeper, &error)) {
    log__error("reload: %s: the old configuration stays", error.text);
    audit__write(&call->keeper->audit, &(struct audit_record){.event = AUDIT_WARNING,
                                                              .id = call->command->id,
                                                              .reason = "bad-configuration",
                                                              .text = error.text});
    return "bad-configuration";
  }
  reload__apply(call->keeper, call->now_ns);
  FAULT(RELOADED);
  accept(call, PENDING_NOW);
  return NULL;
}

static const char *do_stop(const struct call *call) {
  /* Who waits for the workers to finish has to know that somebody else did not; and this one is not superseded. */
  if (no_place(call))
    return too_many;
  stop__ask(call->keeper, call->now_ns);
  accept(call, PENDING_STOP);
  return NULL;
}

typedef const char *act(const struct call *call);

static act *const acts[COMMAND_N] = {
    [COMMAND_RETIRE] = do_retire, [COMMAND_REFILL] = do_refill, [COMMAND_SCALE] = do_scale,
    [COMMAND_DRAIN] = do_drain,   [COMMAND_RESUME] = do_resume, [COMMAND_HOLD] = do_hold,
    [COMMAND_ROLL] = do_roll,     [COMMAND_LIMIT] = do_limit,   [COMMAND_ADOPT] = do_adopt,
    [COMMAND_TRIM] = do_trim,     [COMMAND_NOTE] = do_note,     [COMMAND_RELOAD] = do_reload,
    [COMMAND_STOP] = do_stop,
};

/* While stopping, only what helps it is still taken, and remarks. */
static bool too_late(const struct keeper *keeper, const struct command *command) {
  return keeper->stop != STOP_NO && command->verb != COMMAND_NOTE && command->verb != COMMAND_STOP &&
         !is_nudge(command);
}

const char *act__do(struct keeper *keeper, const struct command *command, uint64_t now_ns) {
  struct call call = {.keeper = keeper, .command = command, .now_ns = now_ns};
  bool remark = command->verb == COMMAND_NOTE; /* may come after its worker has gone */
  if (too_late(keeper, command))
    return "stopping";
  if (command->pool[0] && !(call.pool = roster__pool(keeper, command->pool)) && !remark)
    return "no-such-pool";
  if (call.pool && command->slot >= 0 && !(call.slot = roster__slot(keeper, call.pool, (uint32_t)command->slot)) &&
      !remark)
    return "no-such-slot";
  const char *refusal = acts[command->verb](&call);
  pending__now(keeper);
  return refusal;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "fill.h"

#include <string.h>

#include "hold.h"
#include "summon.h"
#include "worker.h"

static bool is_piecework(const struct slot *slot) {
  return slot->pool->config.rules.mode == EBB_MODE_ONESHOT;
}

static bool adopts(const struct slot *slot) {
  return slot->pool->config.rules.mode == EBB_MODE_ADOPT;
}

static uint64_t later(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

/* A piece that nobody has let pass is started then; 0: at once. */
static uint64_t patience_ns(const struct keeper *keeper, const struct slot *slot) {
  uint64_t choice_ns = keeper->watchdog.pid ? slot->waits_ns + CHOICE_TIMEOUT_NS : 0;
  return later(choice_ns, slot->pool->hold_watch_ns);
}

static void start(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  slot->waits_ns = 0;
  slot->admitted = false;
  worker__start(keeper, slot, now_ns);
}

static void piece_turn(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  if (!slot->waits_ns) {
    slot->waits_ns = now_ns;
    if (slot->state == EBB_SLOT_BACKOFF)
      worker__step(slot, SLOT_RESTED, now_ns);
  }
  if (slot->admitted || now_ns >= patience_ns(keeper, slot))
    start(keeper, slot, now_ns);
}

/* Who was asked for may come meanwhile, is sent away, and does not come again. */
static void wait_no_more(struct slot *slot) {
  slot->waits_ns = slot->summoned_ns = 0;
  slot->admitted = false;
}

void fill__turn(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  if (slot->state == EBB_SLOT_EMPTY && slot->first)
    return; /* whether it is a place still, is seen after the slots' turn (succession.h) */
  bool wanted = worker__wanted(keeper, slot), rests = slot->state == EBB_SLOT_BACKOFF;
  if (!wanted && rests)
    worker__step(slot, SLOT_ASKED_OUT, now_ns);
  if (!wanted || (rests && now_ns < slot->retry_ns) || now_ns < slot->pool->hold_refill_ns)
    wait_no_more(slot);
  else if (is_piecework(slot))
    piece_turn(keeper, slot, now_ns);
  else if (now_ns < slot->pool->hold_watch_ns)
    return;
  else if (adopts(slot))
    summon__turn(keeper, slot, now_ns);
  else
    start(keeper, slot, now_ns);
}

uint64_t fill__deadline(const struct keeper *keeper, const struct slot *slot) {
  uint64_t held_ns = hold__refill_until_ns(slot->pool);
  if (!worker__wanted(keeper, slot))
    return UINT64_MAX;
  if (slot->waits_ns)
    return patience_ns(keeper, slot);
  if (slot->state == EBB_SLOT_BACKOFF)
    return later(slot->retry_ns, held_ns);
  return held_ns ? held_ns : adopts(slot) ? summon__deadline(slot) : UINT64_MAX;
}

bool fill__is_admission(const struct slot *slot, const struct command *command) {
  return slot && is_piecework(slot) && !strcmp(command->by, "watch");
}

const char *fill__admit(struct slot *slot) {
  if (!slot->waits_ns)
    return "not-waiting";
  slot->admitted = true;
  return NULL;
}

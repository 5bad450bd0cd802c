/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "slot.h"

#define BACKOFF_FIRST_NS (1ULL * 1000000000ULL)
#define BACKOFF_MOST_NS (60ULL * 1000000000ULL)

/* 0 says "not an event for this state", so states are stored plus one. */
#define TO(state) (EBB_SLOT_##state + 1)

static const unsigned char next[EBB_SLOT_N][SLOT_EVENT_N] = {
    [EBB_SLOT_EMPTY] =
        {
            [SLOT_SPAWNED] = TO(STARTING),
            [SLOT_SPAWN_FAILED] = TO(BACKOFF),
            [SLOT_DIED_YOUNG] = TO(BACKOFF),
        },
    [EBB_SLOT_BACKOFF] =
        {
            [SLOT_SPAWNED] = TO(STARTING),
            [SLOT_SPAWN_FAILED] = TO(BACKOFF),
            [SLOT_ASKED_OUT] = TO(EMPTY),
            [SLOT_RESTED] = TO(EMPTY),
        },
    [EBB_SLOT_STARTING] =
        {
            [SLOT_LEASED] = TO(SERVING),
            [SLOT_SPARED] = TO(SPARE),
            [SLOT_UP] = TO(SERVING),
            [SLOT_LATE] = TO(UNLEASED),
            [SLOT_ASKED_OUT] = TO(DUE),
            [SLOT_LEADER_EXITED] = TO(LEAVING),
        },
    [EBB_SLOT_UNLEASED] =
        {
            [SLOT_LEASED] = TO(SERVING),
            [SLOT_SPARED] = TO(SPARE), /* late, but it has come */
            [SLOT_ASKED_OUT] = TO(DUE),
            [SLOT_LEADER_EXITED] = TO(LEAVING),
        },
    [EBB_SLOT_SPARE] =
        {
            [SLOT_LEASED] = TO(SERVING),
            [SLOT_ASKED_OUT] = TO(DUE),
            [SLOT_LEADER_EXITED] = TO(LEAVING),
        },
    [EBB_SLOT_SERVING] =
        {
            [SLOT_LEASED] = TO(SERVING), /* it served before it came to its lease */
            [SLOT_ASKED_OUT] = TO(DUE),
            [SLOT_LEADER_EXITED] = TO(LEAVING),
        },
    [EBB_SLOT_DUE] =
        {
            [SLOT_FENCED] = TO(RETIRING),
            [SLOT_KEPT] = TO(SERVING),
            [SLOT_LATE] = TO(UNLEASED), /* kept, but it has never come to its lease */
            [SLOT_LEADER_EXITED] = TO(LEAVING),
        },
    [EBB_SLOT_RETIRING] =
        {
            [SLOT_LEADER_EXITED] = TO(LEAVING),
        },
    [EBB_SLOT_LEAVING] =
        {
            [SLOT_GONE] = TO(EMPTY),
        },
};

bool slot__step(enum ebb_slot_state *state, enum slot_event event) {
  if ((unsigned)*state >= EBB_SLOT_N || (unsigned)event >= SLOT_EVENT_N)
    return false;
  unsigned char to = next[*state][event];
  if (!to)
    return false;
  *state = (enum ebb_slot_state)(to - 1);
  return true;
}

const char *slot__state_name(enum ebb_slot_state state) {
  static const char *const names[] = {
#define X(id, name) name,
      EBB_SLOT_STATES(X)
#undef X
  };
  return (unsigned)state < EBB_SLOT_N ? names[state] : "unknown";
}

const char *slot__event_name(enum slot_event event) {
  static const char *const names[] = {
#define X(id, name) name,
      SLOT_EVENTS(X)
#undef X
  };
  return (unsigned)event < SLOT_EVENT_N ? names[event] : "unknown";
}

uint64_t slot__backoff_ns(uint32_t failures) {
  if (failures == 0)
    return 0;
  if (failures > 6)
    return BACKOFF_MOST_NS;
  uint64_t wait_ns = BACKOFF_FIRST_NS << (failures - 1);
  return wait_ns < BACKOFF_MOST_NS ? wait_ns : BACKOFF_MOST_NS;
}

bool slot__died_young(const struct slot_end *end) {
  if (end->retired)
    return false;
  if (end->piece)
    return !end->recycled_code;
  if (!end->was_serving)
    return true;
  return !end->recycled_code && end->lived_ns < end->ready_timeout_ns;
}

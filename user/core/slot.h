/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The life of a slot as a table [state][event]; states are those of ebb/facts.h. Pure: the caller does what the
 * transition means and feeds back what came of it. An event that a state does not expect leaves it as it is and
 * returns false: the caller then does nothing.
 */
#ifndef CORE_SLOT_H
#define CORE_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "ebb/facts.h"

#define SLOT_EVENTS(X)                                                                                                 \
  X(SPAWNED, "spawned")             /* a process was started */                                                        \
  X(SPAWN_FAILED, "spawn-failed")   /* it could not be */                                                              \
  X(LEASED, "leased")               /* it was seen waiting for its lease: it uses it */                                \
  X(SPARED, "spared")               /* likewise, but nobody is needed: it is kept waiting */                           \
  X(UP, "up")                       /* one that serves from its start: it runs */                                      \
  X(LATE, "late")                   /* ready_timeout passed without that */                                            \
  X(ASKED_OUT, "asked-out")         /* order X was written */                                                          \
  X(KEPT, "kept")                   /* order R was written back */                                                     \
  X(FENCED, "fenced")               /* ebbd holds the lease of a worker that uses it: between jobs, can start none */  \
  X(LEADER_EXITED, "leader-exited") /* the slot's process ended; others of the worker may be left */                   \
  X(GONE, "gone")                   /* no process of the worker is left */                                             \
  X(RESTED, "rested")               /* the pause is over, and the next start is for somebody else to say */            \
  X(DIED_YOUNG, "died-young")       /* after gone: start again only after a while */

enum slot_event {
#define X(id, name) SLOT_##id,
  SLOT_EVENTS(X)
#undef X
      SLOT_EVENT_N
};

/*
 * A slot's place among those that its pool has. A pool has as many as its size, its spares and the successors that are
 * wanted ahead of their time make up together; which numbers these are may change.
 */
enum slot_place {
  PLACE_OPEN,    /* to be filled */
  PLACE_EMPTIED, /* kept empty: somebody wants it so (refill=no) */
  PLACE_SURPLUS, /* kept empty: the pool has all its places elsewhere */
};

/* true when the event is one for this state; *state then holds the next one (which may be the same). */
bool slot__step(enum ebb_slot_state *state, enum slot_event event);

const char *slot__state_name(enum ebb_slot_state state);
const char *slot__event_name(enum slot_event event);

/* How long to wait before the next start after so many young deaths in a row: 1 s, 2 s, 4 s … 60 s. */
uint64_t slot__backoff_ns(uint32_t failures);

/* How a worker ended, for the question whether its slot has to back off. */
struct slot_end {
  bool retired;       /* we asked it to go */
  bool was_serving;   /* it had come to its lease (or ready_timeout had passed) */
  bool recycled_code; /* it exited with one of recycle_exit_codes */
  bool piece;         /* it had one piece of work to do: any other end is a failure, at any age */
  uint64_t lived_ns;
  uint64_t ready_timeout_ns;
};
bool slot__died_young(const struct slot_end *end);

#endif

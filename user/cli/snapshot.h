/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Board and trace at one moment, merged into plain structs: what every view shows. Nothing in the files is trusted;
 * what is not known, or is another worker's, is EBB_UNKNOWN.
 */
#ifndef CLI_SNAPSHOT_H
#define CLI_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "board.h"
#include "ebb/facts.h"
#include "trace.h"

/* States as people and scripts see them: `serving` told apart by what the worker does. */
#define SNAPSHOT_STATES(X)                                                                                             \
  X(EMPTY, "empty")                                                                                                    \
  X(BACKOFF, "backoff")                                                                                                \
  X(STARTING, "starting")                                                                                              \
  X(UNLEASED, "unleased")                                                                                              \
  X(SPARE, "spare")                                                                                                    \
  X(READY, "ready") /* up, no job yet */                                                                               \
  X(IDLE, "idle")                                                                                                      \
  X(BUSY, "busy")                                                                                                      \
  X(DUE, "due")                                                                                                        \
  X(RETIRING, "retiring")

enum snapshot_state {
#define X(id, name) SNAPSHOT_##id,
  SNAPSHOT_STATES(X)
#undef X
      SNAPSHOT_STATES_N
};

struct snapshot_worker {
  struct board_slot slot;
  uint32_t index; /* of its record on the board and of its rings in the trace */
  enum snapshot_state state;
  uint64_t lasted_ns;            /* since it got into that state */
  uint64_t held_ns;              /* for so long it has not let go of its lease, or has not gone; or unknown: it has */
  bool stuck;                    /* longer than the pool's stuck_after */
  bool known;                    /* the facts are of this worker; else only who and what it is stands in them */
  struct ebb_worker_facts facts; /* with the board's state */
};

struct snapshot_pool {
  struct board_pool board; /* an empty name: no pool has this index */
  struct ebb_pool_facts facts;
  uint32_t warnings; /* TRACE_WARN_* */
  uint32_t ready;    /* workers that serve, or are counted as if they did */
  uint32_t busy, due, spares;
  uint32_t
      stale; /* workers that are to be replaced: the configuration would start them otherwise now, or somebody asked */
  bool hold, backoff;
  uint64_t jobs;            /* that its workers have done, as far as the trace goes back */
  uint64_t footprint_bytes; /* of its workers */
};

struct snapshot {
  uint64_t now_ns;
  bool alive;      /* ebbd runs */
  int32_t pid;     /* of ebbd; of the last one when it does not run */
  bool watched;    /* ebb-watch runs */
  bool traced;     /* there is a trace */
  uint64_t age_ns; /* of the host's facts */
  struct board_ebbd ebbd;
  struct ebb_host_facts host;
  uint32_t n_pools, n_workers;
  struct snapshot_pool pools[EBB_POOLS_MAX];
  struct snapshot_worker *workers; /* by pool and slot */
  struct seqfile trace;            /* for the rings */
};

/* 0, or a negative errno and the name of the file at fault; a trace that is not there is no error. Freed by close. */
int snapshot__open(struct snapshot *ret, int run_dirfd, uint64_t now_ns, const char **ret_file);
void snapshot__close(struct snapshot *snapshot);

const char *snapshot__state_name(enum snapshot_state state);
/* Of a sample's state (see trace.h). */
const char *snapshot__sample_state_name(uint32_t state);

/* NULL: there is none. */
const struct snapshot_worker *snapshot__find(const struct snapshot *snapshot, const char *pool, uint32_t slot);
const struct snapshot_pool *snapshot__pool(const struct snapshot *snapshot, const char *name);
/* Is it worth a line? Slots that the pool does without, once empty, are not. */
bool snapshot__shows(const struct snapshot *snapshot, const struct snapshot_worker *worker);
/* Its memory over the pool's baseline; or unknown. */
uint64_t snapshot__growth(const struct snapshot *snapshot, const struct snapshot_worker *worker);
/* One sentence for people on what is missing or old; "" when all is well. */
const char *snapshot__note(const struct snapshot *snapshot, char *to, size_t size);

#endif

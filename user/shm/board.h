/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The board: what ebbd says of itself, its pools and their slots; written by ebbd alone. It is what ebb-watch learns the
 * workers and rules from, what `ebb` shows, and what the next ebbd takes over.
 */
#ifndef SHM_BOARD_H
#define SHM_BOARD_H

#include "ebb/bounds.h"
#include "ebb/facts.h"
#include "ebb/rules.h"
#include "seqfile.h"

#define BOARD_NAME "board"

struct board_ebbd {
  __u32 seq;
  __u32 n_pools;      /* pools[0..n) are in use */
  __u32 n_slots;      /* slots[0..n) may be in use */
  __s32 watch_pid;    /* 0: not running */
  __u32 watch_starts; /* how often it was started */
  __u32 stopping;
  __u64 started_ns; /* CLOCK_MONOTONIC */
  __u64 wake_ups;   /* turns of ebbd's loop */
  struct ebb_host_rules rules;
  char pressure_source[256];
  char boot_id[40]; /* of the kernel's run in which it was written: in another one its pids and clocks mean nothing */
};

/* What a slot's worker is, whatever its pool is by now. */
#define BOARD_SLOT_SIGNALLED 1u /* it finishes its job when it is told to go (idle = signal) */
#define BOARD_SLOT_ADOPTED 2u   /* somebody else has started it */
#define BOARD_SLOT_SUMMONED 4u  /* empty: somebody was asked to start one */
#define BOARD_SLOT_FOUND 8u     /* never on a board: what it is, is not known */

#define BOARD_LIMITED_FOOTPRINT 1u
#define BOARD_LIMITED_RETAINED 2u

struct board_pool {
  __u32 seq;
  __u32 size;     /* slots wanted */
  __u32 requests; /* `retire <pool>` without a slot that wait for the watch's choice */
  __u32 drained;
  __u32 configured; /* the size that the file asked for when `size` was made of it */
  __u32 batch;      /* workers that a roll on command replaces at a time; 0: one */
  char name[EBB_NAME_BYTES];
  __u64 hold_retire_ns; /* CLOCK_MONOTONIC; 0: not held */
  __u64 hold_refill_ns; /* by an operator … */
  __u64 hold_watch_ns;  /* … and by the watch: the later one counts */
  __u64 retired;        /* since ebbd started */
  __u64 refilled;
  __u64 pieces;         /* oneshot: that were done, as far back as the board goes */
  __u64 recipe;         /* what its workers are started by now, as a number; 0: not known */
  __u64 rolled_ns;      /* workers that were born before are replaced, somebody asked for it; 0: none */
  __u32 limited;        /* rules that somebody's `limit` set, rather than the file: BOARD_LIMITED_* */
  __u32 requests_first; /* so many of `requests` want the successor first */
  __s32 retire_signal;
  __u32 reserved;
  struct ebb_pool_rules rules;
};

struct board_slot {
  __u32 seq;
  __u32 pool; /* index; EBB_POOLS_MAX: this record is unused */
  __u32 slot;
  __u32 generation;
  __s32 pid;
  __u32 state;       /* enum ebb_slot_state */
  __u64 start_time;  /* of the process, clock ticks since boot */
  __u64 born_ns;     /* CLOCK_MONOTONIC */
  __u64 since_ns;    /* when it got into this state */
  __u32 reason;      /* enum reason, of a due or retiring worker */
  __u32 failures;    /* young deaths in a row */
  __u32 closed;      /* enum slot_place: kept empty by refill=no, or as surplus */
  __u32 leased;      /* it has been seen to use its lease */
  __u64 fresh_bytes; /* its footprint when it first came to its lease; EBB_UNKNOWN */
  __u64 recipe;      /* that it was started by; 0: not known */
  __s32 spawned;     /* the process that is to become its worker, from before it runs until `pid` says so; else 0 */
  __u32 first;       /* it goes when its successor, in another slot, is ready */
  __u32 waits;       /* empty, and the watch is to say when the next piece fits (oneshot) */
  __u32 told;        /* it has been told to go, which is done once (idle = signal) */
  __u32 kind;        /* BOARD_SLOT_* */
  __u32 reserved;
  __u64 trimmed_ns; /* when it was last ordered to give memory back; 0: never */
};

/* A command that was accepted and is not answered yet; only ebbd reads it, after another ebbd. */
struct board_pending {
  __u32 seq;
  __u32 kind;       /* enum pending_kind; 0: this record is unused */
  __u32 verb;       /* enum command_verb */
  __u32 pool;       /* index; EBB_POOLS_MAX: all */
  __u32 slot;       /* index; EBB_SLOTS_MAX: all */
  __u32 generation; /* of a retirement: the one that has to be gone */
  char id[EBB_ID_BYTES];
};

struct board {
  struct seqfile_head head;
  struct board_ebbd ebbd;
  struct board_pool pools[EBB_POOLS_MAX];
  struct board_slot slots[EBB_SLOTS_MAX];
  struct board_pending pending[EBB_PENDING_MAX]; /* the oldest first */
};

/* Writer. Closed by seqfile__close. 0 or negative errno. */
int board__create(struct seqfile *file, int run_dirfd, gid_t gid, bool *ret_kept);
static inline struct board *board__of(const struct seqfile *file) {
  return (struct board *)(void *)file->head;
}

/* Reader: what was there at one moment, record by record; counts and indexes are checked. */
struct board_view {
  struct board_ebbd ebbd;
  __s32 ebbd_pid;
  bool alive;
  __u32 n_pools, n_slots;
  struct board_pool pools[EBB_POOLS_MAX];
  struct board_slot slots[EBB_SLOTS_MAX]; /* only those in use, in the order of the file */
  __u32 index[EBB_SLOTS_MAX];             /* slots[i] is record index[i] */
};
int board__open(struct seqfile *file, int run_dirfd);
/*
 * 0, -EAGAIN (a record kept changing, or ebbd died in the middle of it), or -EPROTO (it says what no ebbd says: counts,
 * indexes, states or pids out of bounds, names that do not belong into paths). *ret_view is untouched on failure; on
 * success only the entries in use are written. Not for several threads at once.
 */
int board__view(const struct seqfile *file, struct board_view *ret_view);

#endif

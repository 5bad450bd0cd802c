/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * ebbd's whole state: pools, slots, and the loop that keeps them.
 *
 * The loop is level-triggered: events only bring news (a line came, a process ended, a time passed), then one turn looks
 * at every slot and does what its state and the wishes for it ask for. So nothing is lost when two things happen at once,
 * and what is true of a slot after a crash of ebbd is the same as what is true after a turn.
 *
 * Who may change what: only worker.c, and those that it has parted with (start, leave, adopt, fill, summon), step a slot's
 * state; only act.c and reload.c change wishes (size, drained, holds, limits, due) and recipes; only roster.c opens and closes
 * places, but that act.c says which are wanted empty; only spare.c says who is let in; only succession.c marks a slot as one
 * that goes when its successor is ready; only publish.c writes the board.
 */
#ifndef EBBD_KEEPER_H
#define EBBD_KEEPER_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "audit.h"
#include "command.h"
#include "config.h"
#include "family.h"
#include "lease.h"
#include "options.h"
#include "reason.h"
#include "seqfile.h"
#include "slot.h"
#include "spawn.h"

/* How often the leases of young workers are looked at: often at first, then as often as 1/16 of their age. */
#define GATE_POLL_FIRST_NS (4ULL * 1000000ULL)
#define GATE_POLL_MOST_NS (1000ULL * 1000000ULL)
/* A due worker's lease is tried without anyone saying so: after an eighth of the time that it has been due, within these. */
#define FENCE_RETRY_FIRST_NS (20ULL * 1000000ULL)
#define FENCE_RETRY_NS (1000ULL * 1000000ULL)
/* The rest of a worker whose leader is gone is looked for this often, or as seldom where that takes long. */
#define LEAVING_POLL_NS (20ULL * 1000000ULL)
#define LEAVING_POLL_MOST_NS (1000ULL * 1000000ULL)
/* What the system could not say of a worker (no descriptor, no memory) is asked again so often. */
#define COMPLETE_RETRY_NS (1000ULL * 1000000ULL)
/* A choice that the watch does not make within this time is made by ebbd, without figures. */
#define CHOICE_TIMEOUT_NS (2000ULL * 1000000ULL)

struct keeper;

struct pool {
  struct config_pool config; /* an empty name: this place is free */
  uint32_t index;
  uint32_t size; /* slots wanted; begins as config.size, changed by `scale` */
  bool drained;
  bool removed;                            /* no longer in the configuration; freed when empty */
  uint64_t hold_retire_ns, hold_refill_ns; /* until then; 0: not held */
  uint64_t hold_watch_ns;                  /* starts, likewise, by the watch: see hold.h */
  uint32_t requests;                       /* unnamed retirements that nobody has been chosen for */
  uint32_t requests_first;                 /* so many of these want the successor first */
  uint64_t requested_ns;
  uint64_t retired, refilled, pieces;
  uint32_t limited; /* BOARD_LIMITED_*: these limits are in force in place of those of the file */
  uint64_t footprint_limit_bytes, retained_limit_bytes;
  uint64_t recipe;    /* of the configuration: what a worker is started by, as a number; never 0 */
  uint64_t rolled_ns; /* who was born before is to be replaced; 0: nobody for that */
  uint32_t batch;     /* so many at a time; 0: one */
  bool unleased_warned, pids_warned;
  struct identity identity;
  int identity_error; /* negative errno while the user is not to be found */
  char word_space[CONFIG_COMMAND_BYTES + 1];
  const char *argv[CONFIG_COMMAND_WORDS_MAX + 1];
  char environment_space[CONFIG_ENVIRONMENT_BYTES + 1];
  const char *environment[CONFIG_ENVIRONMENT_WORDS_MAX + 1];
};

/* A refill_command that runs; see summon.h. */
struct summon {
  pid_t pid; /* 0: none */
  int pidfd;
};

/* Of what a worker left behind, so many are waited for while they are on their way out. */
#define TOLD_MAX 8

struct slot {
  struct keeper *keeper; /* for callbacks */
  struct pool *pool;     /* NULL: this place is free */
  uint32_t index;        /* of its record on the board */
  uint32_t number;
  uint32_t generation;
  enum ebb_slot_state state;
  uint64_t since_ns;
  enum slot_place closed;
  bool first; /* it goes when its successor is ready: succession.h */
  /* The process. */
  pid_t pid; /* 0: none */
  int pidfd;
  bool ours; /* our child: we reap it, and its number cannot be reused before that */
  bool adopted;
  uint64_t start_time;
  uint64_t born_ns;
  uint64_t recipe;      /* that it was started by; 0: not known */
  uint32_t idle;        /* enum ebb_idle of its pool when it was started: it lives by that */
  bool followed;        /* its end will be told */
  uint64_t complete_ns; /* what is not known of it is asked again then */
  /* The lease. */
  int lease_fd;
  struct lease_key lease_key;
  bool leased;          /* the worker has been seen waiting for it */
  bool awaited;         /* … and is waiting now, as of the last look */
  bool holds;           /* we hold it */
  uint64_t fresh_bytes; /* its footprint when it stood at the gate; or unknown */
  uint64_t trimmed_ns;  /* when it was last ordered to give memory back; 0: never */
  uint64_t trim_end_ns; /* that order stands until then; 0: it does not stand */
  /* The way out. */
  enum reason reason;
  uint64_t try_ns;  /* next attempt to fence, or next look for what is left */
  uint64_t kill_ns; /* SIGKILL then; 0: not told to go yet */
  bool rest_told;   /* what was left behind has been told to go */
  struct family_member told[TOLD_MAX];
  int n_told;
  bool retired;
  bool told_once; /* once and for all: see tell.h */
  bool was_serving;
  struct audit_end end;
  /* The way in. */
  uint32_t failures;
  uint64_t retry_ns;
  uint64_t waits_ns;    /* since when the next piece waits to be let pass; 0: it does not */
  bool admitted;        /* it is */
  uint64_t summoned_ns; /* somebody was asked then to start one; 0: nobody was */
  bool summon_told;     /* that nobody came */
  bool summon_left;     /* by an ebbd of before */
  struct summon summon;
};

/* A command that waits for its outcome. What it waits for is asked of the slots anew each turn. */
enum pending_kind {
  PENDING_NONE,
  PENDING_RETIRE, /* this worker has gone, and its successor is up */
  PENDING_CHOICE, /* somebody has been chosen */
  PENDING_EMPTY,
  PENDING_FULL,
  PENDING_STOP,   /* ebbd has ended, and nobody was left */
  PENDING_NOW,    /* nothing: it is carried out, and only to be said so */
  PENDING_ROLLED, /* nobody stale is left, and their successors are up */
  PENDING_N
};

struct pending {
  enum pending_kind kind;
  char id[EBB_ID_BYTES];
  enum command_verb verb;
  uint32_t pool;       /* EBB_POOLS_MAX: all */
  uint32_t slot;       /* index; EBB_SLOTS_MAX: all */
  uint32_t generation; /* of PENDING_RETIRE: this one has to be gone */
};

struct watchdog {
  pid_t pid;
  int pidfd;
  int bell_fd; /* rung when the board has changed */
  uint32_t starts;
  uint32_t failures;
  uint64_t started_ns, retry_ns;
  char path[PATH_MAX];
};

enum stop_phase { STOP_NO, STOP_WAITING, STOP_DONE };

struct keeper {
  const struct options *options;
  struct config config;
  sd_event *event;
  sd_event_source *timer;
  int run_dirfd, lease_dirfd, lock_fd, control_fd;
  int exits_fd;            /* ends of processes, see exits.h */
  int cgroup_dirfd;        /* of the workers' cgroups, named like their leases; negative: they have none */
  bool cgroup_left;        /* there was one that could not be removed at once: there may be others */
  char run_path[PATH_MAX]; /* absolute: workers get it in EBB_LEASE */
  gid_t gid;
  unsigned long open_files; /* the soft limit that we were started with: workers get it back */
  uint64_t started_ns;
  char boot_id[40]; /* of this run of the kernel; empty: not known */
  uint64_t gate_ns; /* next look at /proc/locks; 0: nobody is at the gate */
  bool unplaced;    /* the configuration has pools or slots for which there was no place */
  uint64_t wake_ups;
  bool news; /* the board has changed, and the watch has not been told */
  enum stop_phase stop;
  uint64_t stop_ns; /* busy workers are waited for until then; UINT64_MAX: without limit */
  struct audit audit;
  struct seqfile board;
  struct watchdog watchdog;
  struct command_reader reader;
  struct pool pools[EBB_POOLS_MAX];
  struct slot slots[EBB_SLOTS_MAX];
  uint32_t n_slots; /* places ever used */
  struct pending pending[EBB_PENDING_MAX];
};

/* Assemble, serve until stopped, take apart. `keeper` is all zero. 0 or negative errno (said already). */
int keeper__run(struct keeper *keeper, const struct options *options, const struct config *config);

/* For each place in use. */
#define for_each_slot(slot, keeper)                                                                                    \
  for (struct slot *slot = (keeper)->slots; (slot) < (keeper)->slots + (keeper)->n_slots; (slot)++)                    \
    if ((slot)->pool)
#define for_each_slot_of(slot, keeper, of) for_each_slot(slot, keeper) if ((slot)->pool == (of))
#define for_each_pool(pool, keeper)                                                                                    \
  for (struct pool *pool = (keeper)->pools; (pool) < (keeper)->pools + EBB_POOLS_MAX; (pool)++)                        \
    if ((pool)->config.name[0])

#endif

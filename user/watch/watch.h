/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The watch: gather facts, judge them, say what should be done, record what was seen.
 *
 * Workers are known by the index of their record on the board. Everything here is a copy of what others own (board,
 * kernel, /proc); it may be lost at any time and is built anew by the next ebb-watch.
 */
#ifndef WATCH_WATCH_H
#define WATCH_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "baseline.h"
#include "board.h"
#include "contribution.h"
#include "level.h"
#include "memcg.h"
#include "moved.h"
#include "options.h"
#include "piece.h"
#include "policy.h"
#include "pressure.h"
#include "psi.h"
#include "recorder.h"
#include "sensor.h"
#include "trace.h"
#include "turn.h"

#define ASKED_NS (2000ULL * 1000000ULL)  /* a command that has had no effect by then is given again */
#define EFFECT_NS (1000ULL * 1000000ULL) /* how long after a worker has gone its effect is looked at */
#define EFFECTS_MAX 64
#define HOLD_NS (5000ULL * 1000000ULL)       /* how long a hold of refills lasts that is not renewed … */
#define HOLD_AGAIN_NS (2000ULL * 1000000ULL) /* … and when it is */
#define SAID_NS (10000ULL * 1000000ULL)      /* dry run: said again when it has not been so for that long */
#define BELL_FD 3

/* Dry run: what has been said of a worker or pool, and is still so. */
struct said {
  uint32_t mask;  /* 1 << enum reason */
  uint64_t at_ns; /* when it was last so */
};

/* What the watch remembers of a worker beside its facts. */
struct follow {
  uint32_t generation; /* 0: not followed */
  int32_t pid;
  int lease_fd;  /* for reading its labels; -1: not readable */
  bool seasoned; /* had come to its lease before we saw it: its first turn here is a job */
  bool asked;
  bool due;             /* somebody waits for its job to end: it is on its way out … */
  bool crossed;         /* … or has come over a limit in that job */
  uint64_t armed_bytes; /* threshold at the sensor; EBB_UNKNOWN: none */
  uint64_t asked_ns;    /* when its retirement was last asked for */
  enum reason asked_for;
  bool unseen;         /* asked just now, and the board does not show it yet */
  uint64_t trimmed_ns; /* when it was last ordered, by us, to give memory back */
  uint64_t started_ns; /* of an empty slot: when we last let its next piece start */
  struct said said;
  uint64_t held_bytes;     /* its footprint before it began to go */
  uint64_t released_ns;    /* when it last let go of its lease; 0: not seen */
  bool begun;              /* it has been looked at for labels */
  bool labels;             /* it has written one */
  bool counted;            /* jobs, since its figures were gathered */
  uint64_t label_sequence; /* of the last one that was taken from its lease */
  uint64_t labels_lost;    /* overwritten before they were read, by turns that are not counted yet … */
  uint64_t lost_until;     /* … up to this one */
  uint64_t sampled_us;
};

/* A worker that went because we asked: what did it bring? */
struct effect {
  uint64_t at_ns; /* look then; 0: free */
  uint32_t pool, slot, generation;
  enum reason reason;
  uint64_t freed_bytes;
  uint32_t some_permille; /* before */
};

/* Of a pool: the hold of refills that we keep up. */
struct held {
  uint64_t at_ns; /* when it was last sent; 0: never */
  struct said said;
};

struct watch {
  const struct options *options;
  sd_event *event;
  sd_event_source *timer, *psi_source, *sensor_source;
  int run_dirfd, fifo_fd, live_fd;
  char run_path[4096];
  uint32_t wake_ups;
  struct seqfile board, trace;
  struct sensor *sensor;
  struct psi_trigger trigger;
  char psi_path[256]; /* that the trigger and the pressure are of */
  bool psi_missing;   /* said once */
  struct pressure pressure;
  struct level level;
  struct contribution contribution;
  struct memcg memcg;
  struct moved moved;
  uint64_t ticked_ns, sampled_ns;
  struct board_view view;
  uint32_t warnings[EBB_POOLS_MAX]; /* TRACE_WARN_* said already */
  struct ebb_host_facts host;
  struct ebb_pool_facts pools[EBB_POOLS_MAX];
  struct ebb_pool_rules rules[EBB_POOLS_MAX];
  struct piece pieces[EBB_POOLS_MAX]; /* of oneshot pools */
  struct held held[EBB_POOLS_MAX];
  struct ebb_worker_facts workers[EBB_SLOTS_MAX];
  struct follow follows[EBB_SLOTS_MAX];
  uint64_t struck_ns[EBB_SLOTS_MAX];
  uint32_t n_workers; /* highest index in use, plus one */
  struct ebb_job_kind jobs[EBB_JOB_KINDS_MAX];
  struct effect effects[EFFECTS_MAX];
  struct recorder recorder;
};

/* watch.c. 0, or negative errno (said already). */
int watch__run(struct watch *watch, const struct options *options);

/* gather_board.c: bring the facts up to date: workers that came and went, rules, holds. */
int gather__board(struct watch *watch, uint64_t now_ns);
/* gather_host.c: memory, pressure. */
void gather__host(struct watch *watch, uint64_t now_ns);
/* gather.c: what the workers hold. */
void gather__worker(struct watch *watch, uint32_t index, bool exact, uint64_t now_ns);
void gather__workers(struct watch *watch, uint64_t now_ns); /* all, cheaply, and sums and shares over them */
void gather__private(struct watch *watch, uint32_t index, uint64_t now_ns);

/* events.c: one may need a judgement, or many none. true: all together need one. */
bool events__take(struct watch *watch, uint64_t now_ns);
/* While somebody waits for the end of its job, ends are told at once. */
void events__listen(struct watch *watch, uint32_t index);

/* judge.c: decide, and act on it. */
void judge__turn(struct watch *watch, uint64_t now_ns);

/* act.c: what a plan asks for. 0 or negative errno: to be said again at the next turn. */
struct actions {
  int (*retire)(struct watch *watch, const struct plan_act *act, uint64_t now_ns);
  int (*trim)(struct watch *watch, const struct plan_act *act, uint64_t now_ns);
  int (*hold_refill)(struct watch *watch, uint32_t pool, uint64_t now_ns);
  int (*start)(struct watch *watch, uint32_t index, uint64_t now_ns);
};
/* Lines for the control FIFO; or, in a dry run, remarks on what would be done. */
const struct actions *act__actions(const struct watch *watch);
int act__again(struct watch *watch, uint32_t index); /* the job of a due worker has ended */
void act__note(struct watch *watch, const char *event, const char *pool, int64_t slot, uint32_t generation,
               const char *reason, uint64_t freed_bytes, const char *text);
/* A worker that we asked out has gone; say what that brought, a while later. */
void act__gone(struct watch *watch, uint32_t index, uint64_t now_ns);
void act__effects(struct watch *watch, uint64_t now_ns);

/* jobs.c: a lease was let go. true: this worker should be judged now. */
bool jobs__released(struct watch *watch, const struct sensor_event *event, uint64_t now_ns);
void jobs__counted(struct watch *watch, uint32_t index, uint64_t now_ns); /* after the last of many that were */
void jobs__begin(struct watch *watch, uint32_t index); /* what had been labelled before it was followed */
void jobs__label(struct watch *watch, uint32_t index); /* of the job that it is at */
void jobs__restore(struct watch *watch);

/* record.c: the trace. */
void record__worker(struct watch *watch, uint32_t index);
void record__all(struct watch *watch, uint64_t now_ns);
void record__restore(struct watch *watch, uint32_t index);     /* what an earlier watch knew of this very worker … */
void record__restore_pool(struct watch *watch, uint32_t pool); /* … and has warned of in this pool */

/* doctor_power.c: what the daemons of the run directory may do, for the text and for the JSON (members of an array). */
void doctor__power(const struct options *options);
/* doctor.c. Exit status. */
int doctor__run(const struct options *options);

#endif

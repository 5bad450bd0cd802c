/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Faults for tests: named places at which ebbd ends, or a call fails, when EBB_FAULT names them ("<point>", or
 * "<point>:3" for the third pass). They exist only in builds with -DEBB_FAULTS; in all others they are nothing at all.
 *
 * What a point does is told by its kind: 0 ends the process as SIGKILL would (no handler runs, nothing is flushed), with
 * status FAULT_STATUS; FAULT_ORPHANED, in a child that is not a program of its own yet, kills the parent and lets some
 * time pass; FAULT_STUCK never comes back, FAULT_LATE after three seconds; anything else is the errno of the call that fails.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <errno.h>
#include <stdbool.h>

#define FAULT_STATUS 86
#define FAULT_ORPHANED (-1)
#define FAULT_STUCK (-2)
#define FAULT_LATE (-3)

#define FAULT_POINTS(X)                                                                                                \
  X(LOCK_TAKEN, "lock-taken", 0)                  /* the run directory is ours, nothing has been read */               \
  X(BOARD_OURS, "board-ours", 0)                  /* it names us as its writer, and holds what was before */           \
  X(WORKER_TAKEN, "worker-taken", 0)              /* one of several has been taken over */                             \
  X(ALL_TAKEN, "all-taken", 0)                    /* before the first turn */                                          \
  X(LEASE_SWEPT, "lease-swept", 0)                /* one of several is removed */                                      \
  X(RECORD_TORN, "record-torn", 0)                /* a record of the board is half written */                          \
  X(BOARD_HALF, "board-half", 0)                  /* pools are published, slots are not */                             \
  X(NUMBERED, "numbered", 0)                      /* a generation is given, without a lease */                         \
  X(LEASE_MADE, "lease-made", 0)                  /* without a process */                                              \
  X(CHILD_CLONED, "child-cloned", FAULT_ORPHANED) /* before exec */                                                    \
  X(CHILD_ALONE, "child-alone", FAULT_ORPHANED)   /* it has given up our files */                                      \
  X(LEASE_LINKED, "lease-linked", 0)              /* adopt: the lease has a name of ours, nobody is in the slot */     \
  X(SUMMON_NOTED, "summon-noted", 0)              /* on the board, refill_command was not run */                       \
  X(SUMMONED, "summoned", 0)                      /* it runs */                                                        \
  X(SPAWNED, "spawned", 0)                        /* after exec, not on the board */                                   \
  X(STARTED, "started", 0)                        /* on the board, not in the audit */                                 \
  X(SPARED, "spared", 0)                          /* it waits for its lease, nobody knows */                           \
  X(GATE_KNOWN, "gate-known", 0)                  /* it is known to use its lease, and waits for it */                 \
  X(GATE_OPEN, "gate-open", 0)                    /* it may work */                                                    \
  X(WISHED, "wished", 0)                          /* on the board, not accepted */                                     \
  X(ACCEPTED, "accepted", 0)                      /* in the audit, nothing done for it */                              \
  X(ORDERED, "ordered", 0)                        /* X is written */                                                   \
  X(TRIM_ORDERED, "trim-ordered", 0)              /* T is written, nobody knows */                                     \
  X(TRIM_OVER, "trim-over", 0)                    /* and R again */                                                    \
  X(DUE, "due", 0)                                /* and the lease was not free */                                     \
  X(FENCED, "fenced", 0)                          /* we hold the lease, no signal was sent */                          \
  X(TOLD, "told", 0)                              /* the signal was sent */                                            \
  X(TELL_NOTED, "tell-noted", 0)             /* idle = signal: that it is told is on the board, no signal was sent */  \
  X(TOLD_ONCE, "told-once", 0)               /* idle = signal: it was sent */                                          \
  X(KEPT, "kept", 0)                         /* R is written back */                                                   \
  X(LEADER_GONE, "leader-gone", 0)           /* it is a zombie, and that is all that is known */                       \
  X(REST_TOLD, "rest-told", 0)               /* what it left behind was sent a signal */                               \
  X(REAPED, "reaped", 0)                     /* its lease is still there */                                            \
  X(LEASE_GONE, "lease-gone", 0)             /* the slot is not known to be empty */                                   \
  X(ANSWERED, "answered", 0)                 /* in the audit, still pending on the board */                            \
  X(RELOADED, "reloaded", 0)                 /* another configuration is in force, nobody knows */                     \
  X(STOPPING, "stopping", 0)                 /* all were asked out, not all have gone */                               \
  X(STOPPED, "stopped", 0)                   /* all have gone, nobody was told */                                      \
  X(NO_PROCESS, "no-process", EAGAIN)        /* clone */                                                               \
  X(NO_MEMORY, "no-memory", ENOMEM)          /* clone */                                                               \
  X(NO_LEASE_ROOM, "no-lease-room", ENOSPC)  /* the first write of a lease */                                          \
  X(NO_LEASE_FILE, "no-lease-file", EMFILE)  /* making a lease */                                                      \
  X(NO_LEASE_KEY, "no-lease-key", EMFILE)    /* asking how the kernel names it */                                      \
  X(NO_ORDER, "no-order", EIO)               /* writing an order */                                                    \
  X(NO_PROCSTAT, "no-procstat", EMFILE)      /* reading /proc/<pid>/stat */                                            \
  X(NO_PROC, "no-proc", EMFILE)              /* looking through /proc for what a worker left behind */                 \
  X(NO_LOCKS, "no-locks", EMFILE)            /* reading /proc/locks */                                                 \
  X(LOCKS_STUCK, "locks-stuck", FAULT_STUCK) /* reading /proc/locks, in the thread of the gate */                      \
  X(LOCKS_LATE, "locks-late", FAULT_LATE)    /* they have been read, and nobody knows what was in them */              \
  X(NO_EVENT, "no-event", ENOMEM)            /* watching for a worker's end */                                         \
  X(NO_PIDFD, "no-pidfd", EMFILE)            /* pidfd_open of a worker that is to be taken over */                     \
  X(NO_AUDIT_ROOM, "no-audit-room", ENOSPC)  /* writing a record of the audit */                                       \
  X(NO_AUDIT_FILE, "no-audit-file", EMFILE)  /* a new one, when the old one is full */                                 \
  X(HALF_AUDIT_ROOM, "half-audit-room", ENOSPC) /* the first half of it went in */

enum fault_point {
#define X(id, name, kind) FAULT_##id,
  FAULT_POINTS(X)
#undef X
      FAULT_N
};

/* All of them, one a line: name, and what it does. This build's, that is: none, in one without faults. */
void fault__list(void);

#ifdef EBB_FAULTS
/* Of EBB_FAULT: false when it names no point. To be called once, at start. */
bool fault__arm(void);
void fault__here(enum fault_point point);
bool fault__fails(enum fault_point point);
/* Will the next pass be the one? For what has to be prepared. */
bool fault__is_next(enum fault_point point);
#define FAULT_IS_NEXT(point) fault__is_next(FAULT_##point)
#define FAULT(point) fault__here(FAULT_##point)
/* true, with errno set: behave as if the call had failed. */
#define FAULT_FAILS(point) fault__fails(FAULT_##point)
#else
static inline bool fault__arm(void) {
  return true;
}
#define FAULT(point) ((void)0)
#define FAULT_FAILS(point) false
#define FAULT_IS_NEXT(point) false
#endif

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The audit log: one JSON object a line, for everything that ebbd did or refused. Rotated by size; also sent to the
 * journal when there is one and it has room. Writing never fails the act that it records: a full disk is said once in the log, and a
 * record of which only a part went in is a line of its own, so that it spoils no other.
 */
#ifndef EBBD_AUDIT_H
#define EBBD_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "journal.h"

#define AUDIT_NAME "audit"
#define AUDIT_BYTES_MAX (8u * 1024 * 1024)
#define AUDIT_RETRY_BYTES (1024u * 1024) /* a rotation that failed is tried again after so many */
#define AUDIT_FILES 5                    /* audit, audit.1 … audit.4 */

#define AUDIT_EVENTS(X)                                                                                                \
  X(START, "start")                                                                                                    \
  X(SPARE, "spare")                                                                                                    \
  X(READY, "ready")                                                                                                    \
  X(ADOPT, "adopt")                                                                                                    \
  X(SUMMON, "summon")                                                                                                  \
  X(DUE, "due")                                                                                                        \
  X(TRIM, "trim")                                                                                                      \
  X(RETIRE, "retire")                                                                                                  \
  X(FENCED, "fenced")                                                                                                  \
  X(SIGNALLED, "signalled")                                                                                            \
  X(EXITED, "exited")                                                                                                  \
  X(REFILL, "refill")                                                                                                  \
  X(REFUSED, "refused")                                                                                                \
  X(ACCEPTED, "accepted")                                                                                              \
  X(DONE, "done")                                                                                                      \
  X(HOLD, "hold")                                                                                                      \
  X(RESUME, "resume")                                                                                                  \
  X(LIMIT, "limit")                                                                                                    \
  X(PRESSURE, "pressure")                                                                                              \
  X(EFFECT, "effect")                                                                                                  \
  X(TAKEOVER, "takeover")                                                                                              \
  X(BACKOFF, "backoff")                                                                                                \
  X(WATCH, "watch")                                                                                                    \
  X(DRY_RUN, "dry-run")                                                                                                \
  X(WARNING, "warning")                                                                                                \
  X(STOP, "stop")

enum audit_event {
#define X(id, name) AUDIT_##id,
  AUDIT_EVENTS(X)
#undef X
      AUDIT_N
};

/* A worker, as records name it. */
struct audit_worker {
  const char *pool;
  int64_t slot;        /* -1: the pool as a whole */
  uint32_t generation; /* 0: leave out */
  pid_t pid;           /* 0: leave out */
};

struct audit_end {
  int code;   /* -1: no exit code (a signal, or not known) */
  int signal; /* -1: none */
};

/* EBB_UNKNOWN: leave out. */
struct audit_memory {
  uint64_t footprint_bytes, limit_bytes, private_bytes, freed_bytes;
};

/* NULL, "" and 0 leave a field out. */
struct audit_record {
  enum audit_event event;
  const char *id;
  const struct audit_worker *worker;
  const char *reason;
  const char *by;
  const struct audit_memory *memory;
  const struct audit_end *end;
  int signal; /* that was sent */
  const char *text;
  size_t text_bytes; /* 0: text is a string; else that many bytes, of any kind */
};

struct audit {
  int fd;
  int dirfd;
  gid_t gid;
  uint64_t bytes;
  uint64_t rotate_at; /* bytes */
  bool torn;          /* the file ends in the middle of a line */
  struct journal journal;
  bool failing;
};

/* 0 or negative errno. */
int audit__open(struct audit *audit, int dirfd, gid_t gid);
void audit__close(struct audit *audit);
void audit__write(struct audit *audit, const struct audit_record *record);
/* AUDIT_N when there is no such event. */
enum audit_event audit__find(const char *name);

#endif

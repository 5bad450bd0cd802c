/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A process that does one kind of work in chunks when it is told to, and answers what one piece of it cost. Costs are its own
 * CPU time, so that whoever else runs on this machine disturbs less. It stays on one CPU.
 */
#ifndef BENCH_HAND_H
#define BENCH_HAND_H

#include <sys/types.h>

#define MIB (1024UL * 1024)

/* id, name */
#define HAND_WORKS(X)                                                                                                  \
  X(ANON, "anon-4k")   /* first touch of an anonymous page */                                                          \
  X(SHMEM, "shmem-4k") /* … of a page of shared memory */                                                            \
  X(HUGE, "anon-2m")   /* … of a huge page */                                                                        \
  X(LOCK, "lease")     /* lock and unlock */                                                                           \
  X(SWITCH, "switch")  /* one process yields to another */                                                             \
  X(SLEEP, "sleep")    /* fork that many sleeping children, or end them (0) */
enum hand_work {
#define X(id, name) HAND_##id,
  HAND_WORKS(X)
#undef X
      HAND_N
};

struct hand {
  pid_t pid;
  enum hand_work work;
  int orders, answers;
  int lease_fd; /* of the file that it locks; nobody else does */
  char lease_path[64];
};

/* 0 or negative errno. */
int hand__start(struct hand *ret, enum hand_work work);
/* Do n pieces. *ret_ns: CPU time of one; negative: could not be done as it should (no huge page was to be had). 0 or negative errno. */
int hand__work(struct hand *hand, unsigned n, double *ret_ns);
/* With its children. NULL-safe. */
void hand__stop(struct hand *hand);

const char *hand_work__name(enum hand_work work);
/* What it holds for good, so that its counters are not those of a small process; and what it takes for n pieces. */
unsigned long hand_work__ballast_bytes(enum hand_work work);
unsigned long hand_work__piece_bytes(enum hand_work work);

#endif

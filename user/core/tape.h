/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Judgements on a tape: what was weighed, and what came of it, so that it can be judged again elsewhere. Pure: bytes go where
 * the caller says.
 *
 * JSON, one object a line. A session begins with {"tape":1,"ebb":"<version>"}; then each line is a judgement, and holds
 * only the figures that are not as they were in the one before (at the begin of a session: not neutral, as unknown or off):
 *
 *   {"now_ns":5,"n_pools":1,"n_workers":1,"host_rules":{…},"host":{…},"pools":[{"index":0,"name":"reports",…}],
 *    "workers":[{"index":3,…}],"plan":{"acts":[{"worker":3,"reason":"footprint","limit_bytes":1}],"confirm":[],
 *    "struck":[],"trims":[],"starts":[],"hold_refill":[],"below_baseline":[]}}
 *
 * Figures have the names of the fields in ebb/facts.h and ebb/rules.h; those of `pools` are its rules and its facts. What is
 * not known is null. A plan in which nothing is to be done is left out. Labels of jobs stay out: nothing is decided by them, and they may tell more
 * than their owner wants to hand on.
 */
#ifndef CORE_TAPE_H
#define CORE_TAPE_H

#include <stddef.h>

#include "policy.h"

#define TAPE_VERSION 1
/* As long as one judgement can get: each field of 4096 workers at its longest is under 5 MiB. */
#define TAPE_LINE_BYTES_MAX (8u * 1024 * 1024)

/* A figure of a record: its name, and where it is. 4 or 8 bytes. */
struct tape_field {
  const char *name;
  size_t offset, size;
  uint64_t neutral; /* where nothing is said of it */
};

#define TAPE_RECORDS(X) X(host_rules) X(host) X(pool_rules) X(pools) X(workers)
/* Fields of each kind of record, up to one without a name. */
#define X(record) extern const struct tape_field tape_##record[];
TAPE_RECORDS(X)
#undef X

uint64_t tape_field__get(const struct tape_field *field, const void *record);
void tape_field__set(const struct tape_field *field, void *record, uint64_t value);

/* All that is weighed, by value. */
struct tape_facts {
  struct ebb_host_rules host_rules;
  struct ebb_host_facts host;
  uint32_t n_pools, n_workers;
  uint64_t now_ns;
  char names[EBB_POOLS_MAX][EBB_NAME_BYTES];
  struct ebb_pool_rules pool_rules[EBB_POOLS_MAX];
  struct ebb_pool_facts pools[EBB_POOLS_MAX];
  struct ebb_worker_facts workers[EBB_SLOTS_MAX];
};

/* As at the begin of a session. */
void tape_facts__init(struct tape_facts *facts);
/* A copy of what a policy is given; names are those of the pools. */
void tape_facts__take(struct tape_facts *facts, const struct policy_input *in, const char *const names[EBB_POOLS_MAX]);
struct policy_input tape_facts__input(const struct tape_facts *facts);

/* 0 or negative errno; it ends the line, unfinished as it is. */
typedef int tape_put(void *arg, const char *bytes, size_t n);

/* Zeroed, at the begin of a session. Large. */
struct tape {
  bool begun;
  struct plan plan;
  struct tape_facts now, before;
};

/* Take a copy of a judgement: cheap, for before its acts are carried out. */
void tape__take(struct tape *tape, const struct policy_input *in, const struct plan *plan,
                const char *const names[EBB_POOLS_MAX]);
/* Write what was taken, in pieces: for after that. 0 or what `put` said. */
int tape__write(struct tape *tape, tape_put *put, void *arg);

#endif

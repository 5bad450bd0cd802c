/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Which job does it: statistics by pool and label, in a table that the caller owns (the trace's). Pure. */
#ifndef CORE_JOBSTATS_H
#define CORE_JOBSTATS_H

#include <stdint.h>

#include "ebb/facts.h"

struct jobstats_run {
  const char *pool;
  const char *label; /* "-" or empty: the job had no label */
  uint64_t lasted_ns;
  uint64_t before_bytes, after_bytes, peak_bytes;
  uint64_t minor_faults, major_faults, stall_us;
};

/* Index of the record for that pool and label, or of a free one, or, when the table (n > 0) is full, of the pool's
 * "(other)", for which the last record of the pool gives its place (keeping its sums), or the last one of any pool.
 * Only compares. */
uint32_t jobstats__find(const struct ebb_job_kind *kinds, uint32_t n, const char *pool, const char *label);
/* Count a run in the record that find chose for it; names are filled in, or become "(other)", as find meant. What is
 * unknown adds nothing. */
void jobstats__count(struct ebb_job_kind *kind, const struct jobstats_run *run);

/* The newest whole label of a lease (its first 240 bytes are read): sequence into *ret_sequence, text (escaped to
 * printable bytes, cut to fit) into `to`. 0, or -ENOENT when there is none. Any bytes may be in it. */
int jobstats__label(const char *lease, char *to, uint32_t size, uint64_t *ret_sequence);

/*
 * The label of the turn that has ended, of a worker whose turns are told in their order: the oldest one in the lease that
 * is newer than `after` and names something; the newest, if none does. Otherwise like jobstats__label; -ENOENT also when
 * nothing is newer.
 */
int jobstats__next_label(const char *lease, uint64_t after, char *to, uint32_t size, uint64_t *ret_sequence);

/* The same from one label line of n bytes, whichever its place. */
int jobstats__label_line(const char *line, uint32_t n, char *to, uint32_t size, uint64_t *ret_sequence);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a pool's limits mean for one of its workers. Pure. EBB_UNKNOWN: off, or not to be told. Workers of a oneshot pool
 * end by themselves and are held to none.
 *
 * A footprint limit is exceeded by more than the limit, a number of jobs or an age is reached by as much.
 */
#ifndef CORE_LIMIT_H
#define CORE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "ebb/facts.h"
#include "ebb/rules.h"

/* The footprint that counts: of a busy worker what it was when it was last between jobs, not what the job takes. */
uint64_t limit__rest_bytes(const struct ebb_worker_facts *worker);
/* How much of it came after the worker was ready. */
uint64_t limit__retained_bytes(const struct ebb_worker_facts *worker);

/* The lowest footprint that is still within footprint_limit and retained_limit. */
uint64_t limit__lowest_bytes(const struct ebb_pool_rules *rules, const struct ebb_worker_facts *worker);
/* The lowest of both that its footprint has not reached: what to wait for. */
uint64_t limit__next_bytes(const struct ebb_pool_rules *rules, const struct ebb_worker_facts *worker);
/* It is over one of both between jobs. */
bool limit__is_exceeded(const struct ebb_pool_rules *rules, const struct ebb_worker_facts *worker);
/* It is over half of one, now. */
bool limit__is_near(const struct ebb_pool_rules *rules, const struct ebb_worker_facts *worker);

/*
 * max_jobs and max_lifetime of this worker: up to an eighth less than its pool's, and never more, by its place and
 * generation, so that a pool whose workers were started together does not turn over in lockstep.
 */
uint64_t limit__jobs(const struct ebb_pool_rules *rules, const struct ebb_worker_facts *worker);
uint64_t limit__lifetime_ns(const struct ebb_pool_rules *rules, const struct ebb_worker_facts *worker);

#endif

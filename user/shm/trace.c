/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "text.h"

/* Raise it whenever a record or the meaning of one of its fields changes. Tests make programs of a later version. */
#ifndef TRACE_VERSION
#define TRACE_VERSION 4
#endif

static const struct seqfile_part parts[] = {
    {offsetof(struct trace, host), sizeof(struct trace_host), 1},
    {offsetof(struct trace, pools), sizeof(struct trace_pool), EBB_POOLS_MAX},
    {offsetof(struct trace, workers), sizeof(struct trace_worker), EBB_SLOTS_MAX},
    {offsetof(struct trace, jobs), sizeof(struct trace_job), EBB_JOB_KINDS_MAX},
    {offsetof(struct trace, rings), sizeof(struct trace_rings), EBB_SLOTS_MAX},
};

static const struct seqfile_format format = {
    .magic = {'e', 'b', 'b', 't', 'r', 'a', 'c', 'e'},
    .version = TRACE_VERSION,
    .file_bytes = sizeof(struct trace),
    .parts = parts,
    .n_parts = sizeof(parts) / sizeof(*parts),
};

_Static_assert(sizeof(struct trace_sample) == 48, "sample layout");
_Static_assert(offsetof(struct trace, host) % 8 == 0, "records are aligned");

static const struct shape {
  size_t at; /* within struct trace_samples */
  __u32 n;
  __u64 period_us;
} shapes[TRACE_RING_N] = {
#define X(id, member, period_s, n)                                                                                     \
  [TRACE_RING_##id] = {offsetof(struct trace_samples, member), n, (period_s)*1000000ULL},
    TRACE_RINGS(X)
#undef X
};

int trace__create(struct seqfile *file, int run_dirfd, gid_t gid, bool *ret_kept) {
  return seqfile__open_write(file, run_dirfd, TRACE_NAME, &format, gid, ret_kept);
}

int trace__open(struct seqfile *file, int run_dirfd) {
  return seqfile__open_read(file, run_dirfd, TRACE_NAME, &format);
}

int trace__open_live(int run_dirfd) {
  int fd = openat(run_dirfd, TRACE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  return fd < 0 ? -errno : fd;
}

int trace__hold_live(int run_dirfd) {
  int fd = trace__open_live(run_dirfd);
  if (fd < 0 || !flock(fd, LOCK_SH))
    return fd;
  int r = -errno;
  (void)close(fd);
  return r;
}

bool trace__is_live(int fd) {
  if (fd < 0)
    return false;
  if (flock(fd, LOCK_EX | LOCK_NB))
    return errno == EWOULDBLOCK;
  (void)flock(fd, LOCK_UN);
  return false;
}

static struct trace_sample *sample_at(const struct seqfile *file, __u32 index, enum trace_ring ring, __u64 number) {
  char *samples = (char *)&trace__of(file)->samples[index];
  return (struct trace_sample *)(void *)(samples + shapes[ring].at) + number % shapes[ring].n;
}

static bool belongs_to(const struct trace_rings *rings, const char *pool, __u32 slot) {
  return rings->slot == slot && strncmp(rings->pool, pool, sizeof(rings->pool) - 1) == 0;
}

/* Not "later": a clock that was set back would stop the ring until it has caught up. */
static bool is_due(const struct seqfile *file, __u32 index, enum trace_ring ring, const struct trace_sample *sample) {
  __u64 n = trace__of(file)->rings[index].n[ring], period_us = shapes[ring].period_us;
  if (ring == TRACE_RING_SECONDS || n == 0)
    return true;
  return sample_at(file, index, ring, n - 1)->at_us / period_us != sample->at_us / period_us;
}

/* Room is taken as the ring grows, before anyone has to wait for it; from its second lap on it is there. */
static void append(struct seqfile *file, __u32 index, enum trace_ring ring, const struct trace_sample *sample) {
  struct trace_rings *rings = &trace__of(file)->rings[index];
  struct trace_sample *to = sample_at(file, index, ring, rings->n[ring]);
  if (rings->n[ring] < shapes[ring].n && seqfile__reserve(file, to, sizeof(*to)) < 0)
    return;
  seqfile__begin(file, rings);
  *to = *sample;
  rings->n[ring]++;
  seqfile__end(file, rings);
}

/* The old samples stay where they are, uncounted. */
static void hand_over(struct seqfile *file, struct trace_rings *rings, const char *pool, __u32 slot) {
  seqfile__begin(file, rings);
  memset(rings->n, 0, sizeof(rings->n));
  rings->slot = slot;
  (void)text__copy(rings->pool, sizeof(rings->pool), pool);
  seqfile__end(file, rings);
}

void trace__push(struct seqfile *file, __u32 index, const char *pool, __u32 slot, const struct trace_sample *sample) {
  if (index >= EBB_SLOTS_MAX || sample->at_us == 0)
    return;
  struct trace_rings *rings = &trace__of(file)->rings[index];
  if (!belongs_to(rings, pool, slot))
    hand_over(file, rings, pool, slot);
  for (enum trace_ring ring = 0; ring < TRACE_RING_N; ring++)
    if (is_due(file, index, ring, sample))
      append(file, index, ring, sample);
}

struct samples_look {
  const struct seqfile *file;
  __u32 index;
  const char *pool;
  __u32 slot;
  enum trace_ring ring;
  struct trace_sample *to;
  __u32 max;
  int answer;
};

static void look_at_samples(const void *record, void *arg) {
  const struct trace_rings *rings = record;
  struct samples_look *look = arg;
  look->answer = -ENOENT;
  if (!belongs_to(rings, look->pool, look->slot))
    return;
  __u64 end = __atomic_load_n(&rings->n[look->ring], __ATOMIC_RELAXED), n = end;
  n = n < shapes[look->ring].n ? n : shapes[look->ring].n;
  n = n < look->max ? n : look->max;
  for (__u64 i = 0; i < n; i++)
    look->to[i] = *sample_at(look->file, look->index, look->ring, end - n + i);
  look->answer = (int)n;
}

int trace__samples(const struct seqfile *file, __u32 index, const char *pool, __u32 slot, enum trace_ring ring,
                   struct trace_sample *to, __u32 max) {
  if (index >= EBB_SLOTS_MAX || (unsigned)ring >= TRACE_RING_N)
    return -ERANGE;
  struct samples_look look = {
      .file = file, .index = index, .pool = pool, .slot = slot, .ring = ring, .to = to, .max = max};
  int r = seqfile__read(&trace__of(file)->rings[index], look_at_samples, &look);
  if (r < 0 || look.answer < 0)
    return r < 0 ? r : look.answer;
  int n = 0;
  for (int i = 0; i < look.answer; i++) {
    if (to[i].at_us == 0)
      continue;
    if ((to[i].state & ~TRACE_STATE_BUSY) >= EBB_SLOT_N)
      to[i].state = EBB_SLOT_EMPTY;
    to[n++] = to[i];
  }
  return n;
}

int trace__host(const struct seqfile *file, struct trace_host *ret) {
  struct trace_host host;
  int r = seqfile__copy(&host, &trace__of(file)->host, sizeof(host));
  if (r < 0)
    return r;
  if (host.facts.level >= EBB_PRESSURE_N)
    host.facts.level = EBB_PRESSURE_UNKNOWN;
  if (host.facts.tier >= EBB_TIER_N)
    host.facts.tier = EBB_TIER_PROC;
  *ret = host;
  return 0;
}

int trace__pool(const struct seqfile *file, __u32 index, struct trace_pool *ret) {
  struct trace_pool pool;
  if (index >= EBB_POOLS_MAX)
    return -ERANGE;
  int r = seqfile__copy(&pool, &trace__of(file)->pools[index], sizeof(pool));
  if (r < 0)
    return r;
  pool.name[sizeof(pool.name) - 1] = 0;
  *ret = pool;
  return 0;
}

static bool can_be(const struct ebb_worker_facts *facts) {
  return facts->pool < EBB_POOLS_MAX && facts->slot < EBB_SLOTS_MAX && facts->pid >= 0;
}

int trace__worker(const struct seqfile *file, __u32 index, struct trace_worker *ret) {
  struct trace_worker worker;
  if (index >= EBB_SLOTS_MAX)
    return -ERANGE;
  int r = seqfile__copy(&worker, &trace__of(file)->workers[index], sizeof(worker));
  if (r < 0)
    return r;
  if (!can_be(&worker.facts))
    worker.facts = (struct ebb_worker_facts){0};
  if (worker.facts.state >= EBB_SLOT_N)
    worker.facts.state = EBB_SLOT_EMPTY;
  worker.facts.job[sizeof(worker.facts.job) - 1] = 0;
  *ret = worker;
  return 0;
}

int trace__job(const struct seqfile *file, __u32 index, struct trace_job *ret) {
  struct trace_job job;
  if (index >= EBB_JOB_KINDS_MAX)
    return -ERANGE;
  int r = seqfile__copy(&job, &trace__of(file)->jobs[index], sizeof(job));
  if (r < 0)
    return r;
  job.kind.pool[sizeof(job.kind.pool) - 1] = 0;
  job.kind.label[sizeof(job.kind.label) - 1] = 0;
  *ret = job;
  return 0;
}

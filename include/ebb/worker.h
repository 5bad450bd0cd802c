/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A worker's side of the lease, in full: header only, C99 and C++, nothing but libc. The file's layout is in lease.h.
 *
 *   struct ebb_worker w;
 *   if (ebb_worker_open(&w, EBB_WORKER_ALONE) < 0 || ebb_worker_ready(&w) != EBB_WORKER_RUN)
 *     return 1;
 *
 * Fetch, then lock: for a queue that delivers again what was not acknowledged. An idle worker can be retired at once.
 *
 *   while ((item = fetch())) {
 *     if (ebb_worker_begin(&w, item->kind) != EBB_WORKER_RUN)
 *       return 0;                           // not acknowledged, so somebody else gets it
 *     work(item), acknowledge(item);
 *     ebb_worker_end(&w);
 *   }
 *
 * Lock, then fetch: for a queue that forgets what it has handed out. The fetch needs a timeout of a second or so.
 *
 *   while (ebb_worker_begin(&w, NULL) == EBB_WORKER_RUN) {
 *     if ((item = fetch_within(1)))
 *       ebb_worker_label(&w, item->kind), work(item);
 *     ebb_worker_end(&w);
 *   }
 *
 * Results: EBB_WORKER_RUN, EBB_WORKER_EXIT (take no job, exit 0: the lease is not held), or a negative errno, after
 * which the lease is not held either. label() and end() return 0 or a negative errno. Without EBB_LEASE in the
 * environment the worker is unmanaged: everything succeeds, and every begin() says RUN.
 *
 * Threads that take jobs: each opens its own with EBB_WORKER_SHARED; a struct is never used by two threads at a time.
 * On EXIT a thread returns; the process exits when all have.
 *
 * Fork: a child shares the open file, and with it the lock. A helper that outlives a worker which died in a job keeps
 * the lease held, as it should: the job is not over. But end() in either lets go for both. So a child leaves the struct
 * alone, and one that takes jobs itself (pre-fork servers) opens its own with EBB_WORKER_SHARED, after the fork. The
 * descriptor is close-on-exec.
 *
 * Signals: an interrupted wait goes on, unless ebbd has meanwhile ordered the worker out: then it is EXIT.
 *
 * One underscore between object and verb, because C++ keeps two for itself. With -std=c99 (rather than gnu99) define
 * _POSIX_C_SOURCE to 200809L, or _DEFAULT_SOURCE, ahead of all includes.
 */
#ifndef EBB_WORKER_H
#define EBB_WORKER_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lease.h"

#ifndef O_CLOEXEC
#error "ebb/worker.h: define _POSIX_C_SOURCE to 200809L, or _DEFAULT_SOURCE, ahead of all includes"
#endif

#if !defined(__USE_MISC) && !defined(__cplusplus)
long syscall(long number, ...); /* strict standards hide it, and there is no other way to a thread's number */
#endif

/* What the order T (give memory back) does. Define it beforehand for another allocator, or to drop caches. */
#ifndef EBB_WORKER_TRIM
#ifdef __GLIBC__
#include <malloc.h>
#define EBB_WORKER_TRIM() ((void)malloc_trim(0))
#else
#define EBB_WORKER_TRIM() ((void)0)
#endif
#endif

#define EBB_WORKER_EXIT 0
#define EBB_WORKER_RUN 1

/* How the lease is locked: by the process's only job loop, or beside others. */
#define EBB_WORKER_ALONE LOCK_EX
#define EBB_WORKER_SHARED LOCK_SH

struct ebb_worker {
  int fd;                 /* -1: unmanaged */
  int operation;          /* EBB_WORKER_ALONE or EBB_WORKER_SHARED */
  int labelled;           /* the newest label of ours is one, rather than "-" */
  char *own;              /* our copy of the lease (see lease.h), or NULL */
  unsigned long sequence; /* of the newest label */
};

/* Newest label's sequence number, by the file: other threads write labels too. */
static inline unsigned long ebb_worker_newest(int fd) {
  char text[EBB_LEASE_BYTES + 1];
  ssize_t n = pread(fd, text, EBB_LEASE_BYTES, 0);
  unsigned long even = 0, odd = 0;

  if (n < EBB_LEASE_BYTES)
    return 0;
  text[EBB_LEASE_BYTES] = '\0';
  even = strtoul(text + EBB_LEASE_LABEL_OFFSET(0), NULL, 10);
  odd = strtoul(text + EBB_LEASE_LABEL_OFFSET(1), NULL, 10);
  return even > odd ? even : odd;
}

/* The order byte, or a negative errno; -EPROTO: the file is too short to be a lease. */
static inline int ebb_worker_order(const struct ebb_worker *worker) {
  char order = 0;
  ssize_t n = pread(worker->fd, &order, 1, 0);

  return n < 0 ? -errno : n == 0 ? -EPROTO : order;
}

/* Waits for ebbd while the worker is starting. Held by ebbd under the order X, the lease will not come back: EXIT. */
static inline int ebb_worker_lock(const struct ebb_worker *worker) {
  int order;

  while (flock(worker->fd, worker->operation | LOCK_NB) < 0) {
    if (errno == EWOULDBLOCK) {
      order = ebb_worker_order(worker);
      if (order < 0)
        return order;
      if (order == EBB_ORDER_EXIT)
        return EBB_WORKER_EXIT;
      if (flock(worker->fd, worker->operation) == 0)
        return EBB_WORKER_RUN;
    }
    if (errno != EINTR)
      return -errno;
  }
  return EBB_WORKER_RUN;
}

static inline int ebb_worker_end(struct ebb_worker *worker) {
  if (worker->fd < 0)
    return 0;
  return flock(worker->fd, LOCK_UN) < 0 ? -errno : 0;
}

/* Lock and obey the order. */
static inline int ebb_worker_take(struct ebb_worker *worker) {
  int r = ebb_worker_lock(worker);

  if (r != EBB_WORKER_RUN)
    return r;
  r = ebb_worker_order(worker);
  if (r == EBB_ORDER_EXIT || r < 0) {
    (void)ebb_worker_end(worker);
    return r < 0 ? r : EBB_WORKER_EXIT;
  }
  if (r == EBB_ORDER_TRIM)
    EBB_WORKER_TRIM();
  return EBB_WORKER_RUN;
}

/* Whose turn the copy's label is of; 0: nobody's. */
static inline void ebb_worker_own(struct ebb_worker *worker, const char *line, size_t n, unsigned tid) {
  if (!worker->own)
    return;
  memcpy(worker->own + EBB_LEASE_LABEL_OFFSET(0), line, n);
  memcpy(worker->own + EBB_LEASE_COPY_THREAD, &tid, sizeof(tid));
}

/*
 * Say what kind of job it is; jobs of one label are counted together (`ebb jobs`). Any text, of which some 90 bytes are
 * kept; NULL or "": nothing to say. Control characters become '?'. Costs a write; may be left out.
 */
static inline int ebb_worker_label(struct ebb_worker *worker, const char *label) {
  char line[EBB_LEASE_LABEL_FIELD + 1];
  int i, n;

  if (worker->fd < 0)
    return 0;
  if (!label || !*label)
    label = "-";
  if (worker->operation == EBB_WORKER_SHARED)
    worker->sequence = ebb_worker_newest(worker->fd);
  worker->sequence++;
  n = snprintf(line, EBB_LEASE_LABEL_FIELD, "%lu %s", worker->sequence, label);
  if (n >= EBB_LEASE_LABEL_FIELD)
    n = EBB_LEASE_LABEL_FIELD - 1;
  for (i = 0; i < n; i++)
    if ((unsigned char)line[i] < ' ' || line[i] == 127)
      line[i] = '?';
  line[n++] = '\n';
  worker->labelled = strcmp(label, "-") != 0;
  if (worker->own)
    ebb_worker_own(worker, line, (size_t)n, (unsigned)syscall(SYS_gettid));
  return pwrite(worker->fd, line, (size_t)n, EBB_LEASE_LABEL_OFFSET(worker->sequence)) < 0 ? -errno : 0;
}

/* Start a job, or with a NULL label a turn whose job is not known yet. */
static inline int ebb_worker_begin(struct ebb_worker *worker, const char *label) {
  int r;

  if (worker->fd < 0)
    return EBB_WORKER_RUN;
  r = ebb_worker_take(worker);
  /* The last job's label must not stand for this one, and a first turn without a job must not count as one; a label that
   * cannot be written is no reason not to work. */
  if (r == EBB_WORKER_RUN && (label || worker->labelled || worker->sequence == 0))
    (void)ebb_worker_label(worker, label);
  return r;
}

/* Once, before the first fetch: says that the worker is ready. Returns when ebbd wants it to work. */
static inline int ebb_worker_ready(struct ebb_worker *worker) {
  int r;

  if (worker->fd < 0)
    return EBB_WORKER_RUN;
  r = ebb_worker_take(worker);
  if (r != EBB_WORKER_RUN)
    return r;
  ebb_worker_own(worker, EBB_LEASE_READY, sizeof(EBB_LEASE_READY) - 1, (unsigned)syscall(SYS_gettid));
  (void)ebb_worker_end(worker);
  ebb_worker_own(worker, "", 0, 0);
  return r;
}

/* A copy of our own, in which the kernel side finds the label of the very turn that ends. Through a descriptor that is
 * never locked: a child keeps the mapping. Without a copy the newest label in the file is taken. */
static inline char *ebb_worker_copy(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  void *copy;

  if (fd < 0)
    return NULL;
  copy = mmap(NULL, EBB_LEASE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  (void)close(fd);
  return copy == MAP_FAILED ? NULL : (char *)copy;
}

/* 0, or a negative errno: there is a lease, and it cannot be opened. Then exit with a failure: ebbd waits in vain. */
static inline int ebb_worker_open(struct ebb_worker *ret_worker, int alone_or_shared) {
  const char *path = getenv(EBB_LEASE_ENV);

  ret_worker->fd = -1;
  ret_worker->operation = alone_or_shared;
  ret_worker->labelled = 0;
  ret_worker->own = NULL;
  ret_worker->sequence = 0;
  if (!path || !*path)
    return 0;
  ret_worker->fd = open(path, O_RDWR | O_CLOEXEC);
  if (ret_worker->fd < 0)
    return -errno;
  ret_worker->sequence = ebb_worker_newest(ret_worker->fd);
  ret_worker->own = ebb_worker_copy(path);
  return 0;
}

/* Lets the lease go, unless a forked child shares it. Harmless when called twice. */
static inline void ebb_worker_close(struct ebb_worker *worker) {
  if (worker->fd >= 0)
    (void)close(worker->fd);
  if (worker->own)
    (void)munmap(worker->own, EBB_LEASE_BYTES);
  worker->own = NULL;
  worker->fd = -1;
}

#endif

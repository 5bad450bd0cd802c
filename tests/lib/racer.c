/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A worker that takes 1 ms jobs as fast as it can, and a queue that counts.
 *
 *   racer FILE fetch-lock|lock-fetch [JOB_US]        (without arguments: prints how long FILE must be)
 *
 * The queue is FILE, mapped by all workers; it must be long enough and zero at first. A job that a worker had claimed
 * and not finished when it was ended is given out again, to the slot's next worker. All signals keep their default
 * action, so a signal within a job shows: as a job that was started twice, or started and never finished.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "ebb/worker.h"

#define JOBS (4u << 20)
#define SLOTS 64

struct racer_queue {
  _Atomic unsigned next;         /* job to be claimed next */
  _Atomic unsigned closed;       /* written by the test: claim nothing any more */
  _Atomic unsigned overlaps;     /* workers that found their predecessor still there */
  _Atomic unsigned redelivered;  /* jobs that were given out again */
  _Atomic int owner[SLOTS];      /* pid of the slot's worker */
  _Atomic unsigned claim[SLOTS]; /* job + 1 that the slot's worker has claimed and not finished */
  _Atomic unsigned char starts[JOBS];
  _Atomic unsigned char finishes[JOBS];
};

static struct racer_queue *queue;
static unsigned slot;
static struct timespec job_time;

static void die(const char *what) {
  perror(what);
  exit(2);
}

static void pause_us(long us) {
  struct timespec t = {.tv_nsec = us * 1000};
  (void)nanosleep(&t, NULL);
}

static void map_queue(const char *path) {
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0)
    die(path);
  queue = mmap(NULL, sizeof *queue, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (queue == MAP_FAILED)
    die("mmap");
  (void)close(fd);
}

static void enter_slot(void) {
  const char *text = getenv("EBB_SLOT");
  slot = text ? (unsigned)atoi(text) % SLOTS : 0;
  int before = atomic_exchange(&queue->owner[slot], getpid());
  if (before && (kill(before, 0) == 0 || errno != ESRCH))
    atomic_fetch_add(&queue->overlaps, 1);
}

/* Job + 1, or 0 when there is none. */
static unsigned claim(void) {
  unsigned left = atomic_load(&queue->claim[slot]);
  if (left) {
    atomic_fetch_add(&queue->redelivered, 1);
    return left;
  }
  if (atomic_load(&queue->closed) || atomic_load(&queue->next) >= JOBS)
    return 0;
  unsigned job = atomic_fetch_add(&queue->next, 1) + 1;
  atomic_store(&queue->claim[slot], job);
  return job;
}

static void work(unsigned job) {
  atomic_fetch_add(&queue->starts[job - 1], 1);
  (void)nanosleep(&job_time, NULL);
  atomic_fetch_add(&queue->finishes[job - 1], 1);
  atomic_store(&queue->claim[slot], 0);
}

static void leave_or_die(int r) {
  if (r == EBB_WORKER_EXIT)
    exit(0);
  if (r < 0) {
    errno = -r;
    die("lease");
  }
}

/* Workers of odd slots rest between two jobs, up to about a job's time, so that a fence has gaps to come into. */
static void rest(void) {
  if (slot % 2)
    pause_us(random() % 1000);
}

static void fetch_then_lock(struct ebb_worker *worker) {
  unsigned job = claim();
  if (!job) {
    pause_us(1000);
    return;
  }
  leave_or_die(ebb_worker_begin(worker, "race"));
  work(job);
  (void)ebb_worker_end(worker);
}

static void lock_then_fetch(struct ebb_worker *worker) {
  leave_or_die(ebb_worker_begin(worker, NULL));
  unsigned job = claim();
  if (job)
    work(job);
  else
    pause_us(1000);
  (void)ebb_worker_end(worker);
}

int main(int argc, char **argv) {
  if (argc < 3) {
    printf("%zu\n", sizeof *queue);
    return 2;
  }
  job_time.tv_nsec = (argc > 3 ? atol(argv[3]) : 1000) * 1000;
  map_queue(argv[1]);
  enter_slot();
  struct ebb_worker worker = {.fd = -1};
  if (ebb_worker_open(&worker, EBB_WORKER_ALONE) < 0)
    die("EBB_LEASE");
  leave_or_die(ebb_worker_ready(&worker));
  srandom((unsigned)getpid());
  for (bool fetch_first = strcmp(argv[2], "fetch-lock") == 0;; rest())
    fetch_first ? fetch_then_lock(&worker) : lock_then_fetch(&worker);
}

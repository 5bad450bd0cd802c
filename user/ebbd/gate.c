/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "gate.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "ebb/lease.h"
#include "family.h"
#include "fault.h"
#include "procenv.h"
#include "procstat.h"
#include "selfprotect.h"
#include "sort.h"
#include "takeover.h"
#include "worker.h"

/* From who waits up to the worker. */
#define ANCESTORS_MAX 64
#define STACK_BYTES (2 * SELFPROTECT_STACK_BYTES)

/* A worker, as the question names it. */
struct asked {
  struct slot *slot; /* the thread leaves it alone */
  uint32_t generation;
  pid_t pid;
  uint64_t born_ns;
  int lease_fd;
  bool locked_by_us;
  char lease[LEASE_NAME_BYTES];
};

enum { IDLE, ASKED, ANSWERED };

static struct {
  _Atomic int state;
  sem_t question;
  int answer_fd;
  const char *run_path;
  size_t n;
  struct asked workers[EBB_SLOTS_MAX]; /* in the order of the keys */
  struct lease_key keys[EBB_SLOTS_MAX];
  uint64_t youngest_ns;
  /* The answer. */
  bool known;
  uint64_t cost_ns;
  struct lease_use uses[EBB_SLOTS_MAX];
} gate;

static bool at_gate(const struct slot *slot) {
  bool runs = slot->state == EBB_SLOT_STARTING || slot->state == EBB_SLOT_UNLEASED || slot->state == EBB_SLOT_SERVING ||
              slot->state == EBB_SLOT_DUE;
  return runs && !slot->leased && slot->idle == EBB_IDLE_LEASE;
}

static int by_key(const void *a, const void *b, void *unused) {
  (void)unused;
  const struct slot *const *one = a, *const *other = b;
  return lease_key__order(&(*one)->lease_key, &(*other)->lease_key);
}

/* A stranger may have had the lease of one that was taken over. */
static void close_gate(struct slot *slot) {
  if (!slot->holds)
    slot->holds = lease__try_lock(slot->lease_fd) == 0;
}

static size_t gather(struct keeper *keeper, struct slot **to) {
  size_t n = 0;
  for_each_slot(slot, keeper) {
    if (!at_gate(slot))
      continue;
    close_gate(slot);
    to[n++] = slot;
  }
  return n;
}

/* The younger the youngest, the sooner the next look; never so often that looking takes more than a tenth of the time. */
static uint64_t next_look(uint64_t now_ns, uint64_t youngest_ns, uint64_t cost_ns) {
  uint64_t wait_ns = (now_ns - youngest_ns) / 16;
  if (wait_ns < GATE_POLL_FIRST_NS)
    wait_ns = GATE_POLL_FIRST_NS;
  if (wait_ns < 10 * cost_ns)
    wait_ns = 10 * cost_ns;
  return now_ns + (wait_ns < GATE_POLL_MOST_NS ? wait_ns : GATE_POLL_MOST_NS);
}

/*
 * Here the worker is fresh beyond doubt: it has started up, and stands still until we let it go. What it holds now is
 * what every limit of its pool is held against.
 */
static uint64_t footprint(const struct slot *slot) {
  static struct family_member members[EBB_PROCS_MAX];
  const struct family_root root = {.pid = slot->pid, .start_time = slot->start_time};
  uint64_t sum = 0;
  members[0].pid = slot->pid;
  int n = family__has_children(slot->pid) == 0 ? 1 : family__scan(&root, 1, members, EBB_PROCS_MAX);
  for (int i = 0; i < n; i++) {
    struct procmem memory;
    if (procmem__read(members[i].pid, &memory) == 0)
      sum += memory.anon_bytes + memory.shmem_bytes + memory.swap_bytes;
  }
  return sum ? sum : EBB_UNKNOWN;
}

/* Of its session or group, or a descendant of one that is. */
static bool is_related(const struct asked *worker, pid_t pid) {
  struct procstat status;
  for (int depth = 0; depth < ANCESTORS_MAX && pid > 1; depth++, pid = status.ppid) {
    if (pid == worker->pid)
      return true;
    if (procstat__read(pid, &status))
      return false;
    if (status.session == worker->pid || status.pgid == worker->pid)
      return true;
  }
  return false;
}

/* Anybody who may open the lease can wait at it, or hold it, and proves nothing of the worker. Least of all we, who keep it
 * locked, and were started by a job of its perhaps. */
static bool is_of_worker(size_t i, pid_t pid, void *arg) {
  const struct asked *worker = (const struct asked *)arg + i;
  char lease[LEASE_PATH_BYTES], expected[LEASE_PATH_BYTES];
  if (pid == getpid())
    return false;
  if (is_related(worker, pid))
    return true;
  (void)snprintf(expected, sizeof(expected), "%s/lease/%s", gate.run_path, worker->lease);
  return procenv__read(pid, EBB_LEASE_ENV, lease, sizeof(lease)) == 0 && !strcmp(lease, expected) &&
         takeover__is_owners(pid, worker->lease_fd);
}

/* Who was taken over may have come to its lease while there was no ebbd. */
static bool works(size_t i) {
  return !gate.workers[i].locked_by_us && locks__held_through(gate.workers[i].pid, &gate.keys[i]);
}

static void answer(void) {
  const uint64_t one = 1;
  uint64_t begun_ns = clock__monotonic_ns();
  FAULT(LOCKS_STUCK);
  gate.known = locks__read_of(gate.keys, gate.n, gate.uses, is_of_worker, gate.workers) == 0;
  for (size_t i = 0; i < gate.n; i++)
    gate.uses[i].held = gate.uses[i].held || works(i);
  FAULT(LOCKS_LATE);
  gate.cost_ns = clock__monotonic_ns() - begun_ns;
  atomic_store_explicit(&gate.state, ANSWERED, memory_order_release);
  (void)!write(gate.answer_fd, &one, sizeof(one));
}

static void *read_for_ever(void *unused) {
  (void)unused;
  selfprotect__touch_stack();
  for (;;)
    if (!sem_wait(&gate.question))
      answer();
  return NULL;
}

static int on_answer(sd_event_source *source, int fd, uint32_t revents, void *arg) {
  (void)source, (void)revents, (void)arg; /* the turn follows */
  uint64_t count;
  (void)!read(fd, &count, sizeof(count));
  return 0;
}

/* All signals are the loop's. */
static int start_thread(void) {
  pthread_attr_t attributes;
  pthread_t thread;
  sigset_t all, before;
  int error = pthread_attr_init(&attributes);
  if (error)
    return -error;
  (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
  (void)sigfillset(&all);
  (void)pthread_sigmask(SIG_BLOCK, &all, &before);
  error = pthread_create(&thread, &attributes, read_for_ever, NULL);
  (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
  (void)pthread_attr_destroy(&attributes);
  return -error;
}

/* The descriptor is closed with the process: the thread may be about to write to it. */
int gate__open(struct keeper *keeper) {
  sd_event_source *source;
  gate.run_path = keeper->run_path;
  gate.answer_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (gate.answer_fd < 0 || sem_init(&gate.question, 0, 0))
    return -errno;
  int error = sd_event_add_io(keeper->event, &source, gate.answer_fd, EPOLLIN, on_answer, keeper);
  if (error >= 0)
    error = sd_event_source_set_floating(source, true);
  return error < 0 ? error : start_thread();
}

static void ask(struct keeper *keeper, struct slot *const *slots, size_t n) {
  gate.n = n;
  gate.youngest_ns = 0;
  for (size_t i = 0; i < n; i++) {
    struct slot *slot = slots[i];
    gate.keys[i] = slot->lease_key;
    gate.workers[i] = (struct asked){.slot = slot,
                                     .generation = slot->generation,
                                     .pid = slot->pid,
                                     .born_ns = slot->born_ns,
                                     .lease_fd = slot->lease_fd,
                                     .locked_by_us = slot->holds};
    worker__lease_name(slot, gate.workers[i].lease);
    if (slot->born_ns > gate.youngest_ns)
      gate.youngest_ns = slot->born_ns;
  }
  keeper->gate_ns = UINT64_MAX; /* the answer says when; or somebody who is started meanwhile */
  atomic_store_explicit(&gate.state, ASKED, memory_order_release);
  (void)sem_post(&gate.question);
}

/* Is that worker still where it was asked about? */
static bool stands(const struct asked *worker) {
  const struct slot *slot = worker->slot;
  return slot->pool && at_gate(slot) && slot->generation == worker->generation && slot->pid == worker->pid &&
         slot->born_ns == worker->born_ns;
}

static void take(struct keeper *keeper, uint64_t now_ns) {
  for (size_t i = 0; i < gate.n; i++) {
    struct slot *slot = gate.workers[i].slot;
    if (!stands(&gate.workers[i]))
      continue;
    /* A worker that was taken over may hold it already: it was free while there was no ebbd. */
    slot->awaited = gate.known && (gate.uses[i].awaited || gate.uses[i].held);
    if (slot->awaited && slot->ours) /* one that was taken over may not be fresh any more */
      slot->fresh_bytes = footprint(slot);
  }
  uint64_t next_ns = next_look(now_ns, gate.youngest_ns, gate.cost_ns);
  if (next_ns < keeper->gate_ns)
    keeper->gate_ns = next_ns;
  atomic_store_explicit(&gate.state, IDLE, memory_order_relaxed);
}

void gate__turn(struct keeper *keeper, uint64_t now_ns) {
  static struct slot *slots[EBB_SLOTS_MAX];
  int state = atomic_load_explicit(&gate.state, memory_order_acquire);
  if (state == ANSWERED)
    take(keeper, now_ns);
  if (state == ASKED || now_ns < keeper->gate_ns)
    return;
  size_t n = gather(keeper, slots);
  keeper->gate_ns = 0;
  if (n == 0)
    return;
  sort__in_place(slots, n, sizeof(*slots), by_key, NULL);
  ask(keeper, slots, n);
}

uint64_t gate__deadline(const struct keeper *keeper) {
  bool asked = atomic_load_explicit(&gate.state, memory_order_acquire) == ASKED;
  return asked || !keeper->gate_ns ? UINT64_MAX : keeper->gate_ns;
}

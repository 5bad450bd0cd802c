/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "gate.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "ebb/lease.h"
#include "family.h"
#include "procenv.h"
#include "procstat.h"
#include "takeover.h"
#include "worker.h"

/* From who waits up to the worker. */
#define ANCESTORS_MAX 64

static bool at_gate(const struct slot *slot) {
  bool runs = slot->state == EBB_SLOT_STARTING || slot->state == EBB_SLOT_UNLEASED || slot->state == EBB_SLOT_SERVING ||
              slot->state == EBB_SLOT_DUE;
  return runs && !slot->leased && slot->idle == EBB_IDLE_LEASE;
}

static int by_key(const void *a, const void *b) {
  const struct slot *const *one = a, *const *other = b;
  return lease_key__order(&(*one)->lease_key, &(*other)->lease_key);
}

/* A stranger may have had the lease of one that was taken over. */
static void close_gate(struct slot *slot) {
  if (!slot->holds)
    slot->holds = lease__try_lock(slot->lease_fd) == 0;
}

static size_t gather(struct keeper *keeper, struct slot **to, uint64_t *ret_youngest_ns) {
  size_t n = 0;
  for_each_slot(slot, keeper) {
    if (!at_gate(slot))
      continue;
    close_gate(slot);
    to[n++] = slot;
    if (slot->born_ns > *ret_youngest_ns)
      *ret_youngest_ns = slot->born_ns;
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
static bool is_related(const struct slot *slot, pid_t pid) {
  struct procstat status;
  for (int depth = 0; depth < ANCESTORS_MAX && pid > 1; depth++, pid = status.ppid) {
    if (pid == slot->pid)
      return true;
    if (procstat__read(pid, &status))
      return false;
    if (status.session == slot->pid || status.pgid == slot->pid)
      return true;
  }
  return false;
}

/* Anybody who may open the lease can wait at it, or hold it, and proves nothing of the worker. */
static bool is_of_worker(size_t i, pid_t pid, void *arg) {
  const struct slot *slot = ((struct slot **)arg)[i];
  char lease[LEASE_PATH_BYTES], expected[LEASE_PATH_BYTES];
  if (is_related(slot, pid))
    return true;
  worker__lease_path(slot, expected);
  return procenv__read(pid, EBB_LEASE_ENV, lease, sizeof(lease)) == 0 && !strcmp(lease, expected) &&
         takeover__is_owners(pid, slot->lease_fd);
}

void gate__turn(struct keeper *keeper, uint64_t now_ns) {
  static struct slot *slots[EBB_SLOTS_MAX];
  static struct lease_key keys[EBB_SLOTS_MAX];
  static struct lease_use uses[EBB_SLOTS_MAX];
  uint64_t youngest_ns = 0;
  if (now_ns < keeper->gate_ns)
    return;
  size_t n = gather(keeper, slots, &youngest_ns);
  keeper->gate_ns = 0;
  if (n == 0)
    return;
  qsort(slots, n, sizeof(*slots), by_key);
  for (size_t i = 0; i < n; i++)
    keys[i] = slots[i]->lease_key;
  bool known = locks__read_of(keys, n, uses, is_of_worker, slots) == 0;
  for (size_t i = 0; i < n; i++) {
    /* A worker that was taken over may hold it already: it was free while there was no ebbd. */
    slots[i]->awaited = known && (uses[i].awaited || uses[i].held);
    if (slots[i]->awaited && slots[i]->ours) /* one that was taken over may not be fresh any more */
      slots[i]->fresh_bytes = footprint(slots[i]);
  }
  keeper->gate_ns = next_look(now_ns, youngest_ns, clock__monotonic_ns() - now_ns);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* How a worker comes into an empty slot: lease first, locked by us, so that it cannot take a job unseen. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "board.h"
#include "cgroup.h"
#include "children.h"
#include "cleanup.h"
#include "ebb/lease.h"
#include "environment.h"
#include "fault.h"
#include "log.h"
#include "publish.h"
#include "tell.h"
#include "worker.h"

void worker__back_off(struct keeper *keeper, struct slot *slot, enum slot_event event, const char *text,
                      uint64_t now_ns) {
  slot->failures++;
  slot->retry_ns = now_ns + slot__backoff_ns(slot->failures);
  worker__step(slot, event, now_ns);
  struct audit_worker worker = worker__name(slot);
  audit__write(&keeper->audit,
               &(struct audit_record){.event = AUDIT_BACKOFF, .worker = &worker, .text = text, .end = &slot->end});
}

static void fail(struct keeper *keeper, struct slot *slot, const char *step, int error, uint64_t now_ns) {
  char text[160];
  (void)snprintf(text, sizeof(text), "%s: %s", step, strerror(error));
  slot->end = (struct audit_end){.code = -1, .signal = -1};
  if (slot->failures == 0)
    log__warning("%s/%u: cannot start a worker: %s", slot->pool->config.name, slot->number, text);
  worker__back_off(keeper, slot, SLOT_SPAWN_FAILED, text, now_ns);
}

/* A user may be added to the system at any time, so one that was missing is looked for again. */
int worker__find_user(struct pool *pool) {
  if (pool->identity_error)
    pool->identity_error = identity__find(&pool->identity, pool->config.user);
  return pool->identity_error;
}

/* Without the controller a worker runs all the same, and its pool hears of it once. */
static void limit_pids(struct keeper *keeper, struct slot *slot, int leaf) {
  struct pool *pool = slot->pool;
  if (pool->config.pids == CONFIG_PIDS_OFF || !cgroup__limit_pids(keeper->cgroup_dirfd, leaf, pool->config.pids) ||
      pool->pids_warned)
    return;
  pool->pids_warned = true;
  static const char text[] = "no pids controller for the workers' cgroups: the pool's `pids` bounds nothing";
  const struct audit_worker worker = {.pool = pool->config.name, .slot = -1};
  audit__write(&keeper->audit,
               &(struct audit_record){.event = AUDIT_WARNING, .worker = &worker, .reason = "pids", .text = text});
  log__warning("%s: %s", pool->config.name, text);
}

static int run(struct keeper *keeper, struct slot *slot, const char *lease_name, int leaf, struct spawn_error *error) {
  struct board_slot *record = &board__of(&keeper->board)->slots[slot->index];
  struct spawn spawn = environment__spawn(keeper, slot, lease_name);
  spawn.early_pid = &record->spawned; /* should we die here, the next ebbd waits for it to come to exec */
  spawn.cgroup = leaf > 0 ? leaf : 0;
  return spawn__run(&spawn, &slot->pid, &slot->pidfd, error);
}

/* The gate stays closed to find out whether it uses its lease; to one that is not to, it is nothing. */
static void serve(struct slot *slot, uint64_t now_ns) {
  slot->was_serving = true;
  worker__step(slot, SLOT_UP, now_ns);
  if (!tell__is_for(slot))
    return;
  slot->holds = false;
  (void)lease__unlock(slot->lease_fd);
}

/* The process is there: note whatever a later ebbd needs to know it by. */
static void started(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  slot->start_time = 0;
  slot->ours = true;
  slot->born_ns = now_ns;
  slot->recipe = slot->pool->recipe;
  slot->leased = slot->awaited = slot->was_serving = slot->retired = slot->rest_told = false;
  slot->holds = true;
  slot->kill_ns = 0;
  slot->fresh_bytes = EBB_UNKNOWN;
  slot->reason = REASON_NONE;
  if (!keeper->gate_ns || keeper->gate_ns > now_ns + GATE_POLL_FIRST_NS)
    keeper->gate_ns = now_ns + GATE_POLL_FIRST_NS;
  children__know(slot->pid);
  worker__step(slot, SLOT_SPAWNED, now_ns);
  if (worker__serves_at_once(slot))
    serve(slot, now_ns);
  worker__complete(keeper, slot, now_ns);
  publish__slot(keeper, slot); /* at once: should we die in this turn, the next ebbd has to find it */
  FAULT(STARTED);
  struct audit_worker worker = worker__name(slot);
  audit__write(&keeper->audit, &(struct audit_record){.event = AUDIT_REFILL, .worker = &worker});
  if (slot->state == EBB_SLOT_SERVING)
    audit__write(&keeper->audit, &(struct audit_record){.event = AUDIT_READY, .worker = &worker});
}

/* The lease, and the cgroup of that name where there can be one. Descriptor of the lease, or negative errno. */
static int make_places(const struct keeper *keeper, const struct pool *pool, const char *name, int *ret_leaf) {
  int leaf = cgroup__make(keeper->cgroup_dirfd, name);
  if (leaf == -EEXIST)
    return leaf;
  /* Our own group, not that of the FIFO: the next ebbd opens it without overriding modes, and nobody else does. */
  int fd = lease__create(keeper->lease_dirfd, name, pool->identity.set ? pool->identity.uid : (uid_t)-1, getegid());
  if (fd >= 0) {
    *ret_leaf = leaf;
    return fd;
  }
  if (leaf >= 0) {
    (void)close(leaf);
    (void)cgroup__remove(keeper->cgroup_dirfd, name);
  }
  return fd;
}

void worker__start(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  struct pool *pool = slot->pool;
  if (worker__find_user(pool)) {
    char step[64];
    (void)snprintf(step, sizeof(step), "user '%s'", pool->config.user);
    fail(keeper, slot, step, -pool->identity_error, now_ns);
    return;
  }
  bool first = slot->generation == 0;
  slot->idle = pool->config.rules.idle;
  char name[LEASE_NAME_BYTES];
  int fd;
  _cleanup_fd_ int leaf = -1;
  do { /* a name is never used twice: somebody of before may still have that file open, or live in that cgroup */
    slot->generation++;
    publish__slot(keeper, slot);
    FAULT(NUMBERED);
    worker__lease_name(slot, name);
    fd = make_places(keeper, pool, name, &leaf);
  } while (fd == -EEXIST);
  struct spawn_error error = {.step = "lease", .error = -fd};
  if (fd < 0) {
    fail(keeper, slot, error.step, error.error, now_ns);
    return;
  }
  slot->lease_fd = fd;
  FAULT(LEASE_MADE);
  if (leaf >= 0)
    limit_pids(keeper, slot, leaf);
  error.error = -lease__key(fd, &slot->lease_key);
  if (error.error || run(keeper, slot, name, leaf, &error)) {
    (void)unlinkat(keeper->lease_dirfd, name, 0);
    (void)cgroup__remove(keeper->cgroup_dirfd, name);
    (void)close(fd);
    slot->lease_fd = -1;
    fail(keeper, slot, error.step, error.error, now_ns);
    return;
  }
  FAULT(SPAWNED);
  if (!first)
    pool->refilled++;
  started(keeper, slot, now_ns);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "adopt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adoptdir.h"
#include "cleanup.h"
#include "ebb/lease.h"
#include "fault.h"
#include "log.h"
#include "pidfd.h"
#include "proccgroup.h"
#include "procenv.h"
#include "procstat.h"
#include "publish.h"
#include "tell.h"
#include "worker.h"

/* From a process up to the first one. */
#define ANCESTORS_MAX 64

static bool adopts(const struct pool *pool) {
  return pool->config.rules.mode == EBB_MODE_ADOPT;
}

static bool takes_leases(const struct pool *pool) {
  return adopts(pool) && pool->config.rules.idle == EBB_IDLE_LEASE;
}

void adopt__make_places(struct keeper *keeper) {
  for_each_pool(pool, keeper) {
    if (!takes_leases(pool) || pool->removed || worker__find_user(pool))
      continue;
    int error = adoptdir__make(keeper->run_dirfd, pool->config.name, pool->identity.uid, getegid());
    if (error)
      log__error("%s: no place for leases of its workers: %s", pool->config.name, strerror(-error));
  }
}

static bool is_sooner(const struct slot *slot, const struct slot *other) {
  bool asked = slot->summoned_ns != 0, other_asked = other->summoned_ns != 0;
  return asked != other_asked ? asked : slot->number < other->number;
}

/* Where somebody was asked for already: the slots that are left over are those that ask again. */
static struct slot *empty_slot(struct keeper *keeper, const struct pool *pool) {
  struct slot *first = NULL;
  for_each_slot_of(slot, keeper, pool) {
    if (!worker__present(slot) && worker__wanted(keeper, slot) && (!first || is_sooner(slot, first)))
      first = slot;
  }
  return first;
}

/* A process, and whom it descends from. */
struct line {
  pid_t pids[ANCESTORS_MAX];
  int n;
};

static void line__read(struct line *line, pid_t pid) {
  struct procstat status;
  for (line->n = 0; line->n < ANCESTORS_MAX && pid > 0; pid = status.ppid) {
    line->pids[line->n++] = pid;
    if (procstat__read(pid, &status))
      return;
  }
}

static bool line__has(const struct line *line, pid_t pid) {
  for (int i = 0; i < line->n; i++)
    if (line->pids[i] == pid)
      return true;
  return false;
}

/* ebbd, whoever it comes from, and what it runs that is no worker. */
static bool is_ours(struct keeper *keeper, pid_t pid) {
  struct line self;
  line__read(&self, getpid());
  if (pid == keeper->watchdog.pid || line__has(&self, pid))
    return true;
  for_each_slot(slot, keeper) if (slot->summon.pid == pid) return true;
  return false;
}

/* A part of a worker, or, adopted ones having been started by anybody, the other way round. */
static bool is_in_a_pool(struct keeper *keeper, pid_t pid) {
  char lease[PATH_MAX + 64], ours[PATH_MAX + 8];
  size_t n = (size_t)snprintf(ours, sizeof(ours), "%s/lease/", keeper->run_path);
  if (procenv__read(pid, EBB_LEASE_ENV, lease, sizeof(lease)) == 0 && !strncmp(lease, ours, n))
    return true;
  struct line line, other = {.n = 0};
  line__read(&line, pid);
  for_each_slot(slot, keeper) {
    if (!worker__present(slot))
      continue;
    if (slot->adopted)
      line__read(&other, slot->pid);
    if (line__has(&line, slot->pid) || (slot->adopted && line__has(&other, pid)))
      return true;
  }
  return false;
}

bool adopt__is_users(const struct pool *pool, pid_t pid) {
  uid_t uid;
  return !pool->identity.set || (procuid__read(pid, &uid) == 0 && uid == pool->identity.uid);
}

/* Why it may not be adopted; NULL: it may. */
static const char *objection(struct keeper *keeper, const struct pool *pool, pid_t pid, struct procstat *ret) {
  if (procstat__read(pid, ret) || procstat__is_zombie(ret) || ret->exiting)
    return "no-process";
  if (pid == 1 || ret->kernel || is_ours(keeper, pid))
    return "no-worker";
  if (!adopt__is_users(pool, pid))
    return "other-user";
  const char *cgroup = pool->config.adopt_cgroup;
  if (cgroup[0] && proccgroup__is_within(pid, cgroup) != 1)
    return "other-cgroup";
  return is_in_a_pool(keeper, pid) ? "in-a-pool" : NULL;
}

/* The lease that it was started with; or for one that takes none, one that nobody takes. Descriptor or negative errno. */
static int find_lease(const struct keeper *keeper, const struct pool *pool, pid_t pid) {
  char path[PATH_MAX + 64];
  if (!takes_leases(pool))
    return -ENODATA;
  int error = procenv__read(pid, EBB_LEASE_ENV, path, sizeof(path));
  const char *name = error ? NULL : adoptdir__name(path, keeper->run_path, pool->config.name);
  if (!name)
    return error ? error : -ENOENT;
  return adoptdir__open(keeper->run_dirfd, pool->config.name, name, pool->identity.uid, getegid());
}

/* Under a name of our own that was never used before. */
static int name_lease(struct keeper *keeper, struct slot *slot, int theirs) {
  char name[LEASE_NAME_BYTES];
  int r;
  do {
    slot->generation++;
    publish__slot(keeper, slot);
    worker__lease_name(slot, name);
    if (theirs >= 0)
      r = adoptdir__link(theirs, keeper->lease_dirfd, name) ?: theirs;
    else
      r = lease__create(keeper->lease_dirfd, name, slot->pool->identity.uid, getegid());
  } while (r == -EEXIST);
  if (r < 0)
    return r;
  FAULT(LEASE_LINKED);
  if (lease__key(r, &slot->lease_key) == 0 && lease__order(r, EBB_ORDER_RUN) == 0)
    return r;
  (void)unlinkat(keeper->lease_dirfd, name, 0);
  if (theirs < 0)
    (void)close(r);
  return -EIO;
}

static void settle(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  slot->adopted = true;
  slot->ours = false;
  slot->idle = slot->pool->config.rules.idle;
  slot->recipe = 0;
  slot->born_ns = now_ns;
  slot->leased = slot->awaited = slot->was_serving = slot->retired = slot->rest_told = false;
  slot->kill_ns = slot->summoned_ns = 0;
  slot->fresh_bytes = EBB_UNKNOWN;
  slot->reason = REASON_NONE;
  worker__step(slot, SLOT_SPAWNED, now_ns);
  /* Locked before adoption is answered: no job that comes after that goes by the gate. */
  slot->holds = !worker__serves_at_once(slot) && lease__try_lock(slot->lease_fd) == 0;
  if (worker__serves_at_once(slot)) {
    slot->was_serving = true;
    worker__step(slot, SLOT_UP, now_ns);
    (void)lease__unlock(slot->lease_fd);
  }
  keeper->gate_ns = now_ns;
  worker__complete(keeper, slot, now_ns);
  slot->pool->refilled += slot->generation > 1;
}

/* Opened first, looked at then, and asked last whether it is still there: so all that was seen was of this one. */
const char *adopt__take(struct keeper *keeper, struct pool *pool, pid_t pid, uint64_t now_ns, struct slot **ret_slot) {
  if (!adopts(pool))
    return "no-adoption";
  struct slot *slot = empty_slot(keeper, pool);
  if (!slot)
    return pool->drained ? "drained" : "no-room";
  if (now_ns < pool->hold_refill_ns)
    return "hold";
  if (worker__find_user(pool))
    return "no-user";
  struct procstat status;
  _cleanup_fd_ int pidfd = pidfd__open(pid), theirs = -1;
  if (pidfd < 0)
    return "no-process";
  const char *refusal = objection(keeper, pool, pid, &status);
  if (refusal)
    return refusal;
  theirs = find_lease(keeper, pool, pid);
  if (theirs < 0 && takes_leases(pool))
    return "no-lease";
  if (pidfd__signal(pidfd, 0))
    return "no-process";
  int lease_fd = name_lease(keeper, slot, theirs);
  if (lease_fd < 0)
    return "no-lease";
  (void)steal_fd(&theirs); /* which is that one, where it had one */
  slot->lease_fd = lease_fd;
  slot->pid = pid;
  slot->pidfd = steal_fd(&pidfd);
  slot->start_time = status.start_time;
  settle(keeper, slot, now_ns);
  *ret_slot = slot;
  return NULL;
}

void adopt__record(struct keeper *keeper, const struct slot *slot, const struct command *command) {
  const struct audit_worker worker = worker__name(slot);
  audit__write(&keeper->audit,
               &(struct audit_record){.event = AUDIT_ADOPT, .id = command->id, .worker = &worker, .by = command->by});
  if (tell__is_for(slot))
    audit__write(&keeper->audit, &(struct audit_record){.event = AUDIT_READY, .worker = &worker});
}

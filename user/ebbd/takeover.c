/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "takeover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "adopt.h"
#include "board.h"
#include "cleanup.h"
#include "clock.h"
#include "ebb/lease.h"
#include "fault.h"
#include "log.h"
#include "override.h"
#include "pidfd.h"
#include "procenv.h"
#include "procstat.h"
#include "roster.h"
#include "summon.h"
#include "tell.h"
#include "text.h"
#include "units.h"
#include "worker.h"

/* What a worker of a pool without configuration is given. */
#define REMOVED_NS (30 * NS_PER_SEC)
/* A child that does not come to exec is killed by its own timer, see spawn.h. */
#define EXEC_WAIT_NS ((SPAWN_TIMEOUT_S + 1) * NS_PER_SEC)

static struct pool *make_removed(struct pool *pool, const char *name) {
  pool->config = (struct config_pool){.retire_signal = SIGTERM, .grace_ns = REMOVED_NS, .ready_timeout_ns = REMOVED_NS};
  pool->removed = true;
  (void)text__copy(pool->config.name, sizeof(pool->config.name), name);
  return pool;
}

/* The file has no such pool any more: it is kept until its workers have gone. */
static struct pool *pool_of(struct keeper *keeper, const char *name) {
  struct pool *pool = roster__known_pool(keeper, name);
  if (!pool && *name && (pool = roster__new_pool(keeper)))
    (void)make_removed(pool, name);
  return pool;
}

static bool has_worker(const struct board_view *before, uint32_t pool) {
  for (uint32_t i = 0; i < before->n_slots; i++)
    if (before->slots[i].pool == pool && (before->slots[i].pid > 0 || before->slots[i].spawned > 0))
      return true;
  return false;
}

/* To tell a framework by another signal than the file said might end its jobs. */
static int signal_of(const struct board_pool *record) {
  int number = record->retire_signal;
  bool catchable = number > 0 && number < SIGRTMIN && number != SIGKILL && number != SIGSTOP;
  return catchable ? number : SIGTERM;
}

/* What an operator asked for outlives us; so does what the watch has not answered yet. */
static void restore_pool(struct keeper *keeper, uint32_t index, const struct board_pool *record, uint64_t now_ns) {
  struct pool *pool = &keeper->pools[index];
  *pool = (struct pool){
      .index = index,
      .size = record->size,
      .drained = record->drained,
      .hold_retire_ns = record->hold_retire_ns,
      .hold_refill_ns = record->hold_refill_ns,
      .hold_watch_ns = record->hold_watch_ns,
      .pieces = record->pieces,
      .requests = record->requests,
      .requests_first = record->requests_first,
      .requested_ns = now_ns,
      .rolled_ns = record->rolled_ns < now_ns ? record->rolled_ns : 0,
      .batch = record->batch,
  };
  (void)make_removed(pool, record->name);
  pool->config.size = record->configured;
  pool->config.rules = record->rules; /* should the file not have it any more */
  pool->config.retire_signal = signal_of(record);
  pool->removed = config__pool_index(&keeper->config, record->name) < 0;
  if (!pool->removed)
    override__restore(pool, record);
}

void takeover__roster(struct keeper *keeper, const struct board_view *before, uint64_t now_ns) {
  for (uint32_t i = 0; i < before->n_pools; i++) {
    const char *name = before->pools[i].name;
    bool wanted = config__pool_index(&keeper->config, name) >= 0 || has_worker(before, i);
    if (*name && wanted && !roster__known_pool(keeper, name))
      restore_pool(keeper, i, &before->pools[i], now_ns);
  }
  for (uint32_t i = 0; i < before->n_slots; i++) {
    const struct board_slot *record = &before->slots[i];
    struct pool *pool = roster__known_pool(keeper, before->pools[record->pool].name);
    if (!pool || pool->index != record->pool || roster__slot(keeper, pool, record->slot))
      continue;
    struct slot *slot = roster__put_slot(keeper, before->index[i], pool, record->slot, now_ns);
    slot->generation = record->generation;
    slot->failures = record->failures;
    slot->first = record->first;
    slot->closed = record->closed <= PLACE_SURPLUS ? (enum slot_place)record->closed : PLACE_EMPTIED;
    summon__restore(slot, record->kind & BOARD_SLOT_SUMMONED, now_ns);
  }
}

/*
 * The pid of a record may be anybody's by now: only start time and lease together prove that it is the worker. One that
 * shows a title in place of its environment names no lease; of that one, session and user have to be the worker's. Without
 * a start time, only the lease counts. 1, 0, or negative errno: it cannot be told.
 */
static int is_worker(const struct slot *slot, int lease_fd, const struct board_slot *record) {
  char lease[LEASE_PATH_BYTES], expected[LEASE_PATH_BYTES];
  struct procstat status;
  int error = procstat__read(record->pid, &status);
  if (error)
    return error == -ESRCH ? 0 : error;
  if (record->start_time && status.start_time != record->start_time)
    return 0;
  if (record->kind & BOARD_SLOT_ADOPTED)
    return record->start_time && !procstat__is_zombie(&status) && adopt__is_users(slot->pool, record->pid);
  worker__lease_path(slot, expected);
  if (procenv__read(record->pid, EBB_LEASE_ENV, lease, sizeof(lease)) == 0)
    return !strcmp(lease, expected);
  return record->start_time && !procstat__is_zombie(&status) && status.session == record->pid &&
         takeover__is_owners(record->pid, lease_fd);
}

/* It was cloned, but nobody knows whether it has come to exec, and until then it looks like the ebbd that it came from. */
static int comes_to_exec(const struct slot *slot, int lease_fd, const struct board_slot *record) {
  const struct timespec moment = {.tv_nsec = (long)NS_PER_MS};
  uint64_t until_ns = clock__monotonic_ns() + EXEC_WAIT_NS;
  struct procstat status;
  for (;;) {
    int found = is_worker(slot, lease_fd, record);
    if (found)
      return found;
    if (procstat__read(record->pid, &status) || procstat__is_zombie(&status) || clock__monotonic_ns() > until_ns)
      return 0;
    (void)nanosleep(&moment, NULL);
  }
}

/* Opened first, then checked: what the descriptor names cannot become another process. 0, -ESRCH: it is gone, or another
 * negative errno: it cannot be told. */
static int take_process(struct keeper *keeper, struct slot *slot, const struct board_slot *record, bool spawned) {
  char name[LEASE_NAME_BYTES];
  worker__lease_name(slot, name);
  _cleanup_fd_ int pidfd = FAULT_FAILS(NO_PIDFD) ? -errno : pidfd__open(record->pid);
  if (pidfd < 0)
    return pidfd;
  _cleanup_fd_ int lease_fd = lease__open(keeper->lease_dirfd, name);
  if (lease_fd < 0)
    return lease_fd == -ENOENT || lease_fd == -EPROTO || lease_fd == -ELOOP ? -ESRCH : lease_fd;
  int error = (spawned ? comes_to_exec : is_worker)(slot, lease_fd, record);
  if (error <= 0)
    return error ? error : -ESRCH;
  error = lease__key(lease_fd, &slot->lease_key);
  if (error)
    return error;
  slot->pid = record->pid;
  slot->pidfd = steal_fd(&pidfd);
  slot->lease_fd = steal_fd(&lease_fd);
  return 0;
}

/* The board says what it was started as; who was found without one is taken for what its pool is. */
static uint32_t idle_of(const struct slot *slot, const struct board_slot *record) {
  if (record->kind & BOARD_SLOT_FOUND)
    return slot->pool->config.rules.idle;
  return record->kind & BOARD_SLOT_SIGNALLED ? EBB_IDLE_SIGNAL : EBB_IDLE_LEASE;
}

/* Without a board, its lease tells: X is written before anybody is told. */
static bool was_told(const struct slot *slot, const struct board_slot *record) {
  char lease[EBB_LEASE_BYTES];
  return (record->kind & BOARD_SLOT_FOUND) && tell__is_for(slot) && !lease__read(slot->lease_fd, lease) &&
         lease[0] == EBB_ORDER_EXIT;
}

/* A fence died with the ebbd that held it, and the watch asks anew for what it wanted; others do not. What goes when its
 * successor is ready is marked, and goes on so: the successor may be there, and serve. One that holds its
 * lease uses it. One that never came to its lease finds it locked again, so that it cannot start a job unseen. */
static void settle(struct keeper *keeper, struct slot *slot, const struct board_slot *record, uint64_t now_ns) {
  slot->first = slot->first && record->reason > REASON_NONE && record->reason < REASON_UNLEASED;
  slot->recipe = record->recipe;
  slot->adopted = record->kind & BOARD_SLOT_ADOPTED;
  slot->idle = idle_of(slot, record);
  slot->told_once = record->told || was_told(slot, record);
  bool due = (record->reason == REASON_REQUEST && !slot->first) || slot->told_once;
  slot->leased = record->leased;
  slot->was_serving = slot->leased || worker__serves_at_once(slot);
  slot->holds = !slot->leased && !tell__is_for(slot) && lease__try_lock(slot->lease_fd) == 0;
  slot->fresh_bytes = record->fresh_bytes;
  slot->trimmed_ns = record->trimmed_ns;
  slot->born_ns = record->born_ns && record->born_ns < now_ns ? record->born_ns : now_ns;
  slot->since_ns = now_ns;
  bool goes_on = slot->told_once && record->reason < REASON_N; /* … for the same reason */
  slot->reason = goes_on || slot->first ? (enum reason)record->reason : due ? REASON_REQUEST : REASON_NONE;
  slot->state = due ? EBB_SLOT_DUE : slot->was_serving ? EBB_SLOT_SERVING : EBB_SLOT_STARTING;
  keeper->gate_ns = now_ns;
  (void)lease__order(slot->lease_fd, due ? EBB_ORDER_EXIT : EBB_ORDER_RUN);
  worker__complete(keeper, slot, now_ns);
}

/*
 * Its process ended while nobody looked, or had before and something of the worker was still there: a helper in the middle
 * of a job, perhaps. The ordinary way out looks for that, and only then the slot is free.
 */
static void take_rest(struct keeper *keeper, struct slot *slot, const struct board_slot *record, uint64_t now_ns) {
  char name[LEASE_NAME_BYTES];
  worker__lease_name(slot, name);
  slot->pid = record->pid;
  slot->adopted = record->kind & BOARD_SLOT_ADOPTED;
  slot->lease_fd = lease__open(keeper->lease_dirfd, name);
  slot->leased = slot->was_serving = record->leased && slot->lease_fd >= 0;
  slot->retired = record->state == EBB_SLOT_DUE || record->state == EBB_SLOT_RETIRING;
  slot->born_ns = record->born_ns;
  slot->state = EBB_SLOT_LEAVING;
  slot->since_ns = slot->try_ns = now_ns;
  if (record->state == EBB_SLOT_LEAVING)
    return;
  struct audit_worker worker = worker__name(slot);
  audit__write(&keeper->audit,
               &(struct audit_record){.event = AUDIT_EXITED, .worker = &worker, .text = "while there was no ebbd"});
}

/* Made when the configuration has none, or fewer: as surplus, so that nobody else is started there. */
static struct slot *slot_of(struct keeper *keeper, struct pool *pool, uint32_t number, uint64_t now_ns) {
  struct slot *slot = roster__slot(keeper, pool, number);
  if (!slot && number < EBB_SLOTS_MAX && (slot = roster__add_slot(keeper, pool, number, now_ns)))
    slot->closed = PLACE_SURPLUS;
  return slot;
}

/* 1: taken over, 0: nobody there, or negative errno. */
static int take(struct keeper *keeper, const struct board_view *before, struct board_slot record, uint64_t now_ns) {
  bool spawned = record.pid <= 0;
  if (spawned) {
    record.pid = record.spawned;
    record.start_time = 0;
  }
  if (record.pid <= 0 || record.pool >= before->n_pools || record.generation == 0)
    return 0;
  struct pool *pool = pool_of(keeper, before->pools[record.pool].name);
  struct slot *slot = pool ? slot_of(keeper, pool, record.slot, now_ns) : NULL;
  if (!slot || slot->pid || record.generation < slot->generation)
    return 0;
  if (slot->start_time && slot->start_time != record.start_time)
    return 0; /* the board knows when its worker began: this one is a helper of it */
  slot->generation = record.generation;
  slot->start_time = record.start_time;
  int error = take_process(keeper, slot, &record, spawned);
  if (error)
    return error == -ESRCH ? 0 : error;
  settle(keeper, slot, &record, now_ns);
  FAULT(WORKER_TAKEN);
  struct audit_worker worker = worker__name(slot);
  audit__write(&keeper->audit, &(struct audit_record){.event = AUDIT_TAKEOVER,
                                                      .worker = &worker,
                                                      .reason = slot->reason ? reason__name(slot->reason) : NULL});
  return 1;
}

int takeover__run(struct keeper *keeper, const struct board_view *before, uint64_t now_ns) {
  int n = 0;
  for (uint32_t i = 0; i < before->n_slots; i++) {
    int taken = take(keeper, before, before->slots[i], now_ns);
    if (taken < 0) {
      log__error("%s/%u: pid %d cannot be taken over: %s", before->pools[before->slots[i].pool].name,
                 before->slots[i].slot, before->slots[i].pid, strerror(-taken));
      return taken;
    }
    n += taken;
  }
  return n;
}

/* Whatever is no longer known of it, it is not what a worker left behind: it finds by its lease that it has to go. */
static bool lives(const struct board_slot *record) {
  struct procstat status;
  return !procstat__read(record->pid, &status) && status.start_time == record->start_time &&
         !procstat__is_zombie(&status);
}

void takeover__rest(struct keeper *keeper, const struct board_view *before, uint64_t now_ns) {
  for (uint32_t i = 0; i < before->n_slots; i++) {
    const struct board_slot *record = &before->slots[i];
    struct pool *pool = roster__known_pool(keeper, before->pools[record->pool].name);
    struct slot *slot = pool ? roster__slot(keeper, pool, record->slot) : NULL;
    /* Without a start time, what else is of that worker cannot be told from what is of another process. */
    if (slot && !slot->pid && record->pid > 0 && record->start_time && slot->generation == record->generation &&
        !lives(record))
      take_rest(keeper, slot, record, now_ns);
  }
}

/* Of a worker that was about to be adopted, or has gone: only the name is ours. */
static bool is_borrowed(const struct pool *pool, int fd) {
  struct stat st;
  return pool && pool->config.rules.mode == EBB_MODE_ADOPT && fd >= 0 && fstat(fd, &st) == 0 && st.st_nlink > 1;
}

/*
 * A lease that no worker has: its worker ended while nobody looked, or was never started. Or it lives unseen, with neither a
 * board nor an environment that tells of it: then it finds that it has to go when it comes to its lease, since its slot is
 * filled again. A file that is no lease (yet) is one that an ebbd was killed over.
 */
static void sweep(struct keeper *keeper, const char *name, uint64_t now_ns) {
  char pool_name[EBB_NAME_BYTES];
  struct board_slot found;
  if (!takeover__parse_name(name, pool_name, &found))
    return;
  struct pool *pool = roster__known_pool(keeper, pool_name);
  struct slot *slot = pool ? slot_of(keeper, pool, found.slot, now_ns) : NULL;
  if (slot && slot->pid && slot->generation == found.generation)
    return;
  _cleanup_fd_ int fd = lease__open(keeper->lease_dirfd, name);
  bool borrowed = is_borrowed(pool, fd);
  if (fd < 0 ? fd != -EPROTO : !borrowed && (lease__order(fd, EBB_ORDER_EXIT) || lease__try_lock(fd)))
    return;
  if (borrowed)
    (void)lease__order(fd, EBB_ORDER_RUN);
  if (slot && !slot->pid && slot->generation < found.generation) /* its name is not used again */
    slot->generation = found.generation;
  (void)unlinkat(keeper->lease_dirfd, name, 0);
  FAULT(LEASE_SWEPT);
}

void takeover__sweep(struct keeper *keeper, uint64_t now_ns) {
  int fd = openat(keeper->lease_dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  _cleanup_dir_ DIR *directory = fd < 0 ? NULL : fdopendir(fd);
  const struct dirent *entry;
  while (directory && (entry = readdir(directory)))
    sweep(keeper, entry->d_name, now_ns);
  if (!directory && fd >= 0)
    (void)close(fd);
}

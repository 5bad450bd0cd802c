/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "takeover.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "board.h"
#include "cleanup.h"
#include "ebb/lease.h"
#include "pidfd.h"
#include "procstat.h"
#include "roster.h"
#include "text.h"
#include "units.h"
#include "worker.h"

/* What a worker of a pool without configuration is given. */
#define REMOVED_NS (30 * NS_PER_SEC)

static bool is_owners(pid_t pid, int lease_fd) {
  struct stat lease;
  uid_t uid;
  return fstat(lease_fd, &lease) == 0 && procuid__read(pid, &uid) == 0 && uid == lease.st_uid;
}

/*
 * The pid of a record may be anybody's by now: only start time and lease together prove that it is the worker. One that
 * shows a title in place of its environment names no lease; of that one, session and user have to be the worker's.
 */
static bool is_worker(const struct keeper *keeper, const char *name, int lease_fd, const struct board_slot *record) {
  char lease[PATH_MAX + LEASE_NAME_BYTES], expected[PATH_MAX + LEASE_NAME_BYTES + 8];
  struct procstat status;
  if (procstat__read(record->pid, &status) || status.start_time != record->start_time)
    return false;
  (void)snprintf(expected, sizeof(expected), "%s/lease/%s", keeper->run_path, name);
  if (procenv__read(record->pid, EBB_LEASE_ENV, lease, sizeof(lease)) == 0)
    return !strcmp(lease, expected);
  return status.state != 'Z' && status.session == record->pid && is_owners(record->pid, lease_fd);
}

/* Opened first, then checked: what the descriptor names cannot become another process. */
static bool take_process(struct keeper *keeper, struct slot *slot, const struct board_slot *record) {
  char name[LEASE_NAME_BYTES];
  worker__lease_name(slot, name);
  _cleanup_fd_ int pidfd = pidfd__open(record->pid), lease_fd = lease__open(keeper->lease_dirfd, name);
  if (pidfd < 0 || lease_fd < 0 || !is_worker(keeper, name, lease_fd, record) || lease__key(lease_fd, &slot->lease_key))
    return false;
  slot->pid = record->pid;
  slot->pidfd = pidfd;
  slot->lease_fd = lease_fd;
  if (worker__watch_exit(keeper, slot)) {
    slot->pid = 0;
    slot->pidfd = slot->lease_fd = -1;
    return false;
  }
  (void)steal_fd(&pidfd);
  (void)steal_fd(&lease_fd);
  return true;
}

/* A fence died with the ebbd that held it, and a retirement is asked for anew by whoever wants it. One that holds its
 * lease uses it. One that never came to its lease finds it locked again, so that it cannot start a job unseen. */
static void settle(struct keeper *keeper, struct slot *slot, const struct board_slot *record, uint64_t now_ns) {
  int error = record->leased ? 0 : lease__try_lock(slot->lease_fd);
  slot->holds = !record->leased && !error;
  slot->leased = slot->was_serving = record->leased || error == -EWOULDBLOCK; /* others say nothing about its use */
  slot->start_time = record->start_time;
  slot->recipe = record->recipe;
  slot->fresh_bytes = record->fresh_bytes;
  slot->born_ns = record->born_ns && record->born_ns < now_ns ? record->born_ns : now_ns;
  slot->state = slot->leased ? EBB_SLOT_SERVING : EBB_SLOT_STARTING;
  keeper->gate_ns = now_ns;
  (void)lease__order(slot->lease_fd, EBB_ORDER_RUN);
}

/* The file has no such pool any more: it is kept until its workers have gone. */
static struct pool *pool_of(struct keeper *keeper, const char *name) {
  for_each_pool(pool, keeper) if (!strcmp(pool->config.name, name)) return pool;
  struct pool *pool = *name ? roster__new_pool(keeper) : NULL;
  if (!pool)
    return NULL;
  pool->config = (struct config_pool){.retire_signal = SIGTERM, .grace_ns = REMOVED_NS, .ready_timeout_ns = REMOVED_NS};
  pool->removed = true;
  (void)text__copy(pool->config.name, sizeof(pool->config.name), name);
  return pool;
}

static bool take(struct keeper *keeper, const struct board_view *before, const struct board_slot *record,
                 uint64_t now_ns) {
  if (record->pool >= before->n_pools || record->generation == 0)
    return false;
  struct pool *pool = pool_of(keeper, before->pools[record->pool].name);
  struct slot *slot = pool ? roster__slot(keeper, pool, record->slot) : NULL;
  bool extra = pool && !slot;
  if (extra)
    slot = roster__add_slot(keeper, pool, record->slot, now_ns);
  if (!slot || slot->pid)
    return false;
  if (record->generation > slot->generation)
    slot->generation = record->generation;
  slot->failures = record->failures;
  slot->closed |= extra;
  if (record->pid <= 0 || record->generation != slot->generation || !take_process(keeper, slot, record))
    return false;
  settle(keeper, slot, record, now_ns);
  slot->since_ns = now_ns;
  struct audit_worker worker = worker__name(slot);
  audit__write(&keeper->audit, &(struct audit_record){.event = AUDIT_TAKEOVER, .worker = &worker});
  return true;
}

/* A drain or hold that an operator asked for outlives us. */
static void take_wishes(struct keeper *keeper, const struct board_view *before) {
  for (uint32_t i = 0; i < before->n_pools; i++) {
    struct pool *pool = roster__pool(keeper, before->pools[i].name);
    if (!pool)
      continue;
    pool->drained |= before->pools[i].drained;
    pool->hold_retire_ns = before->pools[i].hold_retire_ns;
    pool->hold_refill_ns = before->pools[i].hold_refill_ns;
  }
}

int takeover__run(struct keeper *keeper, const struct board_view *before, uint64_t now_ns) {
  int n = 0;
  take_wishes(keeper, before);
  for (uint32_t i = 0; i < before->n_slots; i++)
    n += take(keeper, before, &before->slots[i], now_ns);
  roster__tidy(keeper);
  return n;
}

/* "<pool>.<slot>.<generation>", as worker__lease_name makes it. */
static bool parse_name(const char *name, char *pool, struct board_slot *ret) {
  int end = 0;
  return sscanf(name, "%31[A-Za-z0-9_-].%u.%u%n", pool, &ret->slot, &ret->generation, &end) == 3 && !name[end] &&
         ret->generation > 0;
}

static uint32_t pool_index(struct board_view *view, const char *name) {
  for (uint32_t i = 0; i < view->n_pools; i++)
    if (!strcmp(view->pools[i].name, name))
      return i;
  if (view->n_pools < EBB_POOLS_MAX)
    (void)text__copy(view->pools[view->n_pools++].name, EBB_NAME_BYTES, name);
  return view->n_pools - 1;
}

/* Of two session leaders with one lease, the older one is the worker, and the other its helper. */
static struct board_slot *place_of(struct board_view *view, const struct board_slot *found) {
  for (uint32_t i = 0; i < view->n_slots; i++) {
    struct board_slot *record = &view->slots[i];
    if (record->pool == found->pool && record->slot == found->slot && record->generation == found->generation)
      return record->start_time <= found->start_time ? NULL : record;
  }
  return view->n_slots < EBB_SLOTS_MAX ? &view->slots[view->n_slots++] : NULL;
}

/*
 * A worker's leader leads its session: the others of its lease are its descendants. Anybody can write the name of a lease
 * into an environment, so there has to be such a lease, and of that user.
 */
static void search_process(const struct keeper *keeper, pid_t pid, struct board_view *view) {
  char lease[PATH_MAX + LEASE_NAME_BYTES], directory[PATH_MAX + 8], pool[EBB_NAME_BYTES];
  struct procstat status;
  int n = snprintf(directory, sizeof(directory), "%s/lease/", keeper->run_path);
  if (procstat__read(pid, &status) || status.session != pid || status.state == 'Z' ||
      procenv__read(pid, EBB_LEASE_ENV, lease, sizeof(lease)) || strncmp(lease, directory, (size_t)n) != 0)
    return;
  struct board_slot found = {.pid = pid, .start_time = status.start_time, .fresh_bytes = EBB_UNKNOWN};
  if (!parse_name(lease + n, pool, &found))
    return;
  _cleanup_fd_ int lease_fd = lease__open(keeper->lease_dirfd, lease + n);
  if (lease_fd < 0 || !is_owners(pid, lease_fd))
    return;
  found.pool = pool_index(view, pool);
  struct board_slot *record = place_of(view, &found);
  if (record)
    *record = found;
}

int takeover__search(const struct keeper *keeper, struct board_view *ret_view) {
  _cleanup_dir_ DIR *directory = opendir("/proc");
  const struct dirent *entry;
  *ret_view = (struct board_view){0};
  while (directory && (entry = readdir(directory)))
    if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
      search_process(keeper, atoi(entry->d_name), ret_view);
  return (int)ret_view->n_slots;
}

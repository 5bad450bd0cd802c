/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Workers that no board names: by the lease in their environment. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "board.h"
#include "cleanup.h"
#include "ebb/lease.h"
#include "procenv.h"
#include "procstat.h"
#include "takeover.h"
#include "text.h"
#include "worker.h"

bool takeover__is_owners(pid_t pid, int lease_fd) {
  struct stat lease;
  uid_t uid;
  return fstat(lease_fd, &lease) == 0 && procuid__read(pid, &uid) == 0 && uid == lease.st_uid;
}

bool takeover__parse_name(const char *name, char *pool, struct board_slot *ret) {
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
  if (procstat__read(pid, &status) || status.session != pid || procstat__is_zombie(&status) ||
      procenv__read(pid, EBB_LEASE_ENV, lease, sizeof(lease)) || strncmp(lease, directory, (size_t)n) != 0)
    return;
  struct board_slot found = {
      .pid = pid, .start_time = status.start_time, .fresh_bytes = EBB_UNKNOWN, .kind = BOARD_SLOT_FOUND};
  if (!takeover__parse_name(lease + n, pool, &found))
    return;
  _cleanup_fd_ int lease_fd = lease__open(keeper->lease_dirfd, lease + n);
  if (lease_fd < 0 || !takeover__is_owners(pid, lease_fd))
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

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "lease_paths.h"

#include <string.h>

/* The directory with its slash, and the longest name. */
static size_t room_for(const char *path) {
  const char *slash = strrchr(path, '/');
  return (slash ? (size_t)(slash - path) + 1 : 0) + LEASE_PATHS_NAME_BYTES;
}

const char *lease_paths__put(struct lease_paths *paths, uint32_t worker, const char *path) {
  size_t n = strlen(path) + 1;
  if (!paths->room)
    paths->room = room_for(path);
  if (n > paths->room || (worker + 1) * paths->room > sizeof(paths->bytes))
    return NULL;
  return memcpy(paths->bytes + worker * paths->room, path, n);
}

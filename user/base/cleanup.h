/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Scope-bound release. `_cleanup_(f)` calls f with the address of the variable; f accepts NULL and -1. */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_fd_ _cleanup_(cleanup__fd)
#define _cleanup_free_ _cleanup_(cleanup__free)
#define _cleanup_file_ _cleanup_(cleanup__file)
#define _cleanup_dir_ _cleanup_(cleanup__dir)

static inline void cleanup__fd(int *fd) {
  if (*fd >= 0)
    (void)close(*fd);
}

static inline void cleanup__free(void *pointer) {
  free(*(void **)pointer);
}

static inline void cleanup__file(FILE **file) {
  if (*file)
    (void)fclose(*file);
}

static inline void cleanup__dir(DIR **dir) {
  if (*dir)
    (void)closedir(*dir);
}

/* Hand ownership of a descriptor to the caller. */
static inline int steal_fd(int *fd) {
  int taken = *fd;
  *fd = -1;
  return taken;
}

#endif

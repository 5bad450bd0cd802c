/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Texts read from files, each with the name that messages give it. */
#ifndef BASE_SOURCE_H
#define BASE_SOURCE_H

#include <stddef.h>

#define SOURCE_BYTES_MAX (1024 * 1024) /* a longer file is not a configuration */
#define SOURCES_MAX 256

struct source {
  char *name; /* path */
  char *data; /* n bytes and a NUL */
  size_t n;
};

struct sources {
  struct source items[SOURCES_MAX];
  size_t n;
};

/* Read the file `path`, then every *.conf of the directory `pools.d` beside it in byte order of their names (no such
 * directory: fine). 0 or negative errno (-EFBIG, -E2BIG: too large, too many) with the path at fault in ret->items[0].name
 * when known; free in either case. */
int sources__read(struct sources *ret, const char *path);
void sources__free(struct sources *sources);

#endif

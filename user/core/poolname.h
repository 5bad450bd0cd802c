/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What a pool may be called. The name goes into file names and into the FIFO's grammar, where `all` is every pool. */
#ifndef CORE_POOLNAME_H
#define CORE_POOLNAME_H

#include <stdbool.h>
#include <string.h>

#include "ebb/bounds.h"

#define POOL_NAME_EXPECTED "a pool name: at most 31 of A-Z a-z 0-9 _ -, beginning with a letter or digit, not `all`"
_Static_assert(EBB_NAME_BYTES == 32, "the number in POOL_NAME_EXPECTED");

#define POOL_NAME_FIRST "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static inline bool pool_name__valid(const char *name) {
  size_t n = strspn(name, POOL_NAME_FIRST "_-");
  return n > 0 && n < EBB_NAME_BYTES && !name[n] && strchr(POOL_NAME_FIRST, name[0]) && strcmp(name, "all") != 0;
}

#endif

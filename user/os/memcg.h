/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The memory that our own container leaves us: limits of the memory cgroups that we are in, ours and those around it, as far
 * as they can be seen from here; version 1 where it has the memory controller, else version 2. No cgroup is made or changed.
 */
#ifndef OS_MEMCG_H
#define OS_MEMCG_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "meminfo.h"

struct memcg {
  char path[PATH_MAX]; /* directory of the cgroup that we are in; empty: none found */
  size_t top;          /* bytes of it that name the mount: nothing above that is seen */
  int version;
};

/* Find ours. 0; -ENOENT: there is none. */
int memcg__find(struct memcg *ret);
/* The same by the text of those two files instead of our own. */
int memcg__find_in(struct memcg *ret, const char *cgroup_path, const char *mountinfo_path);

/*
 * The lowest limit, and the least that is left under any: what is used, less the page cache that has not been touched for a
 * while. 0, or -ENOENT: nothing limits us, or it cannot be read.
 */
int memcg__read(const struct memcg *memcg, uint64_t *ret_limit_bytes, uint64_t *ret_left_bytes);

/* What there is for us, and is available: the host's memory, or less where a container leaves us less. Of ours, found anew: for
 * who asks now and then. 0 or negative errno. */
int memory__read(struct meminfo *ret);
/* The same by a memcg that was found before. */
int memory__read_in(const struct memcg *memcg, struct meminfo *ret);

#endif

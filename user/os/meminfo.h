/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Memory of the host. */
#ifndef OS_MEMINFO_H
#define OS_MEMINFO_H

#include <stdint.h>

struct meminfo {
  uint64_t total_bytes;
  uint64_t available_bytes;
};

/* 0 or -EPROTO when a line is missing or malformed. */
int meminfo__parse(const char *text, struct meminfo *ret);
int meminfo__read(struct meminfo *ret);

/* Pages that moved because memory was short: direct reclaim, swap-in and swap-out, refaults; from /proc/vmstat. A sum
 * that only grows; an event may count twice. Counters that a kernel lacks count as 0. It is not still on a calm host
 * either: tens of pages a second mean nothing, thrashing moves thousands. */
uint64_t vmstat__moved(const char *text);
int vmstat__read_moved(uint64_t *ret_pages);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "meminfo.h"

#include <errno.h>
#include <fcntl.h>

#include "kernfile.h"

int meminfo__parse(const char *text, struct meminfo *ret) {
  struct meminfo found;

  if (kernfile__kib(text, "MemTotal:", &found.total_bytes) ||
      kernfile__kib(text, "MemAvailable:", &found.available_bytes))
    return -EPROTO;
  *ret = found;
  return 0;
}

int meminfo__read(struct meminfo *ret) {
  char text[8 * 1024];
  int err = kernfile__read("/proc/meminfo", text, sizeof(text));

  return err ? err : meminfo__parse(text, ret);
}

/*
 * Measured on Linux 6.18: a cgroup that thrashes 128 MiB of page cache within 64 MiB moves workingset_refault_file by
 * 250,000 a second, one that thrashes as much anonymous memory pswpin, pswpout and workingset_refault_anon by 22,000
 * each; pgscan_direct and allocstall stay still, because they count reclaim of the whole host alone.
 */
uint64_t vmstat__moved(const char *text) {
  static const char *const counters[] = {
      "pgscan_direct",      "pswpin", "pswpout", "workingset_refault_anon", "workingset_refault_file",
      "workingset_refault", /* both kinds, before Linux 5.9 */
  };
  uint64_t sum = 0, pages;

  for (size_t i = 0; i < sizeof(counters) / sizeof(*counters); i++)
    if (!kernfile__number(text, counters[i], &pages))
      sum += pages;
  return sum;
}

int vmstat__read_moved(uint64_t *ret_pages) {
  char text[32 * 1024];
  int err = kernfile__read("/proc/vmstat", text, sizeof(text));

  if (!err)
    *ret_pages = vmstat__moved(text);
  return err;
}

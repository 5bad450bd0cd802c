/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "members.h"

#include <errno.h>

int members__memory(const pid_t *pids, size_t n, struct procmem *ret) {
  struct procmem sum = {0}, one;
  size_t found = 0;
  for (size_t i = 0; i < n; i++) {
    int r = procmem__read(pids[i], &one);
    if (r == -ESRCH)
      continue;
    if (r)
      return r;
    sum.anon_bytes += one.anon_bytes;
    sum.shmem_bytes += one.shmem_bytes;
    sum.swap_bytes += one.swap_bytes;
    found++;
  }
  if (!found)
    return -ESRCH;
  *ret = sum;
  return 0;
}

int members__faults(const pid_t *pids, size_t n, struct members_faults *ret) {
  struct members_faults sum = {0};
  struct procstat one;
  size_t found = 0;
  for (size_t i = 0; i < n; i++) {
    int r = procstat__read(pids[i], &one);
    if (r == -ESRCH)
      continue;
    if (r)
      return r;
    sum.minor += one.minor_faults;
    sum.major += one.major_faults;
    found++;
  }
  if (!found)
    return -ESRCH;
  *ret = sum;
  return 0;
}

int members__private(const pid_t *pids, size_t n, uint64_t *ret_bytes) {
  uint64_t own = 0, shares = 0;
  size_t found = 0;
  for (size_t i = 0; i < n; i++) {
    struct procrollup one;
    int r = procrollup__read(pids[i], &one);
    if (r == -ESRCH)
      continue;
    if (r)
      return r;
    own += one.own_bytes;
    shares += one.share_bytes;
    found++;
  }
  struct procmem mem;
  int r = found ? members__memory(pids, n, &mem) : -ESRCH;
  if (r)
    return r;
  uint64_t bytes = found == 1 ? own : shares;
  *ret_bytes = bytes < procmem__sum(&mem) ? bytes : procmem__sum(&mem);
  return 0;
}

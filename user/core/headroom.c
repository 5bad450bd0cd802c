/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "headroom.h"

#include "ebb/bounds.h"

bool headroom__has(uint64_t available_bytes, uint64_t needed_bytes, uint64_t reserve_bytes) {
  if (available_bytes == EBB_UNKNOWN || needed_bytes == EBB_UNKNOWN || reserve_bytes == EBB_UNKNOWN)
    return false;
  return available_bytes > needed_bytes && available_bytes - needed_bytes > reserve_bytes;
}

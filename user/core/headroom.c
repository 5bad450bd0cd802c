/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "headroom.h"

#include "ebb/bounds.h"

bool headroom__has(uint64_t available, uint64_t needed, uint64_t reserve) {
  return available != EBB_UNKNOWN && needed != EBB_UNKNOWN && available > needed && available - needed > reserve;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "moved.h"

#include "units.h"

static bool is_fast(uint64_t pages, uint64_t passed_ns) {
  return (double)pages * (double)NS_PER_SEC >= (double)passed_ns * MOVED_PAGES_PER_S;
}

bool moved__sample(struct moved *moved, uint64_t now_ns, uint64_t pages) {
  uint64_t passed_ns = now_ns - moved->since_ns;
  if (passed_ns >= MOVED_WINDOW_NS) {
    if (moved->since_ns && pages > moved->pages && is_fast(pages - moved->pages, passed_ns))
      moved->moved_ns = now_ns;
    moved->pages = pages;
    moved->since_ns = now_ns;
  }
  return moved->moved_ns && now_ns - moved->moved_ns < MOVED_NS;
}

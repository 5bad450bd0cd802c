/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Does the host reclaim or swap in? A few pages always move; only a rate says something, and only over a while. Pure. */
#ifndef CORE_MOVED_H
#define CORE_MOVED_H

#include <stdbool.h>
#include <stdint.h>

#define MOVED_NS (3000ULL * 1000000ULL)       /* "within the last seconds" */
#define MOVED_WINDOW_NS (200ULL * 1000000ULL) /* a rate is taken over this at least */
#define MOVED_PAGES_PER_S 256                 /* an idle host refaults up to 60 pages a second */

/* Zeroed, nothing is known. */
struct moved {
  uint64_t pages, since_ns, moved_ns;
};

/* Pages that have ever moved, at any rhythm. true: they have within the last seconds. */
bool moved__sample(struct moved *moved, uint64_t now_ns, uint64_t pages);

#endif

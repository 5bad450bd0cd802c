/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Is there memory for one more worker beside those that are there? Pure. */
#ifndef CORE_HEADROOM_H
#define CORE_HEADROOM_H

#include <stdbool.h>
#include <stdint.h>

/* More than `reserve` is left of what is available when as much as is needed has been taken of it. What is not known
 * (EBB_UNKNOWN) is not there: false. All in bytes. */
bool headroom__has(uint64_t available, uint64_t needed, uint64_t reserve);

#endif

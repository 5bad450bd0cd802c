/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* May a worker be started beside those that are there, or would just that be what kills the host? */
#ifndef CORE_HEADROOM_H
#define CORE_HEADROOM_H

#include <stdbool.h>
#include <stdint.h>

/* Is more than the reserve still available when so much is taken? Not while any of it is EBB_UNKNOWN. */
bool headroom__has(uint64_t available_bytes, uint64_t needed_bytes, uint64_t reserve_bytes);

#endif

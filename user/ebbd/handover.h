/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* From the last ebbd to this one: what its board says, then the configuration, then who runs. */
#ifndef EBBD_HANDOVER_H
#define EBBD_HANDOVER_H

#include "keeper.h"

/* Make the board ours, with all pools and slots, and the workers that are there. 0 or negative errno. */
int handover__run(struct keeper *keeper);

#endif

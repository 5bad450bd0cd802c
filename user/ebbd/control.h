/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The control FIFO: lines in, commands carried out, each answered in the audit. */
#ifndef EBBD_CONTROL_H
#define EBBD_CONTROL_H

#include "keeper.h"

/* Serve the FIFO. 0 or negative errno. */
int control__open(struct keeper *keeper);
/* Take it away, so that senders see that nobody serves it. */
void control__close(struct keeper *keeper);

#endif

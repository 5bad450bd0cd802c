/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Keep the board equal to what the keeper knows. */
#ifndef EBBD_PUBLISH_H
#define EBBD_PUBLISH_H

#include "keeper.h"

/* Store this slot's record now, rather than at the end of the turn. */
void publish__slot(struct keeper *keeper, const struct slot *slot);
/* Store every record that differs from the one on the board. */
void publish__all(struct keeper *keeper);
/* The same at the end of a turn. true when any did since the last turn. */
bool publish__turn(struct keeper *keeper);

#endif

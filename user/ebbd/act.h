/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What each command of the grammar does. */
#ifndef EBBD_ACT_H
#define EBBD_ACT_H

#include "keeper.h"

/* Carry it out, with its audit records. NULL, or the reason why it was refused (then nothing has changed). */
const char *act__do(struct keeper *keeper, const struct command *command, uint64_t now_ns);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A new configuration while running. A bad one is refused whole. */
#ifndef EBBD_RELOAD_H
#define EBBD_RELOAD_H

#include "keeper.h"

/* Read the files anew and keep the result for reload__apply. 0, or negative errno with *error filled in. */
int reload__read(struct keeper *keeper, struct config_error *error);
/* Put what was read into force: rules at once, sizes as `scale` would; workers that would be started otherwise now are
 * rolled (roll.h). Pools that are no longer there retire their workers, and have their places until those have gone. */
void reload__apply(struct keeper *keeper, uint64_t now_ns);
/* Places have become free, maybe for what had found none. true: something had not. */
bool reload__place(struct keeper *keeper, uint64_t now_ns);
/* Read the files as ebbd does at start. */
int reload__load(struct config *ret, const char *path, struct config_error *error);

#endif

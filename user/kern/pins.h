/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The part of the kernel side that outlives the watch: all maps, and the programs of level 0, which go on counting
 * meanwhile. Kept as a directory of pins; one that lacks anything is as good as none.
 */
#ifndef KERN_PINS_H
#define KERN_PINS_H

#include <stdint.h>

struct ebb;

/* Of this build's programs and records: what another build pinned does not fit. */
uint64_t pins__version(void);
/* Between open and load: take the maps and links that are pinned there for this skeleton's; their programs are not loaded
 * again. 0 or negative errno, after which the skeleton is to be thrown away. */
int pins__take(struct ebb *skel, const char *directory);
/* Pin what is loaded and attached. 0 or negative errno: then nothing is pinned. */
int pins__keep(struct ebb *skel, const char *directory);
/* Unpin whatever is there. */
void pins__drop(struct ebb *skel, const char *directory);

#endif

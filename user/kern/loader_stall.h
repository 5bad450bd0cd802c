/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The loader's parts, for each other. */
#ifndef KERN_LOADER_STALL_H
#define KERN_LOADER_STALL_H

#include "loader.h"

struct btf;

/* Which of the programs that measure stalls are to be loaded: those that this kernel, by its type information, has the
 * tracepoints for. NULL: none. */
void stall__choose(struct ebb *skel, const struct btf *btf);

#endif

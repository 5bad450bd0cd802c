/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The loader's parts, for each other. */
#ifndef KERN_LOADER_STALL_H
#define KERN_LOADER_STALL_H

#include "loader.h"

struct btf;
struct bpf_program;

/* Which of the programs that measure stalls are to be loaded: those that this kernel, by its type information, has the
 * tracepoints for. NULL: none. */
void stall__choose(struct ebb *skel, const struct btf *btf);

/* A tp_btf program, without a struct bpf_link, which would be allocated. 0 or negative errno. */
int loader__attach(const struct bpf_program *program, int *ret_fd);
void loader__detach(int *fd); /* -1 from then on; -1: nothing to do */

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Which instructions of a relocated BPF program can be reached? What the running kernel's verifier finds out when it
 * loads a program, for a kernel that does not run: constants are followed through the registers, so that a branch on
 * what a relocation has settled (does this field exist?) is taken one way only. Memory is not followed. Where that is
 * not enough, too much is held to be reachable, never too little.
 */
#ifndef EBB_TESTS_REACH_H
#define EBB_TESTS_REACH_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>

/* Sets ret_reached[i] for each of the n instructions. -ENOMEM, or -EINVAL for a jump out of the program. */
int reach__find(const struct bpf_insn *insns, size_t n, bool *ret_reached);

#endif

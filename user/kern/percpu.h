/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Where the kernel's CPUs keep their parts of a per-CPU counter, for those who sum them up on the kernel side. */
#ifndef KERN_PERCPU_H
#define KERN_PERCPU_H

#include <stdint.h>

/* How far each CPU's part is from the address by which the counter is known. The number of CPUs, at most max; 0 or negative
 * errno where that is not to be found out (before 5.19, or no permission): counters are then known less exactly. */
int percpu__offsets(uint64_t *to, int max);

#endif

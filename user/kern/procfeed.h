/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The sensor without BPF: the same figures from sweeps of /proc alone, for any user. What happens between two sweeps it
 * does not see: short turns go unnoticed, and a peak is the most that a sweep met. A lease that ebbd holds looks
 * like one that the worker holds; the board tells them apart.
 */
#ifndef KERN_PROCFEED_H
#define KERN_PROCFEED_H

#include "sensor.h"

/* 0 or -ENOMEM. */
int procfeed__open(struct sensor **ret);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The probe skeleton, one program at a time: what the others need that this kernel has not must not be in the way. */
#ifndef KERN_PROBE_H
#define KERN_PROBE_H

struct probe;

/* Loaded with that program alone, and said nothing about; NULL with errno set. Destroyed by probe__destroy. */
struct probe *probe__only(const char *program);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Sorting without memory: qsort(3) takes some from the heap. */
#ifndef BASE_SORT_H
#define BASE_SORT_H

#include <stddef.h>

/* n items of `size` bytes each (a multiple of 4), in ascending order; equal ones in any. */
void sort__in_place(void *items, size_t n, size_t size, int (*order)(const void *a, const void *b, void *arg),
                    void *arg);

#endif

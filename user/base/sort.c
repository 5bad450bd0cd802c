/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Heap sort: never worse than n log n, and needs nothing but the items themselves. */
#include "sort.h"

#include <stdint.h>

struct items {
  char *first;
  size_t size;
  int (*order)(const void *a, const void *b, void *arg);
  void *arg;
};

static void *item(const struct items *items, size_t i) {
  return items->first + i * items->size;
}

static void swap(const struct items *items, size_t i, size_t j) {
  uint32_t *a = item(items, i), *b = item(items, j);

  for (size_t word = 0; word < items->size / sizeof(*a); word++) {
    uint32_t kept = a[word];

    a[word] = b[word];
    b[word] = kept;
  }
}

/* Let item i go down among the first n until none beneath it is greater. */
static void sink(const struct items *items, size_t i, size_t n) {
  size_t below;

  while ((below = 2 * i + 1) < n) {
    if (below + 1 < n && items->order(item(items, below), item(items, below + 1), items->arg) < 0)
      below++;
    if (items->order(item(items, i), item(items, below), items->arg) >= 0)
      return;
    swap(items, i, below);
    i = below;
  }
}

void sort__in_place(void *items, size_t n, size_t size, int (*order)(const void *a, const void *b, void *arg),
                    void *arg) {
  const struct items all = {items, size, order, arg};

  for (size_t i = n / 2; i-- > 0;)
    sink(&all, i, n);
  for (size_t left = n; left > 1;) {
    swap(&all, 0, --left);
    sink(&all, 0, left);
  }
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sort.h"

#define MOST 300

struct pair {
  uint32_t key, number;
  uint32_t copy;
};

static int by_key(const void *a, const void *b, void *arg) {
  const struct pair *x = a, *y = b;
  ++*(unsigned *)arg;
  return (x->key > y->key) - (x->key < y->key);
}

/* Each item is there once, whole, and in order. */
static void is_sorted(const struct pair *pairs, size_t n) {
  bool seen[MOST] = {false};
  for (size_t i = 0; i < n; i++) {
    assert_true(i == 0 || pairs[i - 1].key <= pairs[i].key);
    assert_int_equal(pairs[i].copy, pairs[i].number);
    assert_false(seen[pairs[i].number]);
    seen[pairs[i].number] = true;
  }
}

static void test_any_order(void **state) {
  (void)state;
  unsigned seed = 7;
  for (size_t n = 0; n < MOST; n++) {
    struct pair pairs[MOST];
    unsigned compared = 0;
    for (uint32_t i = 0; i < n; i++)
      pairs[i] = (struct pair){(uint32_t)rand_r(&seed) % 50, i, i};
    sort__in_place(pairs, n, sizeof(*pairs), by_key, &compared);
    is_sorted(pairs, n);
    sort__in_place(pairs, n, sizeof(*pairs), by_key, &compared); /* in order already */
    is_sorted(pairs, n);
    assert_true(compared <= 2 * 2 * n * 9 + 1);
  }
}

static int as_numbers(const void *a, const void *b, void *arg) {
  (void)arg;
  return (*(const uint32_t *)a > *(const uint32_t *)b) - (*(const uint32_t *)a < *(const uint32_t *)b);
}

static void test_small_items(void **state) {
  (void)state;
  uint32_t numbers[] = {3, 1, 2, 0, UINT32_MAX, 7};
  sort__in_place(numbers, 6, sizeof(*numbers), as_numbers, NULL);
  assert_memory_equal(numbers, ((uint32_t[]){0, 1, 2, 3, 7, UINT32_MAX}), sizeof(numbers));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_any_order), cmocka_unit_test(test_small_items)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

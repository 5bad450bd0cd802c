/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Do events come out as they went in, in order, however they are fetched, and is a full box refused? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "outbox.h"

static struct outbox outbox;

static bool put(uint32_t number) {
  return outbox__put(&outbox, &(struct sensor_event){.kind = SENSOR_CROSSED, .worker = number});
}

static void test_order(void **state) {
  (void)state;
  struct sensor_event events[8];
  uint32_t in = 0, out = 0;
  assert_int_equal(outbox__take(&outbox, events, 8), 0);
  /* Three in, at most two out, until it has gone round several times. */
  while (in < 3 * OUTBOX_MAX) {
    for (int i = 0; i < 3 && put(in); i++)
      in++;
    int n = outbox__take(&outbox, events, 2);
    for (int i = 0; i < n; i++)
      assert_int_equal(events[i].worker, out++);
  }
  for (int n; (n = outbox__take(&outbox, events, 8));)
    for (int i = 0; i < n; i++)
      assert_int_equal(events[i].worker, out++);
  assert_int_equal(out, in);
}

static void test_full(void **state) {
  (void)state;
  struct sensor_event event;
  for (uint32_t i = 0; i < OUTBOX_MAX; i++)
    assert_true(put(i));
  assert_false(put(OUTBOX_MAX));
  assert_int_equal(outbox__take(&outbox, &event, 1), 1);
  assert_int_equal(event.worker, 0);
  assert_true(put(OUTBOX_MAX));
  assert_false(put(OUTBOX_MAX + 1));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_order),
      cmocka_unit_test(test_full),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Has every reason a name and a sentence of its own, and is it found again by that name? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "reason.h"

static void every_reason_is_found_by_its_name(void **state) {
  (void)state;
  for (int i = REASON_NONE + 1; i < REASON_N; i++) {
    enum reason reason = (enum reason)i;
    assert_true(strlen(reason__name(reason)) > 0 && strlen(reason__sentence(reason)) > 0);
    if (reason__find(reason__name(reason)) != reason)
      fail_msg("%s is not found again", reason__name(reason));
  }
}

/* The FIFO's grammar takes reason= words of these letters, and keeps them in 24 bytes. */
static void names_are_words_of_the_grammar(void **state) {
  (void)state;
  for (int i = REASON_NONE + 1; i < REASON_N; i++) {
    const char *name = reason__name((enum reason)i);
    assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz-"), strlen(name));
    assert_true(strlen(name) < 24);
  }
}

static void known_names(void **state) {
  (void)state;
  assert_int_equal(reason__find("footprint"), REASON_FOOTPRINT);
  assert_int_equal(reason__find("scale"), REASON_SCALE);
  assert_int_equal(reason__find("hold"), REASON_HOLD);
  assert_string_equal(reason__name(REASON_BELOW_BASELINE), "below-baseline");
  assert_string_equal(reason__name(REASON_NONE), "none");
}

static void nonsense_is_no_reason(void **state) {
  (void)state;
  static const char *const names[] = {"", "none", "Footprint", "footprint ", "foot", "footprints"};
  for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
    assert_int_equal(reason__find(names[i]), REASON_NONE);
  assert_string_equal(reason__name((enum reason)REASON_N), "none");
  assert_string_equal(reason__name((enum reason) - 1), "none");
  assert_string_equal(reason__sentence((enum reason)12345), reason__sentence(REASON_NONE));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_reason_is_found_by_its_name),
      cmocka_unit_test(names_are_words_of_the_grammar),
      cmocka_unit_test(known_names),
      cmocka_unit_test(nonsense_is_no_reason),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

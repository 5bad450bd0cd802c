/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "slot.h"

#define SEC 1000000000ULL

static bool has_process(enum ebb_slot_state state) {
  return state != EBB_SLOT_EMPTY && state != EBB_SLOT_BACKOFF;
}

static void walk(const enum slot_event *events, size_t n, enum ebb_slot_state expected) {
  enum ebb_slot_state state = EBB_SLOT_EMPTY;
  for (size_t i = 0; i < n; i++)
    assert_true(slot__step(&state, events[i]));
  assert_int_equal(state, expected);
}
#define WALK(expected, ...)                                                                                            \
  walk((const enum slot_event[]){__VA_ARGS__},                                                                         \
       sizeof((const enum slot_event[]){__VA_ARGS__}) / sizeof(enum slot_event), expected)

static void lives_end_where_they_should(void **unused) {
  (void)unused;
  WALK(EBB_SLOT_SERVING, SLOT_SPAWNED, SLOT_LEASED);
  WALK(EBB_SLOT_SERVING, SLOT_SPAWNED, SLOT_SPARED, SLOT_LEASED);
  WALK(EBB_SLOT_SPARE, SLOT_SPAWNED, SLOT_LATE, SLOT_SPARED);
  WALK(EBB_SLOT_EMPTY, SLOT_SPAWNED, SLOT_SPARED, SLOT_ASKED_OUT, SLOT_FENCED, SLOT_LEADER_EXITED, SLOT_GONE);
  WALK(EBB_SLOT_EMPTY, SLOT_SPAWNED, SLOT_LEASED, SLOT_ASKED_OUT, SLOT_FENCED, SLOT_LEADER_EXITED, SLOT_GONE);
  WALK(EBB_SLOT_SERVING, SLOT_SPAWNED, SLOT_LEASED, SLOT_ASKED_OUT, SLOT_KEPT);
  WALK(EBB_SLOT_UNLEASED, SLOT_SPAWNED, SLOT_ASKED_OUT, SLOT_LATE);
  WALK(EBB_SLOT_SERVING, SLOT_SPAWNED, SLOT_LATE, SLOT_LEASED);
  WALK(EBB_SLOT_BACKOFF, SLOT_SPAWNED, SLOT_LEADER_EXITED, SLOT_GONE, SLOT_DIED_YOUNG);
  WALK(EBB_SLOT_BACKOFF, SLOT_SPAWN_FAILED, SLOT_SPAWN_FAILED);
  WALK(EBB_SLOT_EMPTY, SLOT_SPAWN_FAILED, SLOT_ASKED_OUT);
  WALK(EBB_SLOT_EMPTY, SLOT_SPAWN_FAILED, SLOT_RESTED);
  WALK(EBB_SLOT_SERVING, SLOT_SPAWNED, SLOT_UP, SLOT_LEASED);
  WALK(EBB_SLOT_EMPTY, SLOT_SPAWNED, SLOT_UP, SLOT_ASKED_OUT, SLOT_LEADER_EXITED, SLOT_GONE);
}

/* The two promises that everything else leans on. */
static void only_a_due_worker_is_fenced_and_only_an_empty_slot_is_filled(void **unused) {
  (void)unused;
  for (int s = 0; s < EBB_SLOT_N; s++) {
    enum ebb_slot_state state = (enum ebb_slot_state)s;
    assert_int_equal(slot__step(&state, SLOT_FENCED), s == EBB_SLOT_DUE);
    state = (enum ebb_slot_state)s;
    assert_int_equal(slot__step(&state, SLOT_SPAWNED), !has_process((enum ebb_slot_state)s));
  }
}

/* Nobody who may have a job becomes a spare again: it would keep the job waiting. */
static void only_who_has_not_been_let_in_is_a_spare(void **unused) {
  (void)unused;
  for (int s = 0; s < EBB_SLOT_N; s++)
    for (int e = 0; e < SLOT_EVENT_N; e++) {
      enum ebb_slot_state state = (enum ebb_slot_state)s;
      if (slot__step(&state, (enum slot_event)e) && state == EBB_SLOT_SPARE)
        assert_true((s == EBB_SLOT_STARTING || s == EBB_SLOT_UNLEASED) && e == SLOT_SPARED);
    }
}

static void a_process_leaves_only_by_its_exit(void **unused) {
  (void)unused;
  for (int s = 0; s < EBB_SLOT_N; s++)
    for (int e = 0; e < SLOT_EVENT_N; e++) {
      enum ebb_slot_state state = (enum ebb_slot_state)s;
      if (!slot__step(&state, (enum slot_event)e))
        assert_int_equal(state, s);
      else if (has_process((enum ebb_slot_state)s) && !has_process(state))
        assert_true(s == EBB_SLOT_LEAVING && e == SLOT_GONE);
    }
}

static void nonsense_is_refused(void **unused) {
  (void)unused;
  enum ebb_slot_state state = (enum ebb_slot_state)99;
  assert_false(slot__step(&state, SLOT_SPAWNED));
  state = EBB_SLOT_EMPTY;
  assert_false(slot__step(&state, (enum slot_event)99));
  assert_string_equal(slot__state_name((enum ebb_slot_state)99), "unknown");
  assert_string_equal(slot__event_name((enum slot_event)99), "unknown");
  assert_string_equal(slot__state_name(EBB_SLOT_UNLEASED), "unleased");
  assert_string_equal(slot__event_name(SLOT_DIED_YOUNG), "died-young");
}

static void backoff_doubles_up_to_a_minute(void **unused) {
  (void)unused;
  const uint64_t expected[] = {0, 1, 2, 4, 8, 16, 32, 60, 60};
  for (uint32_t i = 0; i < sizeof(expected) / sizeof(*expected); i++)
    assert_int_equal(slot__backoff_ns(i), expected[i] * SEC);
  assert_int_equal(slot__backoff_ns(UINT32_MAX), 60 * SEC);
}

static void who_died_young(void **unused) {
  (void)unused;
  const struct {
    struct slot_end end;
    bool young;
  } cases[] = {
      {{.retired = true, .lived_ns = 1, .ready_timeout_ns = SEC}, false},
      {{.was_serving = false, .recycled_code = true, .lived_ns = 1, .ready_timeout_ns = SEC}, true},
      {{.was_serving = false, .lived_ns = 9 * SEC, .ready_timeout_ns = SEC}, true},
      {{.was_serving = true, .recycled_code = true, .lived_ns = 1, .ready_timeout_ns = SEC}, false},
      {{.was_serving = true, .lived_ns = SEC - 1, .ready_timeout_ns = SEC}, true},
      {{.was_serving = true, .lived_ns = SEC, .ready_timeout_ns = SEC}, false},
      {{.piece = true, .was_serving = true, .recycled_code = true, .lived_ns = 1, .ready_timeout_ns = SEC}, false},
      {{.piece = true, .was_serving = true, .lived_ns = 9 * SEC, .ready_timeout_ns = SEC}, true},
      {{.piece = true, .retired = true, .lived_ns = 1, .ready_timeout_ns = SEC}, false},
  };
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
    assert_int_equal(slot__died_young(&cases[i].end), cases[i].young);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lives_end_where_they_should),
      cmocka_unit_test(only_a_due_worker_is_fenced_and_only_an_empty_slot_is_filled),
      cmocka_unit_test(only_who_has_not_been_let_in_is_a_spare),
      cmocka_unit_test(a_process_leaves_only_by_its_exit),
      cmocka_unit_test(nonsense_is_refused),
      cmocka_unit_test(backoff_doubles_up_to_a_minute),
      cmocka_unit_test(who_died_young),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Does a tape hold what was weighed and decided, each figure once, and end where it cannot be written? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tape.h"
#include "text.h"

#define SESSION "{\"tape\":1,\"ebb\":\"" EBB_VERSION "\"}\n"

static struct tape tape;
static struct tape_facts facts;
static const char *names[EBB_POOLS_MAX];
static char written[1 << 20];
static struct text text;
static size_t room;

static int put(void *arg, const char *bytes, size_t n) {
  assert_ptr_equal(arg, &room);
  if (n > room)
    return -ENOSPC;
  room -= n;
  text__addf(&text, "%.*s", (int)n, bytes);
  return 0;
}

static int begin(void **state) {
  (void)state;
  memset(&tape, 0, sizeof(tape));
  tape_facts__init(&facts);
  room = sizeof(written);
  for (uint32_t i = 0; i < EBB_POOLS_MAX; i++)
    names[i] = "";
  return 0;
}

static int record(const struct plan *plan) {
  const struct policy_input in = tape_facts__input(&facts);
  text__init(&text, written, sizeof(written));
  tape__take(&tape, &in, plan, names);
  return tape__write(&tape, put, &room);
}

static void what_is_said_once_is_not_said_again(void **state) {
  (void)state;
  const struct plan nothing = {0};
  facts.now_ns = 5;
  facts.n_pools = facts.n_workers = 1;
  names[0] = "reports";
  facts.pool_rules[0].footprint_limit_bytes = 100;
  facts.workers[0].generation = 2;
  facts.workers[0].footprint_bytes = 50;
  assert_int_equal(record(&nothing), 0);
  assert_string_equal(written, SESSION
                      "{\"now_ns\":5,\"n_pools\":1,\"n_workers\":1,\"pools\":[{\"index\":0,\"name\":\"reports\","
                      "\"footprint_limit_bytes\":100}],\"workers\":[{\"index\":0,\"generation\":2,"
                      "\"footprint_bytes\":50}]}\n");
  facts.now_ns = 6;
  assert_int_equal(record(&nothing), 0);
  assert_string_equal(written, "{\"now_ns\":6,\"pools\":[],\"workers\":[]}\n");
  facts.workers[0].footprint_bytes = EBB_UNKNOWN;
  facts.host.level = EBB_PRESSURE_CALM;
  assert_int_equal(record(&nothing), 0);
  assert_string_equal(written, "{\"now_ns\":6,\"host\":{\"level\":1},\"pools\":[],"
                               "\"workers\":[{\"index\":0,\"footprint_bytes\":null}]}\n");
}

static void what_was_decided_is_there(void **state) {
  (void)state;
  struct plan plan = {.n_acts = 2, .n_confirm = 1, .n_struck = 2, .confirm = {7}, .struck = {1, 2}};
  plan.acts[0] = (struct plan_act){3, REASON_FOOTPRINT, 100, true};
  plan.acts[1] = (struct plan_act){4, REASON_PRESSURE, EBB_UNKNOWN, false};
  plan.trims[plan.n_trims++] = (struct plan_act){6, REASON_BUDGET, 50, false};
  plan.starts[plan.n_starts++] = 9;
  plan.hold_refill[1] = plan.below_baseline[5] = true;
  assert_int_equal(record(&plan), 0);
  assert_string_equal(strstr(written, "\"plan\""),
                      "\"plan\":{\"acts\":[{\"worker\":3,\"reason\":\"footprint\",\"limit_bytes\":100,\"first\":1},"
                      "{\"worker\":4,\"reason\":\"pressure\",\"limit_bytes\":null}],\"confirm\":[7],\"struck\":[1,2],"
                      "\"trims\":[{\"worker\":6,\"reason\":\"budget\",\"limit_bytes\":50}],\"starts\":[9],"
                      "\"hold_refill\":[1],\"below_baseline\":[5]}}\n");
}

/* It is copied when it is taken: acts change the facts before it is written. */
static void it_is_as_it_was_when_it_was_taken(void **state) {
  (void)state;
  const struct plan nothing = {0};
  const struct policy_input in = tape_facts__input(&facts);
  facts.n_workers = 1;
  facts.workers[0].state = EBB_SLOT_SERVING;
  const struct policy_input with_one = tape_facts__input(&facts);
  text__init(&text, written, sizeof(written));
  tape__take(&tape, &in, &nothing, names);
  tape__take(&tape, &with_one, &nothing, names);
  facts.workers[0].state = EBB_SLOT_DUE;
  assert_int_equal(tape__write(&tape, put, &room), 0);
  assert_non_null(strstr(written, "{\"index\":0,\"state\":5}"));
}

static void labels_of_jobs_stay_out(void **state) {
  (void)state;
  facts.n_workers = 1;
  (void)text__copy(facts.workers[0].job, sizeof(facts.workers[0].job), "secret");
  assert_int_equal(record(&(struct plan){0}), 0);
  assert_null(strstr(written, "secret"));
  assert_non_null(strstr(written, "\"workers\":[]"));
}

static void a_name_of_any_bytes_is_json(void **state) {
  (void)state;
  facts.n_pools = 1;
  names[0] = "a\"\n\xff";
  assert_int_equal(record(&(struct plan){0}), 0);
  assert_non_null(strstr(written, "\"name\":\"a\\\"\\u000a\\u00ff\""));
}

static void as_many_workers_as_there_can_be(void **state) {
  (void)state;
  facts.n_workers = EBB_SLOTS_MAX;
  for (uint32_t i = 0; i < EBB_SLOTS_MAX; i++)
    facts.workers[i].generation = i + 1;
  assert_int_equal(record(&(struct plan){0}), 0);
  assert_non_null(strstr(written, "{\"index\":4095,\"generation\":4096}]}\n"));
  facts.n_workers = 1; /* all others are nobody now */
  assert_int_equal(record(&(struct plan){0}), 0);
  assert_non_null(strstr(written, "{\"index\":4095,\"generation\":0}]}\n"));
}

static void what_cannot_be_written_is_told(void **state) {
  (void)state;
  room = 10;
  assert_int_equal(record(&(struct plan){0}), -ENOSPC);
}

int main(void) {
#define TAPE(test) cmocka_unit_test_setup(test, begin)
  const struct CMUnitTest tests[] = {
      TAPE(what_is_said_once_is_not_said_again), TAPE(what_was_decided_is_there),
      TAPE(it_is_as_it_was_when_it_was_taken),   TAPE(labels_of_jobs_stay_out),
      TAPE(a_name_of_any_bytes_is_json),         TAPE(as_many_workers_as_there_can_be),
      TAPE(what_cannot_be_written_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

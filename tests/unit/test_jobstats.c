/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Are runs counted where they belong, also when the table is full, and is a label only believed when it is whole? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ebb/lease.h"
#include "jobstats.h"

#define MIB (1024ULL * 1024)

#define RUN(of_pool, of_label, lasted, before, after, peak)                                                            \
  (struct jobstats_run) {                                                                                              \
    .pool = (of_pool), .label = (of_label), .lasted_ns = (lasted), .before_bytes = (before), .after_bytes = (after),   \
    .peak_bytes = (peak), .minor_faults = EBB_UNKNOWN, .major_faults = EBB_UNKNOWN, .stall_us = EBB_UNKNOWN            \
  }

static uint32_t count(struct ebb_job_kind *kinds, uint32_t n, const struct jobstats_run *run) {
  uint32_t i = jobstats__find(kinds, n, run->pool, run->label);
  assert_true(i < n);
  jobstats__count(&kinds[i], run);
  return i;
}

static uint32_t count_one(struct ebb_job_kind *kinds, uint32_t n, const char *pool, const char *label) {
  return count(kinds, n, &(struct jobstats_run){.pool = pool, .label = label, .lasted_ns = 1});
}

static void runs_add_up(void **state) {
  (void)state;
  struct ebb_job_kind kinds[4] = {0};
  (void)count(kinds, 4, &RUN("reports", "big", 300, 10 * MIB, 50 * MIB, 90 * MIB));
  (void)count(kinds, 4, &RUN("reports", "big", 500, 50 * MIB, 30 * MIB, 70 * MIB)); /* shrank */
  (void)count(kinds, 4, &RUN("reports", "big", 100, 30 * MIB, 35 * MIB, 60 * MIB));
  assert_string_equal(kinds[0].pool, "reports");
  assert_string_equal(kinds[0].label, "big");
  assert_int_equal(kinds[0].runs, 3);
  assert_int_equal(kinds[0].total_ns, 900);
  assert_int_equal(kinds[0].longest_ns, 500);
  assert_int_equal(kinds[0].peak_bytes, 90 * MIB);
  assert_int_equal(kinds[0].retained_bytes, 45 * MIB);
  assert_int_equal(kinds[0].retained_most_bytes, 40 * MIB);
  assert_int_equal(kinds[1].pool[0], 0);
}

static void unknown_bytes_add_nothing(void **state) {
  (void)state;
  struct ebb_job_kind kind = {0};
  jobstats__count(&kind, &RUN("a", "b", 1, EBB_UNKNOWN, 5, EBB_UNKNOWN));
  jobstats__count(&kind, &RUN("a", "b", 1, 5, EBB_UNKNOWN, EBB_UNKNOWN));
  assert_int_equal(kind.runs, 2);
  assert_int_equal(kind.peak_bytes, 0);
  assert_int_equal(kind.retained_bytes, 0);
  assert_int_equal(kind.retained_most_bytes, 0);
}

static void sums_stop_at_the_end(void **state) {
  (void)state;
  struct ebb_job_kind kind = {
      .pool = "a", .label = "b", .total_ns = EBB_UNKNOWN - 10, .retained_bytes = EBB_UNKNOWN - 3};
  jobstats__count(&kind, &RUN("a", "b", 100, 0, 100, 100));
  assert_true(kind.total_ns == EBB_UNKNOWN - 1 && kind.retained_bytes == EBB_UNKNOWN - 1);
}

static void what_is_known_is_added_up(void **state) {
  (void)state;
  struct ebb_job_kind kind = {0};
  struct jobstats_run run = RUN("a", "b", 600 * 1000000000ULL, 0, 0, 0); /* ten minutes */
  jobstats__count(&kind, &run);
  assert_true(kind.minor_faults == EBB_UNKNOWN && kind.major_faults == EBB_UNKNOWN && kind.stall_us == EBB_UNKNOWN);
  run.minor_faults = 10;
  run.major_faults = 0;
  run.stall_us = 7;
  jobstats__count(&kind, &run);
  jobstats__count(&kind, &run);
  run.minor_faults = run.stall_us = EBB_UNKNOWN;
  jobstats__count(&kind, &run);
  assert_int_equal(kind.minor_faults, 20);
  assert_int_equal(kind.major_faults, 0);
  assert_int_equal(kind.stall_us, 14);
  assert_int_equal(kind.total_ns, 4 * 600 * 1000000000ULL);
}

static void kinds_are_told_apart_by_pool_and_label(void **state) {
  (void)state;
  struct ebb_job_kind kinds[8] = {0};
  assert_int_equal(count_one(kinds, 8, "a", "x"), 0);
  assert_int_equal(count_one(kinds, 8, "a", "y"), 1);
  assert_int_equal(count_one(kinds, 8, "b", "x"), 2);
  assert_int_equal(count_one(kinds, 8, "a", ""), 3);
  assert_int_equal(count_one(kinds, 8, "a", NULL), 3);
  assert_int_equal(count_one(kinds, 8, "a", "-"), 3);
  assert_string_equal(kinds[3].label, "-");
  assert_int_equal(count_one(kinds, 8, "a", "x"), 0);
  memset(&kinds[1], 0, sizeof(kinds[1])); /* a gap is filled, but not before the rest was looked through */
  assert_int_equal(count_one(kinds, 8, "b", "x"), 2);
  assert_int_equal(count_one(kinds, 8, "b", "z"), 1);
}

static void long_labels_are_cut_alike(void **state) {
  (void)state;
  struct ebb_job_kind kinds[2] = {0};
  char label[200];
  memset(label, 'x', sizeof(label) - 1);
  label[sizeof(label) - 1] = 0;
  assert_int_equal(count_one(kinds, 2, "a", label), 0);
  assert_int_equal(strlen(kinds[0].label), EBB_LABEL_BYTES - 1);
  assert_int_equal(count_one(kinds, 2, "a", label), 0);
  assert_int_equal(kinds[0].runs, 2);
}

static void find_changes_nothing(void **state) {
  (void)state;
  struct ebb_job_kind kinds[2] = {{.pool = "a", .label = "x", .runs = 1}};
  struct ebb_job_kind before[2];
  memcpy(before, kinds, sizeof(kinds));
  (void)jobstats__find(kinds, 2, "b", "y");
  (void)jobstats__find(kinds, 1, "b", "y");
  assert_memory_equal(before, kinds, sizeof(kinds));
}

static void a_full_table_counts_under_other(void **state) {
  (void)state;
  struct ebb_job_kind kinds[4] = {0};
  (void)count_one(kinds, 4, "a", "1");
  (void)count_one(kinds, 4, "a", "2");
  (void)count_one(kinds, 4, "b", "1");
  (void)count_one(kinds, 4, "b", "2");
  /* The pool's own last record gives its place and its sums. */
  assert_int_equal(count_one(kinds, 4, "a", "3"), 1);
  assert_string_equal(kinds[1].label, "(other)");
  assert_int_equal(kinds[1].runs, 2);
  assert_int_equal(count_one(kinds, 4, "a", "4"), 1);
  assert_int_equal(count_one(kinds, 4, "a", "2"), 1);
  assert_int_equal(kinds[1].runs, 4);
  assert_int_equal(count_one(kinds, 4, "a", "1"), 0);
  /* A pool that has none takes the last of another, whose sums are not its own. */
  assert_int_equal(count_one(kinds, 4, "c", "1"), 3);
  assert_string_equal(kinds[3].pool, "c");
  assert_string_equal(kinds[3].label, "(other)");
  assert_int_equal(kinds[3].runs, 1);
  /* … and pools do not take it from each other in turn. */
  assert_int_equal(count_one(kinds, 4, "b", "2"), 2);
  assert_int_equal(count_one(kinds, 4, "c", "2"), 3);
  assert_int_equal(count_one(kinds, 4, "b", "2"), 2);
  assert_int_equal(count_one(kinds, 4, "a", "4"), 1);
  assert_int_equal(kinds[3].runs, 2);
}

static void others_keep_their_place(void **state) {
  (void)state;
  struct ebb_job_kind own_first[2] = {{.pool = "a", .label = "(other)"}, {.pool = "a", .label = "x"}};
  assert_int_equal(count_one(own_first, 2, "a", "y"), 0);
  struct ebb_job_kind foreign_last[2] = {{.pool = "a", .label = "x"}, {.pool = "b", .label = "(other)"}};
  assert_int_equal(count_one(foreign_last, 2, "c", "y"), 0);
  assert_string_equal(foreign_last[0].pool, "c");
}

static void a_table_of_others_only_still_counts(void **state) {
  (void)state;
  struct ebb_job_kind kinds[2] = {{.pool = "a", .label = "(other)", .runs = 7}, {.pool = "b", .label = "(other)"}};
  assert_int_equal(count_one(kinds, 2, "c", "1"), 1);
  assert_string_equal(kinds[1].pool, "c");
  assert_int_equal(kinds[1].runs, 1);
}

static void strings_without_an_end_are_read_no_further(void **state) {
  (void)state;
  struct ebb_job_kind kinds[1];
  memset(kinds, 'x', sizeof(kinds));
  assert_int_equal(jobstats__find(kinds, 1, "a", "b"), 0);
  jobstats__count(&kinds[0], &(struct jobstats_run){.pool = "a", .label = "b"});
  assert_string_equal(kinds[0].pool, "a");
}

/* Labels. */

struct label_row {
  const char *name;
  const char *even, *odd; /* bytes of the fields, zero after them; NULL: nothing there */
  int answer;
  uint64_t sequence;
  const char *text;
};

static void labels(void **state) {
  (void)state;
  static const struct label_row rows[] = {
      {"nothing yet", NULL, NULL, -ENOENT, 0, NULL},
      {"first", NULL, "1 thumb.jpg\n", 0, 1, "thumb.jpg"},
      {"the larger one, even", "12 new\n", "11 old\n", 0, 12, "new"},
      {"the larger one, odd", "12 old\n", "13 new\n", 0, 13, "new"},
      {"the other while one is written", "14 hal", "13 whole\n", 0, 13, "whole"},
      {"the text may hold blanks", "2 report of may\n", NULL, 0, 2, "report of may"},
      {"an empty text", "2 \n", NULL, 0, 2, ""},
      {"old bytes behind the newline", "2 new\nld text\n", NULL, 0, 2, "new"},
      {"odd number in the even field", "3 wrong\n", NULL, -ENOENT, 0, NULL},
      {"even number in the odd field", NULL, "4 wrong\n", -ENOENT, 0, NULL},
      {"no number", "x text\n", "one text\n", -ENOENT, 0, NULL},
      {"no blank", "2\n", "33\n", -ENOENT, 0, NULL},
      {"signs", "-2 text\n", "+3 text\n", -ENOENT, 0, NULL},
      {"blank first", " 2 text\n", NULL, -ENOENT, 0, NULL},
      {"largest number", NULL, "18446744073709551615 last\n", 0, UINT64_MAX, "last"},
      {"wrapped round", "0 after\n", "18446744073709551615 last\n", 0, UINT64_MAX, "last"},
      {"too large a number", "2 text\n", "18446744073709551617 text\n", 0, 2, "text"},
      {"absurd number", "99999999999999999999999999999999999999 text\n", "1 fine\n", 0, 1, "fine"},
      {"escape sequences", NULL, "1 \x1b[2Jgone\n", 0, 1, "\\x1b[2Jgone"},
      {"broken UTF-8", NULL, "1 a\xff\xfe\n", 0, 1, "a\\xff\\xfe"},
      {"tab and return", NULL, "1 a\tb\r\n", 0, 1, "a\\x09b\\x0d"},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    const struct label_row *row = &rows[i];
    char lease[EBB_LEASE_BYTES] = "R\n", text[EBB_LABEL_BYTES] = "untouched";
    uint64_t sequence = 4711;
    if (row->even)
      memcpy(lease + EBB_LEASE_LABEL_OFFSET(0), row->even, strlen(row->even));
    if (row->odd)
      memcpy(lease + EBB_LEASE_LABEL_OFFSET(1), row->odd, strlen(row->odd));
    int answer = jobstats__label(lease, text, sizeof(text), &sequence);
    const char *expected = row->answer == 0 ? row->text : "untouched";
    if (answer != row->answer || strcmp(text, expected) != 0 || sequence != (answer == 0 ? row->sequence : 4711))
      fail_msg("%s: answer %d, sequence %llu, '%s'", row->name, answer, (unsigned long long)sequence, text);
  }
}

static void labels_in_the_order_of_their_turns(void **state) {
  (void)state;
  static const struct {
    const char *name, *even, *odd;
    uint64_t after;
    int answer;
    uint64_t sequence;
    const char *text;
  } rows[] = {
      {"the next one, though a newer one is there", "12 next\n", "13 newest\n", 11, 0, 12, "next"},
      {"the newest, when the other was taken", "12 taken\n", "13 next\n", 12, 0, 13, "next"},
      {"nothing new", "12 taken\n", "13 taken too\n", 13, -ENOENT, 0, NULL},
      {"one that names nothing is passed over", "12 -\n", "13 job\n", 11, 0, 13, "job"},
      {"unless it is all there is", "12 old\n", "13 -\n", 12, 0, 13, "-"},
      {"after a gap", "98 older\n", "99 newest\n", 13, 0, 98, "older"},
      {"no label", NULL, NULL, 0, -ENOENT, 0, NULL},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    char lease[EBB_LEASE_BYTES] = "R\n", text[EBB_LABEL_BYTES] = "untouched";
    uint64_t sequence = 4711;
    if (rows[i].even)
      memcpy(lease + EBB_LEASE_LABEL_OFFSET(0), rows[i].even, strlen(rows[i].even));
    if (rows[i].odd)
      memcpy(lease + EBB_LEASE_LABEL_OFFSET(1), rows[i].odd, strlen(rows[i].odd));
    int answer = jobstats__next_label(lease, rows[i].after, text, sizeof(text), &sequence);
    if (answer != rows[i].answer || strcmp(text, rows[i].text ?: "untouched") != 0 ||
        sequence != (answer == 0 ? rows[i].sequence : 4711))
      fail_msg("%s: answer %d, sequence %llu, '%s'", rows[i].name, answer, (unsigned long long)sequence, text);
  }
}

static void a_line_by_itself(void **state) {
  (void)state;
  char text[EBB_LABEL_BYTES] = "untouched";
  uint64_t sequence = 0;
  assert_int_equal(jobstats__label_line("3 odd\n", 6, text, sizeof(text), &sequence), 0);
  assert_string_equal(text, "odd");
  assert_int_equal(sequence, 3);
  assert_int_equal(jobstats__label_line("4 e\x1bven\nrest", 12, text, sizeof(text), &sequence), 0);
  assert_string_equal(text, "e\\x1bven");
  assert_int_equal(jobstats__label_line("5 no end", 8, text, sizeof(text), &sequence), -ENOENT);
  assert_int_equal(jobstats__label_line("6 behind\n", 8, text, sizeof(text), &sequence), -ENOENT);
  assert_int_equal(jobstats__label_line("", 0, text, sizeof(text), &sequence), -ENOENT);
  assert_int_equal(sequence, 4);
}

static void a_zero_within_the_number_or_the_text(void **state) {
  (void)state;
  char lease[EBB_LEASE_BYTES] = {0}, text[64];
  uint64_t sequence;
  memcpy(lease + EBB_LEASE_LABEL_OFFSET(0), "2\0 3 x\n", 7);
  assert_int_equal(jobstats__label(lease, text, sizeof(text), &sequence), -ENOENT);
  memcpy(lease + EBB_LEASE_LABEL_OFFSET(0), "2 a\0b\n", 6);
  assert_int_equal(jobstats__label(lease, text, sizeof(text), &sequence), 0);
  assert_string_equal(text, "a\\x00b");
}

/* A newline that stands in the next field or behind the second one does not end a label. */
static void a_label_ends_within_its_field(void **state) {
  (void)state;
  char lease[EBB_LEASE_BYTES], text[256];
  uint64_t sequence;
  memset(lease, 'x', sizeof(lease));
  memcpy(lease + EBB_LEASE_LABEL_OFFSET(0), "2 ", 2);
  memcpy(lease + EBB_LEASE_LABEL_OFFSET(1), "3 ", 2);
  lease[EBB_LEASE_LABEL_OFFSET(1) + EBB_LEASE_LABEL_FIELD] = '\n';
  assert_int_equal(jobstats__label(lease, text, sizeof(text), &sequence), -ENOENT);
  lease[EBB_LEASE_LABEL_OFFSET(1) + EBB_LEASE_LABEL_FIELD - 1] = '\n';
  assert_int_equal(jobstats__label(lease, text, sizeof(text), &sequence), 0);
  assert_int_equal(sequence, 3);
  assert_int_equal(strlen(text), EBB_LEASE_LABEL_FIELD - 3);
}

static void texts_are_cut_to_fit(void **state) {
  (void)state;
  char lease[EBB_LEASE_BYTES] = {0}, text[6];
  uint64_t sequence;
  memcpy(lease + EBB_LEASE_LABEL_OFFSET(0), "2 abc\x01\x01\n", 8);
  assert_int_equal(jobstats__label(lease, text, sizeof(text), &sequence), 0);
  assert_string_equal(text, "abc");
}

static uint32_t random_state = 20240229;

static uint32_t random_number(void) {
  random_state = random_state * 1664525 + 1013904223;
  return random_state >> 8;
}

static void any_bytes_may_be_in_a_lease(void **state) {
  (void)state;
  for (int round = 0; round < 20000; round++) {
    char lease[240], text[EBB_LABEL_BYTES]; /* not a byte more may be read */
    uint64_t sequence;
    for (size_t i = 0; i < sizeof(lease); i++)
      lease[i] = "0123456789 \nab\0\xff"[random_number() % 16];
    if (jobstats__label(lease, text, sizeof(text), &sequence) < 0)
      continue;
    assert_true(strlen(text) < sizeof(text));
    for (const char *at = text; *at; at++)
      assert_true(*at >= ' ' && *at <= '~');
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(runs_add_up),
      cmocka_unit_test(unknown_bytes_add_nothing),
      cmocka_unit_test(sums_stop_at_the_end),
      cmocka_unit_test(what_is_known_is_added_up),
      cmocka_unit_test(kinds_are_told_apart_by_pool_and_label),
      cmocka_unit_test(long_labels_are_cut_alike),
      cmocka_unit_test(find_changes_nothing),
      cmocka_unit_test(a_full_table_counts_under_other),
      cmocka_unit_test(others_keep_their_place),
      cmocka_unit_test(a_table_of_others_only_still_counts),
      cmocka_unit_test(strings_without_an_end_are_read_no_further),
      cmocka_unit_test(labels),
      cmocka_unit_test(labels_in_the_order_of_their_turns),
      cmocka_unit_test(a_line_by_itself),
      cmocka_unit_test(a_zero_within_the_number_or_the_text),
      cmocka_unit_test(a_label_ends_within_its_field),
      cmocka_unit_test(texts_are_cut_to_fit),
      cmocka_unit_test(any_bytes_may_be_in_a_lease),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <locale.h>

#include "../../user/cli/view.c"

static void need_utf8(void) {
  if (setlocale(LC_CTYPE, "C.UTF-8"))
    return;
  printf("there is no locale C.UTF-8\n");
  skip();
}

static int plain_locale(void **unused) {
  (void)unused;
  return setlocale(LC_CTYPE, "C") ? 0 : -1;
}

static void width_is_what_the_terminal_needs(void **unused) {
  (void)unused;
  need_utf8();
  assert_true(view__is_utf8());
  assert_int_equal(view__width(""), 0);
  assert_int_equal(view__width("abc"), 3);
  assert_int_equal(view__width("Bücher"), 6);
  assert_int_equal(view__width("▁█"), 2);
  assert_int_equal(view__width("日本"), 4);
  assert_int_equal(view__width("a\xff"), 2);
}

static void a_text_is_cut_between_characters(void **unused) {
  (void)unused;
  need_utf8();
  assert_int_equal(view__fit("abc", 2), 2);
  assert_int_equal(view__fit("abc", 9), 3);
  assert_int_equal(view__fit("▁█", 1), 3);
  assert_int_equal(view__fit("日本", 3), 3); /* half a character is none */
  assert_int_equal(view__fit("abc", 0), 0);
}

static void foreign_bytes_cannot_command_the_terminal(void **unused) {
  (void)unused;
  char safe[64];
  assert_string_equal(view__foreign(safe, sizeof(safe), "a\033[2Jb"), "a\\x1b[2Jb");
  assert_string_equal(view__foreign(safe, sizeof(safe), "ü"), "\\xc3\\xbc");
  need_utf8();
  assert_string_equal(view__foreign(safe, sizeof(safe), "ü\033\x9b"), "ü\\x1b\\x9b");
}

static const struct table_column columns[] = {{"NAME", false}, {"SIZE", true}, {"NOTE", false}};

static void columns_are_as_wide_as_their_widest_cell(void **unused) {
  (void)unused;
  need_utf8();
  struct table table;
  char line[128];
  table__init(&table, columns, 3);
  table__add(&table, VIEW_BAD, "%s", "Bücherei");
  table__add_size(&table, 123456);
  table__add(&table, VIEW_PLAIN, "x");
  table__add(&table, VIEW_PLAIN, "a");
  table__add_count(&table, EBB_UNKNOWN);
  table__add(&table, VIEW_PLAIN, "long note");
  assert_int_equal(table__rows(&table), 2);
  assert_string_equal(table__line(&table, (size_t)-1, line, sizeof(line)), "NAME      SIZE  NOTE");
  assert_string_equal(table__line(&table, 0, line, sizeof(line)), "Bücherei  121K  x");
  assert_string_equal(table__line(&table, 1, line, sizeof(line)), "a            -  long note");
  table__done(&table);
}

static void a_table_grows_and_prints_without_colour_when_piped(void **unused) {
  (void)unused;
  struct table table;
  char *data = NULL;
  size_t n = 0, lines = 0;
  table__init(&table, columns, 3);
  for (int i = 0; i < 500; i++) {
    table__add(&table, VIEW_BAD, "%d", i);
    table__add_duration(&table, (uint64_t)i * 1000000000);
    table__add(&table, VIEW_GOOD, "%s", "");
  }
  FILE *to = open_memstream(&data, &n);
  assert_non_null(to);
  table__print(&table, to);
  assert_int_equal(fclose(to), 0);
  for (size_t i = 0; i < n; i++)
    lines += data[i] == '\n';
  assert_int_equal(lines, 501);
  if (!isatty(STDOUT_FILENO))
    assert_null(memchr(data, '\033', n));
  free(data);
  table__done(&table);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(width_is_what_the_terminal_needs, plain_locale),
      cmocka_unit_test_setup(a_text_is_cut_between_characters, plain_locale),
      cmocka_unit_test_setup(foreign_bytes_cannot_command_the_terminal, plain_locale),
      cmocka_unit_test_setup(columns_are_as_wide_as_their_widest_cell, plain_locale),
      cmocka_unit_test_setup(a_table_grows_and_prints_without_colour_when_piped, plain_locale),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

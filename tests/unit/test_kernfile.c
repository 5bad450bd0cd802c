/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Are files of the kernel read whole, whatever their size, and lines and numbers found in them? */
#include "scene.h"

#include "kernfile.h"

static void whole_or_not_at_all(void **state) {
  char text[16];

  (void)state;
  put_file(in_scene("file"), "fifteen bytes..", 0600);
  assert_int_equal(kernfile__read(in_scene("file"), text, sizeof(text)), 0);
  assert_string_equal(text, "fifteen bytes..");
  assert_int_equal(kernfile__read(in_scene("file"), text, 15), -EFBIG);
  put_file(in_scene("file"), "", 0600);
  assert_int_equal(kernfile__read(in_scene("file"), text, 1), 0);
  assert_string_equal(text, "");
  assert_int_equal(kernfile__read(in_scene("missing"), text, sizeof(text)), -ENOENT);
  assert_int_equal(kernfile__read(scene_path, text, sizeof(text)), -EISDIR);
}

/* A page at a time is what the kernel gives. */
static void longer_than_a_page(void **state) {
  static char text[1024 * 1024];

  (void)state;
  assert_int_equal(kernfile__read("/proc/self/smaps", text, sizeof(text)), 0);
  assert_true(strlen(text) > 8192);
}

struct tally {
  size_t lines, bytes, longest, stop_after;
  char last[64];
};

static bool count(const char *line, void *arg) {
  struct tally *tally = arg;
  size_t n = strlen(line);

  tally->lines++;
  tally->bytes += n;
  tally->longest = n > tally->longest ? n : tally->longest;
  (void)snprintf(tally->last, sizeof(tally->last), "%s", line);
  return tally->lines != tally->stop_after;
}

static void lines_come_one_by_one(void **state) {
  struct tally tally = {0};
  FILE *file;

  (void)state;
  put_file(in_scene("file"), "one\n\ntwo\ncut off", 0600);
  assert_int_equal(kernfile__each_line(in_scene("file"), count, &tally), 0);
  assert_int_equal(tally.lines, 3);
  assert_string_equal(tally.last, "two");
  tally = (struct tally){.stop_after = 1};
  assert_int_equal(kernfile__each_line(in_scene("file"), count, &tally), 0);
  assert_string_equal(tally.last, "one");
  assert_int_equal(kernfile__each_line(in_scene("missing"), count, &tally), -ENOENT);

  /* many of every length: each place relative to the pieces in which they are read */
  file = fopen(in_scene("file"), "we");
  for (int i = 0; i < 20000; i++)
    (void)fprintf(file, "%0*d\n", 1 + i % 60, 0);
  (void)fclose(file);
  tally = (struct tally){0};
  assert_int_equal(kernfile__each_line(in_scene("file"), count, &tally), 0);
  assert_int_equal(tally.lines, 20000);
  assert_int_equal(tally.longest, 60);
  assert_int_equal(tally.bytes, 333 * 60 * 61 / 2 + 20 * 21 / 2);
}

static void overlong_lines_are_left_out(void **state) {
  static const size_t lengths[] = {16383, 16384, 16385, 40000, 32768};
  static char line[40001];
  struct tally tally = {0};
  FILE *file = fopen(in_scene("file"), "we");

  (void)state;
  memset(line, 'x', sizeof(line) - 1);
  for (size_t i = 0; i < 5; i++)
    (void)fprintf(file, "short\n%.*s\n", (int)lengths[i], line);
  (void)fprintf(file, "last\n");
  (void)fclose(file);
  assert_int_equal(kernfile__each_line(in_scene("file"), count, &tally), 0);
  assert_int_equal(tally.lines, 5 + 1 + 1); /* the one that fits with its newline is taken */
  assert_int_equal(tally.longest, 16383);
  assert_string_equal(tally.last, "last");
}

static void numbers_are_found_by_their_keys(void **state) {
  static const char text[] = "ab 1\nabc 22\nA:\t333\nx A: 5\nsize:   4 kB\nhuge: 18446744073709551615 kB\nbad: x\nbig: "
                             "99999999999999999999\nempty:\nlast 7";
  uint64_t number = 77;

  (void)state;
  assert_int_equal(kernfile__number(text, "ab", &number), 0);
  assert_int_equal(number, 1);
  assert_int_equal(kernfile__number(text, "abc", &number), 0);
  assert_int_equal(number, 22);
  assert_int_equal(kernfile__number(text, "A:", &number), 0);
  assert_int_equal(number, 333);
  assert_int_equal(kernfile__number(text, "last", &number), 0);
  assert_int_equal(number, 7);
  assert_int_equal(kernfile__kib(text, "size:", &number), 0);
  assert_int_equal(number, 4096);
  number = 77;
  assert_int_equal(kernfile__number(text, "a", &number), -ENOENT);
  assert_int_equal(kernfile__number(text, "B:", &number), -ENOENT);
  assert_int_equal(kernfile__number(text, "bad:", &number), -EPROTO);
  assert_int_equal(kernfile__number(text, "big:", &number), -EPROTO);
  assert_int_equal(kernfile__number(text, "empty:", &number), -EPROTO);
  assert_int_equal(kernfile__kib(text, "huge:", &number), -EPROTO);
  assert_int_equal(kernfile__kib(text, "A:", &number), -EPROTO);
  assert_int_equal(number, 77);
}

static void values_are_written_in_one_piece(void **state) {
  char text[16];

  (void)state;
  put_file(in_scene("file"), "", 0600);
  assert_int_equal(kernfile__write(in_scene("file"), "500"), 0);
  assert_int_equal(kernfile__read(in_scene("file"), text, sizeof(text)), 0);
  assert_string_equal(text, "500");
  assert_int_equal(kernfile__write(in_scene("missing"), "500"), -ENOENT);
  assert_int_equal(access(in_scene("missing"), F_OK), -1);
  assert_int_equal(kernfile__write("/dev/full", "500"), -ENOSPC);
}

int main(void) {
#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, scene__open, scene__close)
  const struct CMUnitTest tests[] = {
      IN_SCENE(whole_or_not_at_all),
      cmocka_unit_test(longer_than_a_page),
      IN_SCENE(lines_come_one_by_one),
      IN_SCENE(overlong_lines_are_left_out),
      cmocka_unit_test(numbers_are_found_by_their_keys),
      IN_SCENE(values_are_written_in_one_piece),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Is each line of the FIFO taken for exactly what it says, and is everything else refused with its code? */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "command.h"

#define SEC 1000000000ULL

static int parse(const char *line, struct command *command, struct command_error *error) {
  memset(command, 0xee, sizeof(*command));
  memset(error, 0, sizeof(*error));
  return command__parse(line, strlen(line), command, error);
}

static struct command good(const char *line) {
  struct command command;
  struct command_error error;
  int r = parse(line, &command, &error);
  if (r != 1)
    fail_msg("\"%s\": %d, %s: %s", line, r, error.code, error.text);
  return command;
}

static void retire(void **state) {
  (void)state;
  struct command command = good("retire reports/2");
  assert_int_equal(command.verb, COMMAND_RETIRE);
  assert_string_equal(command.pool, "reports");
  assert_int_equal(command.slot, 2);
  assert_int_equal(command.generation, 0);
  assert_int_equal(command.refill, COMMAND_REFILL_AFTER);
  assert_false(command.all);
  assert_string_equal(command.reason, "request");
  assert_string_equal(command.id, "");
  assert_string_equal(command.by, "");
  assert_true(command.footprint_bytes == EBB_UNKNOWN && command.limit_bytes == EBB_UNKNOWN);
  assert_true(command.private_bytes == EBB_UNKNOWN && command.freed_bytes == EBB_UNKNOWN);

  command = good("retire a-b_C9");
  assert_string_equal(command.pool, "a-b_C9");
  assert_int_equal(command.slot, -1);
  assert_int_equal(good("retire reports refill=no").refill, COMMAND_REFILL_NO);
  assert_int_equal(good("retire reports/1 refill=first").refill, COMMAND_REFILL_FIRST);
  assert_int_equal(good("retire reports refill=after").refill, COMMAND_REFILL_AFTER);
  assert_int_equal(good("retire reports/0 gen=4294967295").generation, UINT32_MAX);
  assert_int_equal(good("retire reports/4095").slot, 4095);
}

static void retire_of_the_watch(void **state) {
  (void)state;
  struct command command =
      good("retire reports/2 gen=7 by=watch reason=footprint footprint=1200 limit=1000 private=1100 "
           "freed=0 id=w.1:2_3-4");
  assert_int_equal(command.generation, 7);
  assert_string_equal(command.by, "watch");
  assert_string_equal(command.reason, "footprint");
  assert_int_equal(command.footprint_bytes, 1200);
  assert_int_equal(command.limit_bytes, 1000);
  assert_int_equal(command.private_bytes, 1100);
  assert_int_equal(command.freed_bytes, 0);
  assert_string_equal(command.id, "w.1:2_3-4");
}

static void scale(void **state) {
  (void)state;
  static const struct {
    const char *line;
    int sign;
    uint32_t n;
  } rows[] = {
      {"scale p 0", 0, 0}, {"scale p 4096", 0, 4096}, {"scale p +3", 1, 3}, {"scale p -2", -1, 2}, {"scale p 07", 0, 7},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    struct command command = good(rows[i].line);
    assert_int_equal(command.verb, COMMAND_SCALE);
    assert_int_equal(command.scale_sign, rows[i].sign);
    assert_int_equal(command.scale_n, rows[i].n);
  }
}

static void hold(void **state) {
  (void)state;
  struct command command = good("hold all");
  assert_int_equal(command.verb, COMMAND_HOLD);
  assert_true(command.all);
  assert_string_equal(command.pool, "");
  assert_int_equal(command.what, COMMAND_HOLD_ALL);
  assert_true(command.for_ns == 600 * SEC);
  command = good("hold thumbs what=refill for=5s by=watch");
  assert_false(command.all);
  assert_string_equal(command.pool, "thumbs");
  assert_int_equal(command.what, COMMAND_HOLD_REFILL);
  assert_true(command.for_ns == 5 * SEC);
  assert_int_equal(good("hold thumbs what=retire").what, COMMAND_HOLD_RETIRE);
  assert_int_equal(good("hold thumbs what=all").what, COMMAND_HOLD_ALL);
  assert_true(good("hold all for=24h").for_ns == 86400 * SEC);
}

static void note(void **state) {
  (void)state;
  struct command command =
      good("note effect reports/1 gen=3 freed=12 by=watch reason=pressure text=some_words,_100%25");
  assert_int_equal(command.verb, COMMAND_NOTE);
  assert_string_equal(command.event, "effect");
  assert_string_equal(command.pool, "reports");
  assert_int_equal(command.slot, 1);
  assert_int_equal(command.generation, 3);
  assert_int_equal(command.freed_bytes, 12);
  assert_string_equal(command.reason, "pressure");
  assert_string_equal(command.text, "some_words,_100%25");
  command = good("note warning thumbs reason=below-baseline");
  assert_string_equal(command.reason, "below-baseline");
  assert_int_equal(command.slot, -1);
  assert_string_equal(good("note pressure reason=elevated").reason, "elevated");
  assert_string_equal(good("note watch text=a=b").text, "a=b");
  assert_string_equal(good("note watch").reason, "");
}

static void the_rest(void **state) {
  (void)state;
  static const struct {
    const char *line;
    enum command_verb verb;
    const char *pool;
    bool all;
    int slot;
  } rows[] = {
      {"refill p", COMMAND_REFILL, "p", false, -1},   {"refill p/3", COMMAND_REFILL, "p", false, 3},
      {"drain p", COMMAND_DRAIN, "p", false, -1},     {"drain all", COMMAND_DRAIN, "", true, -1},
      {"resume p", COMMAND_RESUME, "p", false, -1},   {"resume all", COMMAND_RESUME, "", true, -1},
      {"reload", COMMAND_RELOAD, "", false, -1},      {"stop", COMMAND_STOP, "", false, -1},
      {"stop # now", COMMAND_STOP, "", false, -1},    {"  \tstop\t ", COMMAND_STOP, "", false, -1},
      {"drain\tp #x", COMMAND_DRAIN, "p", false, -1}, {"drain id=x p", COMMAND_DRAIN, "p", false, -1},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    struct command command = good(rows[i].line);
    if (command.verb != rows[i].verb || strcmp(command.pool, rows[i].pool) != 0 || command.all != rows[i].all ||
        command.slot != rows[i].slot)
      fail_msg("\"%s\": %s %s all=%d %d", rows[i].line, command__verb_name(command.verb), command.pool, command.all,
               command.slot);
  }
}

static void roll_limit_adopt_trim(void **state) {
  (void)state;
  struct command command = good("roll reports");
  assert_true(command.verb == COMMAND_ROLL && command.batch == 1 && !strcmp(command.pool, "reports"));
  assert_int_equal(good("roll reports batch=3").batch, 3);
  command = good("limit reports footprint=512M retained=off");
  assert_true(command.footprint_limited && command.footprint_limit_bytes == 512u << 20);
  assert_true(command.retained_limited && command.retained_limit_bytes == EBB_UNKNOWN && !command.defaults);
  assert_int_equal(command.footprint_bytes, EBB_UNKNOWN); /* that is what the watch sees */
  command = good("limit reports retained=1G");
  assert_true(!command.footprint_limited && command.retained_limited);
  command = good("limit reports default");
  assert_true(command.defaults && !command.footprint_limited && !command.retained_limited);
  command = good("adopt web 4711");
  assert_true(command.verb == COMMAND_ADOPT && command.pid == 4711 && command.slot == -1);
  command = good("trim reports/2 gen=7 by=watch");
  assert_true(command.verb == COMMAND_TRIM && command.slot == 2 && command.generation == 7);
}

static void blanks_and_comments_say_nothing(void **state) {
  (void)state;
  static const char *const lines[] = {"", " ", "\t", "#", "# retire p", "   #x", "#retire"};
  struct command command;
  struct command_error error;
  for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
    if (parse(lines[i], &command, &error) != 0)
      fail_msg("\"%s\" says something", lines[i]);
}

#define NAME31 "abcdefghijklmnopqrstuvwxyz01234"
#define WORD39 "abcdefghijklmnopqrstuvwxyz0123456789._:"
#define TEXT63 "123456789012345678901234567890123456789012345678901234567890123"

static void refusals(void **state) {
  (void)state;
  static const struct {
    const char *line, *code;
  } rows[] = {
      {"launch p", "unknown-verb"},
      {"Retire p", "unknown-verb"},
      {"retirement p", "unknown-verb"},
      {"retir", "unknown-verb"},
      {"=", "unknown-verb"},
      {"id=x", "unknown-verb"},
      {"roll all", "bad-pool"},
      {"roll p batch=0", "bad-value"},
      {"roll p 2", "extra-word"},
      {"retire p batch=2", "bad-option"},
      {"limit p", "missing-word"},
      {"limit p default footprint=1G", "extra-word"},
      {"limit p defaults", "bad-value"},
      {"limit p footprint=0", "bad-value"},
      {"limit p footprint=25%", "bad-value"},
      {"limit p private=5", "bad-option"},
      {"adopt p", "missing-word"},
      {"adopt p 0", "bad-value"},
      {"adopt p -1", "bad-value"},
      {"adopt p 12x", "bad-value"},
      {"adopt p/1 12", "bad-pool"},
      {"trim p", "bad-slot"},
      {"trim p/1 refill=no", "bad-option"},
      {"retire p refill=second", "bad-value"},
      {"retire", "missing-word"},
      {"retire gen=3", "missing-word"},
      {"retire # p", "missing-word"},
      {"scale", "missing-word"},
      {"scale p", "missing-word"},
      {"hold", "missing-word"},
      {"note", "missing-word"},
      {"retire p q", "extra-word"},
      {"retire p / 1", "extra-word"},
      {"scale p 1 2", "extra-word"},
      {"stop p", "extra-word"},
      {"reload all", "extra-word"},
      {"drain all p", "extra-word"},
      {"note watch p q", "extra-word"},
      {"retire all", "bad-pool"},
      {"refill all", "bad-pool"},
      {"scale all 2", "bad-pool"},
      {"retire -p", "bad-pool"},
      {"retire _p", "bad-pool"},
      {"retire p.q", "bad-pool"},
      {"retire ../../etc", "bad-pool"},
      {"retire /1", "bad-pool"},
      {"retire *", "bad-pool"},
      {"retire %s%n", "bad-pool"},
      {"retire " NAME31 "5", "bad-pool"},
      {"retire " NAME31 "5/1", "bad-pool"},
      {"drain p/1", "bad-pool"},
      {"drain ALL!", "bad-pool"},
      {"scale p/1 3", "bad-pool"},
      {"note effect p!", "bad-pool"},
      {"retire p/", "bad-slot"},
      {"retire p/x", "bad-slot"},
      {"retire p/1x", "bad-slot"},
      {"retire p/-1", "bad-slot"},
      {"retire p/+1", "bad-slot"},
      {"retire p/1/2", "bad-slot"},
      {"retire p/4096", "bad-slot"},
      {"retire p/99999999999999999999", "bad-slot"},
      {"retire p what=all", "bad-option"},
      {"retire p for=1s", "bad-option"},
      {"retire p text=x", "bad-option"},
      {"retire p/1 gen=1 gen=1", "bad-option"},
      {"retire p gen=1", "bad-option"},
      {"note effect p gen=1", "bad-option"},
      {"retire p idx=3", "bad-option"},
      {"retire p i=3", "bad-option"},
      {"retire p =3", "bad-option"},
      {"retire p Gen=3", "bad-option"},
      {"stop footprint=3", "bad-option"},
      {"scale p =3", "bad-option"},
      {"stop id=a id=b", "bad-option"},
      {"retire p/1 gen=0", "bad-value"},
      {"retire p/1 gen=", "bad-value"},
      {"retire p/1 gen=x", "bad-value"},
      {"retire p/1 gen=4294967296", "bad-value"},
      {"retire p refill=", "bad-value"},
      {"retire p refill=yes", "bad-value"},
      {"retire p refill=after,no", "bad-value"},
      {"retire p reason=busy", "bad-value"},
      {"retire p reason=because", "bad-value"},
      {"retire p reason=none", "bad-value"},
      {"retire p reason=", "bad-value"},
      {"note watch reason=No", "bad-value"},
      {"note watch reason=abcdefghijklmnopqrstuvwx", "bad-value"},
      {"note watch by=abcdefghijklmnop", "bad-value"},
      {"note watch by=a.b", "bad-value"},
      {"note watch by=", "bad-value"},
      {"note watch text=", "bad-value"},
      {"note watch text=" TEXT63 "4", "bad-value"},
      {"note start", "bad-value"},
      {"note p/1 effect", "bad-value"},
      {"retire p footprint=1K", "bad-value"},
      {"retire p footprint=", "bad-value"},
      {"retire p footprint=-1", "bad-value"},
      {"retire p limit=18446744073709551615", "bad-value"},
      {"retire p private=18446744073709551616", "bad-value"},
      {"hold p for=", "bad-value"},
      {"hold p for=10", "bad-value"},
      {"hold p for=0", "bad-value"},
      {"hold p for=0s", "bad-value"},
      {"hold p for=25h", "bad-value"},
      {"hold p for=-1s", "bad-value"},
      {"hold p what=", "bad-value"},
      {"hold p what=spawn", "bad-value"},
      {"scale p x", "bad-value"},
      {"scale p +", "bad-value"},
      {"scale p +-1", "bad-value"},
      {"scale p 1x", "bad-value"},
      {"scale p 4097", "bad-value"},
      {"scale p 1.5", "bad-value"},
      {"stop id=", "bad-id"},
      {"stop id=a/b", "bad-id"},
      {"stop id=a=b", "bad-id"},
      {"stop id=" WORD39 "0", "bad-id"},
      {"stop\r", "binary"},
      {"stop\x01", "binary"},
      {"st\x7fop", "binary"},
      {"stop \xc3\xa9", "binary"},
      {"# \x1b[2J", "binary"},
      {"stop\n", "binary"},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    struct command command;
    struct command_error error;
    int r = parse(rows[i].line, &command, &error);
    if (r != -EINVAL || strcmp(error.code, rows[i].code) != 0 || !error.text[0])
      fail_msg("\"%s\": %d, %s: %s", rows[i].line, r, error.code, error.text);
  }
}

static void the_longest_of_everything_fits(void **state) {
  (void)state;
  assert_string_equal(good("retire " NAME31 "/1").pool, NAME31);
  assert_string_equal(good("stop id=" WORD39).id, WORD39);
  assert_string_equal(good("note watch by=abcdefghijklmno").by, "abcdefghijklmno");
  assert_string_equal(good("note watch reason=abcdefghijklmnopqrstuvw").reason, "abcdefghijklmnopqrstuvw");
  assert_string_equal(good("note watch text=" TEXT63).text, TEXT63);
  assert_true(good("retire p limit=18446744073709551614").limit_bytes == EBB_UNKNOWN - 1);
}

static void long_lines_and_lines_with_zeros(void **state) {
  (void)state;
  struct command command;
  struct command_error error;
  char line[EBB_LINE_BYTES + 1];
  memset(line, ' ', sizeof(line));
  memcpy(line, "stop", 4);
  assert_int_equal(command__parse(line, EBB_LINE_BYTES - 1, &command, &error), 1);
  assert_int_equal(command__parse(line, EBB_LINE_BYTES, &command, &error), -EINVAL);
  assert_string_equal(error.code, "too-long");
  assert_int_equal(command__parse("stop\0x", 6, &command, &error), -EINVAL);
  assert_string_equal(error.code, "binary");
  for (size_t i = 0; i < sizeof(line); i++)
    line[i] = i % 2 ? ' ' : 'x'; /* as many words as there can be */
  assert_int_equal(command__parse(line, EBB_LINE_BYTES - 1, &command, &error), -EINVAL);
  assert_string_equal(error.code, "unknown-verb");
}

/* The parser is told a length; what lies behind it is none of its business. */
static void nothing_is_read_behind_the_end(void **state) {
  (void)state;
  struct command command;
  struct command_error error;
  assert_int_equal(command__parse("stop id=xyz", 10, &command, &error), 1);
  assert_string_equal(command.id, "xy");
}

static void refusals_can_be_answered(void **state) {
  (void)state;
  static const struct {
    const char *line, *id;
  } rows[] = {
      {"launch p id=17", "17"},         {"id=17", "17"},
      {"retire p q id=17", "17"},       {"retire p/x gen=0 id=17", "17"},
      {"retire p id=!! id=17", "17"},   {"roll p/1 id=17", "17"},
      {"retire p bogus=1 # id=17", ""}, {"retire p id=", ""},
      {"retire p idx=17", ""},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    struct command command;
    struct command_error error;
    assert_int_equal(parse(rows[i].line, &command, &error), -EINVAL);
    assert_string_equal(command.id, rows[i].id);
  }
}

static void verb_names(void **state) {
  (void)state;
  assert_string_equal(command__verb_name(COMMAND_RETIRE), "retire");
  assert_string_equal(command__verb_name(COMMAND_STOP), "stop");
  assert_string_equal(command__verb_name((enum command_verb)77), "unknown");
}

/* The reader. */

static void describe(char *to, size_t size, const char *bytes, size_t n, size_t piece) {
  struct command_reader reader;
  command_reader__init(&reader);
  size_t used = 0;
  to[0] = 0;
  while (n > 0) {
    size_t left = piece < n ? piece : n, length = 0;
    const char *at = bytes;
    n -= left;
    bytes += left;
    while (left > 0) {
      enum command_piece what = command_reader__next(&reader, &at, &left, &length);
      static const char marks[] = {
          [COMMAND_PIECE_LINE] = '=', [COMMAND_PIECE_TOO_LONG] = '>', [COMMAND_PIECE_BINARY] = '!'};
      if (what == COMMAND_PIECE_MORE) {
        assert_int_equal(left, 0);
        continue;
      }
      int shown = length > 12 ? 12 : (int)length;
      used += (size_t)snprintf(to + used, size - used, "%c%zu:%.*s|", marks[what], length, shown, reader.line);
    }
  }
}

static void lines_come_out_however_the_bytes_come_in(void **state) {
  (void)state;
  char bytes[8192], expected[512], got[512];
  size_t n = 0;
#define PUT(text) (memcpy(bytes + n, text, sizeof(text) - 1), n += sizeof(text) - 1)
  PUT("stop\n\nretire p\n");
  PUT("a\x01z\nb\0c\n");
  memset(bytes + n, 'x', EBB_LINE_BYTES - 1), n += EBB_LINE_BYTES - 1; /* just fits */
  PUT("\n");
  memset(bytes + n, 'y', EBB_LINE_BYTES), n += EBB_LINE_BYTES; /* just does not */
  PUT("\n");
  memset(bytes + n, 'z', 4000), n += 4000;
  PUT("\nreload\n\xff\nlast\nno newline yet");
  (void)snprintf(expected, sizeof(expected),
                 "=4:stop|=0:|=8:retire p|!3:a\x01z|!3:b|=511:xxxxxxxxxxxx|>511:yyyyyyyyyyyy|>511:zzzzzzzzzzzz|"
                 "=6:reload|!1:\xff|=4:last|");
  for (size_t piece = 1; piece <= n; piece = piece < 20 ? piece + 1 : piece * 2 + 1) {
    describe(got, sizeof(got), bytes, n, piece);
    if (strcmp(got, expected) != 0)
      fail_msg("in pieces of %zu: %s", piece, got);
  }
}

static void nothing_in_nothing_out(void **state) {
  (void)state;
  struct command_reader reader;
  const char *bytes = NULL;
  size_t n = 0, length = 77;
  command_reader__init(&reader);
  assert_int_equal(command_reader__next(&reader, &bytes, &n, &length), COMMAND_PIECE_MORE);
  assert_int_equal(length, 77);
}

static uint32_t random_state = 271828;

static uint32_t random_number(void) {
  random_state = random_state * 1664525 + 1013904223;
  return random_state >> 8;
}

/* Random words of the grammar and random bytes: no crash, and whatever is accepted is within its bounds. */
static void random_lines_keep_the_bounds(void **state) {
  (void)state;
  static const char *const words[] = {"retire",    "refill", "scale", "hold",   "note",   "stop",   "p",
                                      "p/1",       "all",    "gen=1", "gen=0",  "id=a",   "for=1h", "what=all",
                                      "+3",        "=",      "#",     "effect", "text=x", "by=me",  "limit=1",
                                      "refill=no", "x=y=z",  "p/",    "/",      "\t",     "-1",     "reason=scale"};
  for (int round = 0; round < 50000; round++) {
    char line[EBB_LINE_BYTES] = "";
    size_t n = 0;
    for (uint32_t i = random_number() % 7; i > 0; i--)
      n += (size_t)snprintf(line + n, sizeof(line) - n, "%s ",
                            words[random_number() % (sizeof(words) / sizeof(*words))]);
    if (n > 0 && random_number() % 4 == 0)
      line[random_number() % n] = (char)random_number();
    struct command command;
    struct command_error error = {0};
    int r = command__parse(line, n, &command, &error);
    assert_true(r == 1 || r == 0 || (r == -EINVAL && error.code[0] && error.text[0]));
    if (r != 1)
      continue;
    assert_true(command.verb < COMMAND_N && command.slot >= -1 && command.slot < EBB_SLOTS_MAX);
    assert_true(command.scale_n <= EBB_SLOTS_MAX && command.for_ns > 0 && command.for_ns <= 86400 * SEC);
    assert_true(memchr(command.pool, 0, sizeof(command.pool)) && memchr(command.id, 0, sizeof(command.id)));
    assert_true(!(command.all && command.pool[0]));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(retire),
      cmocka_unit_test(retire_of_the_watch),
      cmocka_unit_test(scale),
      cmocka_unit_test(hold),
      cmocka_unit_test(note),
      cmocka_unit_test(the_rest),
      cmocka_unit_test(roll_limit_adopt_trim),
      cmocka_unit_test(blanks_and_comments_say_nothing),
      cmocka_unit_test(refusals),
      cmocka_unit_test(the_longest_of_everything_fits),
      cmocka_unit_test(long_lines_and_lines_with_zeros),
      cmocka_unit_test(nothing_is_read_behind_the_end),
      cmocka_unit_test(refusals_can_be_answered),
      cmocka_unit_test(verb_names),
      cmocka_unit_test(lines_come_out_however_the_bytes_come_in),
      cmocka_unit_test(nothing_in_nothing_out),
      cmocka_unit_test(random_lines_keep_the_bounds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Do texts stay within their buffers, and do foreign bytes come out harmless? */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text.h"

static void building(void **state) {
  (void)state;
  char data[16];
  memset(data, 'x', sizeof(data));
  struct text text = TEXT(data);
  assert_string_equal(data, "");
  text__add(&text, "abc");
  text__addf(&text, "-%d", 42);
  assert_string_equal(data, "abc-42");
  assert_int_equal(text.used, 6);
  assert_false(text.cut);
}

/* An exact fit is no cut; one byte more is; a text that was cut has no holes. */
static void cutting(void **state) {
  (void)state;
  for (size_t size = 1; size <= 8; size++) {
    char *data = malloc(size); /* on the heap, so that the sanitizer sees the first byte behind it */
    struct text text;
    text__init(&text, data, size);
    text__add(&text, "abc");
    text__addf(&text, "%s", "def");
    assert_int_equal(text.cut, size < 7);
    assert_memory_equal(data, "abcdef", text.used);
    assert_int_equal(text.used, size < 7 ? size - 1 : 6);
    assert_int_equal(strlen(data), text.used);
    size_t used = text.used;
    text__add(&text, "g");
    text__addf(&text, "h");
    assert_int_equal(text.used - used, size == 8 ? 1 : 0);
    assert_true(text.cut);
    free(data);
  }
  char small[8];
  struct text text = TEXT(small);
  text__add(&text, "abcde");
  text__add_json(&text, "\n", 1);
  assert_true(text.cut);
  text__add(&text, "f");
  assert_string_equal(small, "abcde");
  struct text nothing;
  text__init(&nothing, NULL, 0);
  text__add(&nothing, "a");
  text__addf(&nothing, "%d", 1);
  assert_true(nothing.cut);
}

struct escape {
  const char *bytes;
  size_t n;
  const char *json, *visible;
};

#define BYTES(literal) literal, sizeof(literal) - 1

static void escaping(void **state) {
  (void)state;
  static const struct escape rows[] = {
      {BYTES("plain text"), "plain text", "plain text"},
      {BYTES("say \"\\\""), "say \\\"\\\\\\\"", "say \"\\\""},
      {BYTES("a\nb\tc\r"), "a\\u000ab\\u0009c\\u000d", "a\\x0ab\\x09c\\x0d"},
      {BYTES("\0z\x7f"), "\\u0000z\\u007f", "\\x00z\\x7f"},
      {BYTES("\x1b[2J"), "\\u001b[2J", "\\x1b[2J"},
      {BYTES("\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\x8a"), "\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\x8a",
       "\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\x8a"},
      {BYTES("\xc2\x9b"), "\\u00c2\\u009b", "\\xc2\\x9b"},                 /* a terminal's own CSI, in UTF-8 */
      {BYTES("\xc0\xaf"), "\\u00c0\\u00af", "\\xc0\\xaf"},                 /* overlong */
      {BYTES("\xe0\x9f\xbf"), "\\u00e0\\u009f\\u00bf", "\\xe0\\x9f\\xbf"}, /* overlong */
      {BYTES("\xed\xa0\x80"), "\\u00ed\\u00a0\\u0080", "\\xed\\xa0\\x80"}, /* surrogate */
      {BYTES("\xf4\x90\x80\x80"), "\\u00f4\\u0090\\u0080\\u0080", "\\xf4\\x90\\x80\\x80"}, /* over U+10FFFF */
      {BYTES("\xe2\x82"), "\\u00e2\\u0082", "\\xe2\\x82"},                                 /* ends too early */
      {"\xe2\x82\xac", 2, "\\u00e2\\u0082", "\\xe2\\x82"},
      {BYTES("\xe2\x82x"), "\\u00e2\\u0082x", "\\xe2\\x82x"},
      {BYTES("\x80\xff"), "\\u0080\\u00ff", "\\x80\\xff"},
      {BYTES(""), "", ""},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    char data[128];
    struct text text = TEXT(data);
    text__add_json(&text, rows[i].bytes, rows[i].n);
    assert_string_equal(data, rows[i].json);
    text = TEXT(data);
    text__add_visible(&text, rows[i].bytes, rows[i].n);
    assert_string_equal(data, rows[i].visible);
  }
}

/* The inside of a JSON string, by RFC 8259 and RFC 3629, written independently of the code under test. */
static bool valid_json_inside(const char *text) {
  const unsigned char *at = (const unsigned char *)text;
  while (*at) {
    uint32_t point = *at;
    int more = *at < 0x80 ? 0 : *at < 0xe0 ? 1 : *at < 0xf0 ? 2 : 3;
    if (*at < 0x20 || *at == '"' || (*at >= 0x80 && *at < 0xc0) || *at >= 0xf8)
      return false;
    if (*at == '\\') {
      if (at[1] == 'u' && isxdigit(at[2]) && isxdigit(at[3]) && isxdigit(at[4]) && isxdigit(at[5]))
        at += 6;
      else if (at[1] == '"' || at[1] == '\\')
        at += 2;
      else
        return false;
      continue;
    }
    if (more)
      point = *at & (0x3f >> more);
    for (at++; more > 0; more--, at++) {
      if ((*at & 0xc0) != 0x80)
        return false;
      point = point << 6 | (*at & 0x3f);
    }
    if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
      return false;
  }
  return true;
}

/* Whatever came in, and wherever the buffer ends. */
static void any_bytes_give_valid_json(void **state) {
  (void)state;
  static const unsigned char seeds[] = {0,    '\n', '"',  '\\', 'a',  0x7f, 0x80, 0xbf,
                                        0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xff};
  srandom(1);
  for (int round = 0; round < 20000; round++) {
    char bytes[24], out[64];
    size_t n = (size_t)random() % sizeof(bytes), size = 1 + (size_t)random() % sizeof(out);
    for (size_t i = 0; i < n; i++)
      bytes[i] = (char)(random() % 2 ? seeds[(size_t)random() % sizeof(seeds)] : random() % 256);
    struct text text;
    text__init(&text, out, size);
    text__add_json(&text, bytes, n);
    if (!valid_json_inside(out))
      fail_msg("round %d: not valid: %s", round, out);
  }
}

static void copying(void **state) {
  (void)state;
  char to[4] = "zzz";
  assert_true(text__copy(to, sizeof(to), "abc"));
  assert_string_equal(to, "abc");
  assert_false(text__copy(to, sizeof(to), "wxyz"));
  assert_string_equal(to, "wxy");
  assert_true(text__copy(to, sizeof(to), ""));
  assert_string_equal(to, "");
  assert_false(text__copy(to, 0, ""));
}

static void sizes(void **state) {
  (void)state;
  static const struct {
    uint64_t bytes;
    const char *text;
  } rows[] = {
      {0, "0"},
      {1, "1"},
      {1023, "1023"},
      {1024, "1K"},
      {3 << 10, "3K"},
      {1536, "1.5K"},
      {(1 << 20) - 1, "1M"},
      {512ULL << 20, "512M"},
      {1288490189, "1.2G"},
      {(1ULL << 30) - (1 << 18), "1G"},
      {(1ULL << 30) - (1 << 20), "1023M"},
      {(44ULL << 30) + (1 << 29), "44.5G"},
      {(100ULL << 20) - 1, "100M"},
      {5ULL << 40, "5T"},
      {UINT64_MAX - 1, "16777216T"},
      {UINT64_MAX, "-"},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    char to[16];
    assert_string_equal(text__size(to, sizeof(to), rows[i].bytes), rows[i].text);
  }
}

static void durations(void **state) {
  (void)state;
  static const uint64_t ms = 1000000, s = 1000 * ms;
  const struct {
    uint64_t ns;
    const char *text;
  } rows[] = {
      {0, "0s"},           {800, "800ns"},
      {1700, "1.7us"},     {250 * ms, "250ms"},
      {1200 * ms, "1.2s"}, {999999999, "1s"},
      {59990 * ms, "1m"},  {59 * s, "59s"},
      {180 * s, "3m"},     {90 * s, "1.5m"},
      {7200 * s, "2h"},    {4 * 86400 * s, "4d"},
      {86399 * s, "1d"},   {UINT64_MAX - 1, "213504d"},
      {UINT64_MAX, "-"},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    char to[16];
    assert_string_equal(text__duration(to, sizeof(to), rows[i].ns), rows[i].text);
  }
}

static void timestamps(void **state) {
  (void)state;
  char to[32];
  assert_string_equal(text__timestamp(to, sizeof(to), 0), "1970-01-01T00:00:00.000000Z");
  assert_string_equal(text__timestamp(to, sizeof(to), 1709164799000042), "2024-02-28T23:59:59.000042Z");
  assert_string_equal(text__timestamp(to, sizeof(to), 1709164800999999), "2024-02-29T00:00:00.999999Z");
  assert_int_equal(strlen(text__timestamp(to, sizeof(to), UINT64_MAX)), strlen("584554-05-28T00:00:00.000000Z"));
}

/* Whoever gives less room than asked for gets less text, never an overrun. */
static void small_buffers(void **state) {
  (void)state;
  for (size_t size = 1; size < 32; size++) {
    char *to = malloc(size);
    assert_true(strlen(text__size(to, size, UINT64_MAX - 1)) < size);
    assert_true(strlen(text__duration(to, size, UINT64_MAX - 1)) < size);
    assert_true(strlen(text__timestamp(to, size, 1709164799000042)) < size);
    free(to);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(building),      cmocka_unit_test(cutting),
      cmocka_unit_test(escaping),      cmocka_unit_test(any_bytes_give_valid_json),
      cmocka_unit_test(copying),       cmocka_unit_test(sizes),
      cmocka_unit_test(durations),     cmocka_unit_test(timestamps),
      cmocka_unit_test(small_buffers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

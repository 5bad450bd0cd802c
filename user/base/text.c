/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "clock.h"

void text__init(struct text *text, char *data, size_t size) {
  *text = (struct text){.data = data, .size = size};
  if (size)
    data[0] = 0;
}

static size_t room(const struct text *text) {
  return text->cut || text->size == 0 ? 0 : text->size - text->used - 1;
}

/* As much of the n bytes as fits, or, when `whole`, all or nothing. */
static void append(struct text *text, const char *bytes, size_t n, bool whole) {
  size_t fits = room(text);
  if (n > fits) {
    text->cut = true;
    n = whole ? 0 : fits;
  }
  if (n == 0)
    return;
  memcpy(text->data + text->used, bytes, n);
  text->used += n;
  text->data[text->used] = 0;
}

void text__add(struct text *text, const char *string) {
  append(text, string, strlen(string), false);
}

void text__addf(struct text *text, const char *format, ...) {
  size_t fits = room(text);
  va_list arguments;
  va_start(arguments, format);
  int n = vsnprintf(fits ? text->data + text->used : NULL, fits ? fits + 1 : 0, format, arguments);
  va_end(arguments);
  if (n < 0 || (size_t)n > fits) {
    text->cut = true;
    n = (int)(n < 0 ? 0 : fits);
  }
  text->used += (size_t)n;
  if (fits)
    text->data[text->used] = 0;
}

/* What the first byte of a UTF-8 sequence says of the next one. Source: RFC 3629, section 4. */
struct utf8_lead {
  unsigned char from, to;           /* first byte */
  unsigned char next_from, next_to; /* second byte: no overlong forms, no surrogates, nothing over U+10FFFF */
  unsigned char bytes;
};

static const struct utf8_lead utf8_leads[] = {
    {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3},
    {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

static bool utf8_fits(const struct utf8_lead *lead, const unsigned char *at, size_t n) {
  if (at[0] < lead->from || at[0] > lead->to || n < lead->bytes || at[1] < lead->next_from || at[1] > lead->next_to)
    return false;
  for (size_t i = 2; i < lead->bytes; i++)
    if ((at[i] & 0xc0) != 0x80)
      return false;
  return true;
}

/* Length of the character at bytes if it may be shown as it is, else 0. Controls may not, in ASCII or beyond it
 * (U+0080 to U+009F): terminals obey them. */
static size_t shown_length(const char *bytes, size_t n) {
  const unsigned char *at = (const unsigned char *)bytes;
  if (at[0] < 0x80)
    return at[0] >= 0x20 && at[0] != 0x7f;
  for (size_t i = 0; i < sizeof(utf8_leads) / sizeof(*utf8_leads); i++)
    if (utf8_fits(&utf8_leads[i], at, n))
      return at[0] == 0xc2 && at[1] < 0xa0 ? 0 : utf8_leads[i].bytes;
  return 0;
}

/* Escapes and characters go in whole, so that a text that was cut still ends between two of them. */
static void add_escaped(struct text *text, const char *bytes, size_t n, const char *escape, const char *special) {
  while (n > 0 && !text->cut) {
    size_t length = shown_length(bytes, n);
    char escaped[8] = {'\\', *bytes};
    if (length == 0)
      (void)snprintf(escaped, sizeof(escaped), "%s%02x", escape, (unsigned char)*bytes);
    bool plain = length && !strchr(special, *bytes);
    append(text, plain ? bytes : escaped, plain ? length : strlen(escaped), true);
    bytes += length ? length : 1;
    n -= length ? length : 1;
  }
}

void text__add_json(struct text *text, const char *bytes, size_t n) {
  add_escaped(text, bytes, n, "\\u00", "\"\\");
}

void text__add_visible(struct text *text, const char *bytes, size_t n) {
  add_escaped(text, bytes, n, "\\x", "");
}

bool text__copy(char *to, size_t size, const char *from) {
  struct text text;
  text__init(&text, to, size);
  text__add(&text, from);
  return !text.cut && size > 0;
}

struct unit {
  uint64_t value;
  const char *name;
};

static uint64_t rounded(uint64_t value, uint64_t unit) {
  return value / unit + (value % unit >= (unit + 1) / 2);
}

/* In tenths of the unit; from a hundred units on, people do not want the tenths. */
static uint64_t tenths(uint64_t value, uint64_t unit) {
  return value / unit < 100 ? rounded(value * 10, unit) : rounded(value, unit) * 10;
}

static const char *scaled(char *to, size_t size, uint64_t value, const struct unit *units, size_t n) {
  if (value == UINT64_MAX) {
    (void)text__copy(to, size, "-");
    return to;
  }
  size_t i = 0;
  while (i + 1 < n && value >= units[i + 1].value)
    i++;
  /* 1023.9 MiB would read 1024M. */
  if (i + 1 < n && tenths(value, units[i].value) >= units[i + 1].value / units[i].value * 10)
    i++;
  uint64_t shown = tenths(value, units[i].value);
  struct text text;
  text__init(&text, to, size);
  text__addf(&text, "%llu", (unsigned long long)(shown / 10));
  if (shown % 10)
    text__addf(&text, ".%u", (unsigned)(shown % 10));
  text__add(&text, units[i].name);
  return to;
}

const char *text__size(char *to, size_t size, uint64_t bytes) {
  static const struct unit units[] = {
      {1, ""}, {1ULL << 10, "K"}, {1ULL << 20, "M"}, {1ULL << 30, "G"}, {1ULL << 40, "T"}};
  return scaled(to, size, bytes, units, sizeof(units) / sizeof(*units));
}

const char *text__duration(char *to, size_t size, uint64_t ns) {
  static const struct unit units[] = {
      {1, "ns"},
      {NS_PER_US, "us"},
      {NS_PER_MS, "ms"},
      {NS_PER_SEC, "s"},
      {60 * NS_PER_SEC, "m"},
      {3600 * NS_PER_SEC, "h"},
      {86400 * NS_PER_SEC, "d"},
  };
  if (ns == 0) {
    (void)text__copy(to, size, "0s");
    return to;
  }
  return scaled(to, size, ns, units, sizeof(units) / sizeof(*units));
}

const char *text__timestamp(char *to, size_t size, uint64_t realtime_us) {
  struct text text;
  text__init(&text, to, size);
  time_t seconds = (time_t)(realtime_us / 1000000);
  struct tm utc = {0};
  (void)gmtime_r(&seconds, &utc);
  text__addf(&text, "%04d-%02d-%02dT%02d:%02d:%02d.%06uZ", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour,
             utc.tm_min, utc.tm_sec, (unsigned)(realtime_us % 1000000));
  return to;
}

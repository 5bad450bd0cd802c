/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What fuzz targets share. Each is one file with LLVMFuzzerTestOneInput: libFuzzer calls it (`make fuzz`), or replay.c with
 * the files of its corpus (`make check`). A property that does not hold ends the program, so that the input is kept.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      (void)fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                             \
      abort();                                                                                                         \
    }                                                                                                                  \
  } while (0)

/* Bytes to build structs from; zeros when they have run out. */
struct bytes {
  const uint8_t *at;
  size_t left;
};

static inline void take_bytes(struct bytes *bytes, void *to, size_t n) {
  size_t there = n < bytes->left ? n : bytes->left;
  memset(to, 0, n);
  if (there)
    memcpy(to, bytes->at, there);
  bytes->at += there;
  bytes->left -= there;
}

static inline uint8_t take_byte(struct bytes *bytes) {
  uint8_t byte;
  take_bytes(bytes, &byte, 1);
  return byte;
}

/* A text of its own on the heap: to read past its end, or its NUL, is seen. */
static inline char *text_of(const uint8_t *data, size_t n) {
  char *text = malloc(n + 1);
  MUST(text);
  if (n)
    memcpy(text, data, n);
  text[n] = 0;
  return text;
}

/* Below $TMPDIR, which whoever runs the target removes: libFuzzer ends without calling anybody. */
static inline void make_directory(char *to, size_t size) {
  const char *below = getenv("TMPDIR");
  (void)snprintf(to, size, "%s/ebbt-fuzz-XXXXXX", below ? below : "/tmp");
  MUST(mkdtemp(to));
}

/* Nothing that a terminal would obey, in ASCII or beyond it (U+0080 to U+009F). */
static inline bool is_printable(const char *text) {
  for (const unsigned char *at = (const unsigned char *)text; *at; at++)
    if (*at < ' ' || *at == 0x7f || (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0))
      return false;
  return true;
}

#endif

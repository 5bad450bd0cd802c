/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Text in fixed buffers: a builder that never overruns, and the two ways in which ebb makes foreign bytes safe.
 * Nothing here allocates.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
  char *data;
  size_t size; /* of data, the terminating NUL included */
  size_t used; /* without the NUL; data[used] is always 0 */
  bool cut;    /* something did not fit; nothing is added from then on */
};

#define TEXT(array) ((struct text){.data = (*(array) = 0, (array)), .size = sizeof(array)})

void text__init(struct text *text, char *data, size_t size);
void text__add(struct text *text, const char *string);
void text__addf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Append bytes as the inside of a JSON string: quotes, backslash and control bytes escaped; bytes that are not
 * valid UTF-8 become \u00XX, so the output is valid JSON whatever came in. */
void text__add_json(struct text *text, const char *bytes, size_t n);
/* Append bytes for a terminal: everything outside printable ASCII and valid UTF-8 as \xNN. */
void text__add_visible(struct text *text, const char *bytes, size_t n);

/* Copy into a fixed array, always terminated; false when it had to be cut. */
bool text__copy(char *to, size_t size, const char *from);
/* "1.2G", "512M", "3K", "0"; into a buffer of at least 16 bytes, which is returned. "-" for EBB_UNKNOWN. */
const char *text__size(char *to, size_t size, uint64_t bytes);
/* "1.2s", "3m", "250ms", "2h", "4d". "-" for EBB_UNKNOWN. */
const char *text__duration(char *to, size_t size, uint64_t ns);
/* RFC 3339, UTC, microseconds; into a buffer of at least 32 bytes. */
const char *text__timestamp(char *to, size_t size, uint64_t realtime_us);

#endif

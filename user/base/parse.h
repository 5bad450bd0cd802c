/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Numbers as people write them. Each function takes the whole text: anything left over is an error.
 * Returns 0, -EINVAL (not of that form) or -ERANGE (does not fit); *ret is untouched on failure.
 * `off` is not known here: callers that allow it check for it.
 */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdint.h>

/* "123": digits only, at most max. */
int parse__number(const char *text, uint64_t max, uint64_t *ret);
/* "512M", "1G", "4096": powers of 1024 with K M G T. "25%" of whole_bytes (-EINVAL when whole_bytes is 0). */
int parse__size(const char *text, uint64_t whole_bytes, uint64_t *ret_bytes);
/* "15s", "10m", "250ms", "2h", "1d"; a bare number is refused except 0. */
int parse__time(const char *text, uint64_t *ret_ns);
/* "10%", "2.5%": 0 to 100 with at most one decimal. */
int parse__permille(const char *text, uint32_t *ret_permille);

#endif

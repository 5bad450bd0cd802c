/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Reading the text files of /proc and its kin: whole into a fixed buffer, or line by line; and what is in its directories.
 * Nothing is allocated. */
#ifndef OS_KERNFILE_H
#define OS_KERNFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The whole file into `to`, NUL-terminated. 0 or negative errno (-EFBIG: does not fit); `to` is then undefined. */
int kernfile__read(const char *path, char *to, size_t size);
/* Hand over each line, without its newline, until take() says false. Lines of more than 16 KiB are left out. */
int kernfile__each_line(const char *path, bool (*take)(const char *line, void *arg), void *arg);
/* Hand over each number of a file that lists some, with a byte that is none after each ("12 13 ", "12\n13\n"), from where the
 * descriptor stands. 0, what take() ends it with, or negative errno. */
int kernfile__each_number(int fd, int (*take)(uint64_t number, void *arg), void *arg);
/* Hand over the names in a directory just opened, in its order. 0, what take() ends it with, or negative errno. */
int kernfile__each_name(int dirfd, int (*take)(const char *name, void *arg), void *arg);
/* Write a short value in one piece. */
int kernfile__write(const char *path, const char *value);

/* The number that follows `key` at the start of a line: "nr_dirty 12", "Threads:\t3". 0, -ENOENT (no such line) or
 * -EPROTO (no number there, or it does not fit). */
int kernfile__number(const char *text, const char *key, uint64_t *ret);
/* Likewise "MemTotal:  12 kB", in bytes. */
int kernfile__kib(const char *text, const char *key, uint64_t *ret_bytes);

#endif

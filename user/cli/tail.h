/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Lines of a log that grows and is rotated by renaming (NAME, NAME.1, NAME.2 …): each line once, in order, from the
 * oldest file or from the end of the newest. Waiting is the kernel's (inotify), no polling. Says nothing of what the
 * lines mean.
 */
#ifndef CLI_TAIL_H
#define CLI_TAIL_H

#include <stdbool.h>
#include <stddef.h>

#define TAIL_LINE_BYTES 65536 /* a longer line comes in pieces of this many bytes */
#define TAIL_FILES_MAX 16

struct tail {
  int dirfd; /* the caller's */
  const char *name;
  int inotify_fd;
  int fd; /* of the file that is being read; -1: none was there yet */
  char *buffer;
  size_t from, to; /* bytes of buffer that have not been handed out */
};

/* From the end of NAME: only what is written from now on. Else everything that is still there. A log that is not there
 * (yet) is an empty one. 0 or negative errno. */
int tail__open(struct tail *tail, int dirfd, const char *name, bool from_end);
/* 1: *ret_line has *ret_n bytes, newline excluded, valid until the next call. 0: no whole line now. Negative errno. */
int tail__next(struct tail *tail, char **ret_line, size_t *ret_n);
/* What is left of a last line that has no newline; 0 bytes when there is none. Takes it. */
size_t tail__rest(struct tail *tail, char **ret_line);
/* Polls readable when there may be something new; tail__drain before reading on. */
int tail__fd(const struct tail *tail);
void tail__drain(struct tail *tail);
void tail__close(struct tail *tail);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A tape (core/tape.h), judgement by judgement. Nothing in it is trusted: numbers fit their fields, indexes their tables,
 * names are known, or the line is refused. A line that does not end is what a killed writer leaves: it is passed over where
 * a new session follows, or nothing.
 */
#ifndef SIMULATE_TAPE_READER_H
#define SIMULATE_TAPE_READER_H

#include <stdbool.h>
#include <stdio.h>

#include "tape.h"

struct tape_reader {
  FILE *file;
  char *line; /* the present one, and its room */
  size_t room;
  unsigned number, torn;
  bool begun, broken; /* a session; the last line was not whole */
  char fault[256];    /* what is wrong, and where */
  struct tape_facts facts;
  struct plan plan; /* what came of it then */
};

/* The file stays the caller's. Large: not for the stack. */
void tape_reader__init(struct tape_reader *reader, FILE *file);
/* 1: the next judgement; 0: there is none; -EINVAL: see fault. */
int tape_reader__next(struct tape_reader *reader);
void tape_reader__done(struct tape_reader *reader);

#endif

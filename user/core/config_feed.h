/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A text, line by line, as libinih asks for it; and what libinih does not tell: where we are.
 *
 * Debian's libinih (55) hands no line number to the handler, does not say that a section began, and silently splits
 * lines of 200 bytes and more. So the lines are counted here, each [section] line is followed by a made-up key
 * CONFIG_FEED_SECTION, and a line that libinih would split is a fault, as is one with control bytes.
 */
#ifndef CORE_CONFIG_FEED_H
#define CORE_CONFIG_FEED_H

#include <stdbool.h>
#include <stddef.h>

#include "source.h"

/* A key that no text can hold: control bytes are refused. */
#define CONFIG_FEED_SECTION "\001"

struct config_feed {
  const struct source *source;
  size_t at;       /* of the next line */
  unsigned line;   /* number of the current one, from 1 */
  unsigned calls;  /* lines handed out, the made-up ones included: what libinih counts */
  bool in_header;  /* the current line is a [section]: the made-up key comes next */
  bool indented;   /* the current line begins with a blank: it continues a value */
  bool stopped;    /* hand out no more */
  char fault[160]; /* set, and stopped: what is wrong with the current line */
};

void config_feed__init(struct config_feed *feed, const struct source *source);
/* An ini_reader; stream is a struct config_feed. */
char *config_feed__next(char *to, int size, void *stream);
/* Number of the line that was handed out as the n-th. */
unsigned config_feed__line_of(const struct source *source, unsigned n);

#endif

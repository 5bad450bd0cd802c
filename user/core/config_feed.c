/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "config_feed.h"

#include <stdio.h>
#include <string.h>

#define BOM "\xef\xbb\xbf"

void config_feed__init(struct config_feed *feed, const struct source *source) {
  bool bom = source->n >= 3 && memcmp(source->data, BOM, 3) == 0;
  *feed = (struct config_feed){.source = source, .at = bom ? 3 : 0};
}

/* The bytes of the next line; NULL at the end. */
static const char *take_line(struct config_feed *feed, size_t *ret_n) {
  const char *line = feed->source->data + feed->at;
  size_t left = feed->source->n - feed->at;
  if (left == 0)
    return NULL;
  const char *newline = memchr(line, '\n', left);
  *ret_n = newline ? (size_t)(newline - line) : left;
  feed->at += *ret_n + (newline != NULL);
  feed->line++;
  return line;
}

/* The next line to hand out, a real or a made-up one. */
static const char *advance(struct config_feed *feed, size_t *ret_n) {
  bool made_up = feed->in_header;
  feed->in_header = false;
  feed->indented = false;
  feed->calls++;
  if (made_up) {
    *ret_n = sizeof(CONFIG_FEED_SECTION "=") - 1;
    return CONFIG_FEED_SECTION "=";
  }
  const char *line = take_line(feed, ret_n);
  if (line && *ret_n > 0) {
    feed->in_header = *line == '[';
    feed->indented = *line == ' ' || *line == '\t';
  }
  return line;
}

static bool is_control(char c) {
  return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f;
}

static bool is_clean(struct config_feed *feed, const char *line, size_t n, size_t room) {
  if (n > 0 && line[n - 1] == '\r')
    n--;
  for (size_t i = 0; i < n; i++)
    if (is_control(line[i])) {
      (void)snprintf(feed->fault, sizeof(feed->fault), "expected text, got byte 0x%02x", (unsigned char)line[i]);
      return false;
    }
  if (n > room) {
    (void)snprintf(
        feed->fault, sizeof(feed->fault),
        "expected at most %zu bytes in a line, got %zu: a value goes on in further lines that begin with a blank", room,
        n);
    return false;
  }
  return true;
}

char *config_feed__next(char *to, int size, void *stream) {
  struct config_feed *feed = stream;
  size_t n = 0;
  if (feed->stopped)
    return NULL;
  bool made_up = feed->in_header;
  const char *line = advance(feed, &n);
  feed->stopped = !line || (!made_up && !is_clean(feed, line, n, (size_t)size - 3));
  if (feed->stopped)
    return NULL;
  memcpy(to, line, n);
  to[n] = 0;
  return to;
}

unsigned config_feed__line_of(const struct source *source, unsigned n) {
  struct config_feed feed;
  size_t bytes;
  config_feed__init(&feed, source);
  while (feed.calls < n)
    (void)advance(&feed, &bytes);
  return feed.line;
}

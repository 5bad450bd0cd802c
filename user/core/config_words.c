/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "config.h"

#include <errno.h>
#include <string.h>

struct splitter {
  const char *at;
  char *to, *end;
};

static const char *skip_blanks(const char *at) {
  return at + strspn(at, " \t");
}

static int put(struct splitter *s, char c) {
  if (s->to == s->end)
    return -E2BIG;
  *s->to++ = c;
  return 0;
}

/* The word at s->at, up to an unquoted blank or the end. */
static int take_word(struct splitter *s) {
  char quote = 0;
  int r = 0;
  for (; r == 0 && *s->at && (quote || (*s->at != ' ' && *s->at != '\t')); s->at++) {
    char c = *s->at;
    if (quote ? c == quote : c == '\'' || c == '"') {
      quote = quote ? 0 : c;
      continue;
    }
    if (c == '\\' && quote != '\'' && !(c = *++s->at))
      return -EINVAL;
    r = put(s, c);
  }
  if (r == 0 && quote)
    return -EINVAL;
  return r ? r : put(s, 0);
}

int config__words(const char *line, char *space, size_t space_bytes, const char **words, size_t n_words) {
  struct splitter s = {.at = skip_blanks(line), .to = space, .end = space + space_bytes};
  size_t n = 0;
  for (; *s.at; s.at = skip_blanks(s.at)) {
    if (n + 1 >= n_words)
      return -E2BIG;
    words[n++] = s.to;
    int r = take_word(&s);
    if (r < 0)
      return r;
  }
  if (n == 0)
    return -EINVAL;
  words[n] = NULL;
  return (int)n;
}

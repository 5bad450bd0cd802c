/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "command.h"

#include <string.h>

void command_reader__init(struct command_reader *reader) {
  *reader = (struct command_reader){0};
}

static void keep(struct command_reader *reader, const char *bytes, size_t n) {
  size_t room = EBB_LINE_BYTES - 1 - reader->used; /* the newline belongs to the line too */
  if (n > room) {
    n = room;
    reader->dropping = true;
  }
  memcpy(reader->line + reader->used, bytes, n);
  reader->used += n;
}

/* The line's bytes stay where they are until the next one begins. */
static enum command_piece finish(struct command_reader *reader, size_t *ret_n) {
  bool too_long = reader->dropping;
  *ret_n = reader->used;
  reader->used = 0;
  reader->dropping = false;
  if (too_long)
    return COMMAND_PIECE_TOO_LONG;
  return command__is_binary(reader->line, *ret_n) ? COMMAND_PIECE_BINARY : COMMAND_PIECE_LINE;
}

enum command_piece command_reader__next(struct command_reader *reader, const char **bytes, size_t *n, size_t *ret_n) {
  if (*n == 0)
    return COMMAND_PIECE_MORE;
  const char *newline = memchr(*bytes, '\n', *n);
  size_t taken = newline ? (size_t)(newline - *bytes) : *n;
  keep(reader, *bytes, taken);
  taken += newline != NULL;
  *bytes += taken;
  *n -= taken;
  return newline ? finish(reader, ret_n) : COMMAND_PIECE_MORE;
}

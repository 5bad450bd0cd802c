/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Any bytes into the control FIFO, in pieces of any length: is each line taken once and whole, as if they had come at
 * once? Is a good line after garbage still obeyed, is what is accepted printed back to the same command, and what is
 * refused told why?
 */
#include "fuzz.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "command.h"
#include "fifo.h"
#include "poolname.h"
#include "reason.h"
#include "text.h"

static int served = -1, opened = -1; /* the FIFO's two ends */

static void open_fifo(void) {
  char directory[256];
  make_directory(directory, sizeof(directory));
  int dirfd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  served = fifo__serve(dirfd, "control", (gid_t)-1);
  opened = fifo__open(dirfd, "control");
  MUST(served >= 0 && opened >= 0);
  MUST(!unlinkat(dirfd, "control", 0) && !rmdir(directory) && !close(dirfd));
}

static void print_limit(struct text *to, const char *option, bool given, uint64_t bytes) {
  if (given && bytes == EBB_UNKNOWN)
    text__addf(to, " %s=off", option);
  else if (given)
    text__addf(to, " %s=%llu", option, (unsigned long long)bytes);
}

static void print(const struct command *command, struct text *to) {
  static const char *const holds[] = {
      [COMMAND_HOLD_RETIRE] = "retire", [COMMAND_HOLD_REFILL] = "refill", [COMMAND_HOLD_ALL] = "all"};
  static const char *const refills[] = {
      [COMMAND_REFILL_AFTER] = "after", [COMMAND_REFILL_FIRST] = "first", [COMMAND_REFILL_NO] = "no"};
  bool retire = command->verb == COMMAND_RETIRE;
  text__addf(to, "%s %s %s", command__verb_name(command->verb), command->event, command->all ? "all" : command->pool);
  if (command->slot >= 0)
    text__addf(to, "/%d", command->slot);
  if (command->verb == COMMAND_SCALE)
    text__addf(to, " %s%u", command->scale_sign > 0 ? "+" : command->scale_sign < 0 ? "-" : "", command->scale_n);
  if (command->verb == COMMAND_HOLD)
    text__addf(to, " what=%s for=%llums", holds[command->what], (unsigned long long)command->for_ns / 1000000);
  if (command->generation)
    text__addf(to, " gen=%u", command->generation);
  if (retire)
    text__addf(to, " refill=%s", refills[command->refill]);
  if (command->verb == COMMAND_ROLL)
    text__addf(to, " batch=%u", command->batch);
  if (command->verb == COMMAND_ADOPT)
    text__addf(to, " %d", command->pid);
  if (command->defaults)
    text__add(to, " default");
  print_limit(to, "footprint", command->footprint_limited, command->footprint_limit_bytes);
  print_limit(to, "retained", command->retained_limited, command->retained_limit_bytes);
#define OPTION(name) command->name[0] ? text__addf(to, " " #name "=%s", command->name) : (void)0
  OPTION(id);
  OPTION(by);
  OPTION(reason);
  OPTION(text);
#undef OPTION
#define BYTES(name)                                                                                                    \
  command->name##_bytes != EBB_UNKNOWN ? text__addf(to, " " #name "=%llu", (unsigned long long)command->name##_bytes)  \
                                       : (void)0
  BYTES(footprint);
  BYTES(limit);
  BYTES(private);
  BYTES(freed);
#undef BYTES
}

static void check_accepted(const struct command *command) {
  char first[1024], second[1024];
  struct text printed = TEXT(first), again = TEXT(second);
  struct command reread;
  struct command_error error;
  MUST(command->verb < COMMAND_N && command->slot >= -1 && command->slot < EBB_SLOTS_MAX);
  MUST(!command->pool[0] || pool_name__valid(command->pool));
  MUST(!(command->all && command->pool[0]) && (!command->generation || command->slot >= 0));
  MUST(command->batch >= 1 && command->batch <= EBB_SLOTS_MAX);
  MUST((command->verb == COMMAND_ADOPT) == (command->pid > 0));
  MUST(command->scale_n <= EBB_SLOTS_MAX && command->for_ns > 0 && command->for_ns <= 86400000000000ULL);
  MUST(command->verb != COMMAND_RETIRE || reason__find(command->reason) != REASON_NONE);
  print(command, &printed);
  MUST(command__parse(first, printed.used, &reread, &error) == 1);
  print(&reread, &again);
  MUST(!strcmp(first, second));
}

static bool is_code(const char *code) {
  static const char *const codes[] = {"unknown-verb", "bad-pool",   "bad-slot", "bad-option", "bad-value",
                                      "missing-word", "extra-word", "bad-id",   "too-long",   "binary"};
  for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
    if (!strcmp(codes[i], code))
      return true;
  return false;
}

/* A refusal is answered: a good id that stands anywhere in the line is found. */
static void check_id(const char *line, size_t n) {
  char with_id[EBB_LINE_BYTES];
  struct command command;
  struct command_error error;
  int used = snprintf(with_id, sizeof(with_id), "%.*s id=fuzz", (int)n, line);
  if (used >= (int)sizeof(with_id) || memchr(line, '#', n) || strstr(with_id, "id=") != with_id + used - 7)
    return;
  if (command__parse(with_id, (size_t)used, &command, &error))
    MUST(!strcmp(command.id, "fuzz"));
}

static void take_line(const char *bytes, size_t n) {
  struct command command;
  struct command_error error;
  char *line = malloc(n ? n : 1); /* it has no NUL */
  MUST(line);
  memcpy(line, bytes, n);
  int r = command__parse(line, n, &command, &error);
  MUST(r == 0 || r == 1 || r == -EINVAL);
  if (r == 1)
    check_accepted(&command);
  if (r < 0)
    MUST(is_code(error.code) && is_printable(error.text) && *error.text);
  check_id(line, n);
  free(line);
}

/* What the stream must come apart into, told by looking at all of it. */
struct expected {
  const char *at, *end;
};

static void check_piece(struct expected *expected, enum command_piece piece, const char *line, size_t n) {
  const char *newline = memchr(expected->at, '\n', (size_t)(expected->end - expected->at));
  MUST(newline);
  size_t whole = (size_t)(newline - expected->at);
  bool too_long = whole >= EBB_LINE_BYTES;
  MUST(n == (too_long ? EBB_LINE_BYTES - 1 : whole) && !memcmp(line, expected->at, n));
  MUST(piece == (too_long                      ? COMMAND_PIECE_TOO_LONG
                 : command__is_binary(line, n) ? COMMAND_PIECE_BINARY
                                               : COMMAND_PIECE_LINE));
  expected->at = newline + 1;
}

static void receive(struct command_reader *reader, struct expected *expected) {
  char ahead[4096];
  ssize_t got;
  while ((got = read(served, ahead, sizeof(ahead))) > 0) {
    const char *bytes = ahead;
    size_t left = (size_t)got, n = 0;
    enum command_piece piece;
    while ((piece = command_reader__next(reader, &bytes, &left, &n)) != COMMAND_PIECE_MORE) {
      check_piece(expected, piece, reader->line, n);
      if (piece == COMMAND_PIECE_LINE)
        take_line(reader->line, n);
    }
    MUST(left == 0);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  static const char last[] = "\nstop id=last\n"; /* whatever came before */
  struct command_reader reader;
  uint32_t dice = n ? data[0] : 0;
  if (served < 0)
    open_fifo();
  char *stream = malloc(n + sizeof(last));
  MUST(stream);
  memcpy(stream, data, n);
  memcpy(stream + n, last, sizeof(last));
  struct expected expected = {stream, stream + n + sizeof(last) - 1};
  command_reader__init(&reader);
  for (const char *at = stream; at < expected.end;) {
    dice = dice * 1103515245 + 12345;
    size_t piece = 1 + (dice >> 16) % (dice & 1 << 14 ? 8 : PIPE_BUF), left = (size_t)(expected.end - at);
    piece = piece < left ? piece : left;
    MUST(!fifo__send(opened, at, piece));
    receive(&reader, &expected);
    at += piece;
  }
  MUST(expected.at == expected.end && reader.used == 0 && !strncmp(reader.line, "stop id=last", 12));
  free(stream);
  return 0;
}

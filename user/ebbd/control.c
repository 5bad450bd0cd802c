/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "control.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "act.h"
#include "clock.h"
#include "fifo.h"
#include "log.h"

#define CONTROL_NAME "control"

static void refuse(struct keeper *keeper, const char *id, const char *reason, const char *line, size_t n) {
  audit__write(&keeper->audit, &(struct audit_record){
                                   .event = AUDIT_REFUSED, .id = id, .reason = reason, .text = line, .text_bytes = n});
}

static void take_line(struct keeper *keeper, const char *line, size_t n, uint64_t now_ns) {
  struct command command;
  struct command_error error;
  int parsed = command__parse(line, n, &command, &error);
  if (parsed == 0)
    return;
  const char *refusal = parsed < 0 ? error.code : act__do(keeper, &command, now_ns);
  if (refusal)
    refuse(keeper, command.id, refusal, line, n);
}

/* Bytes read ahead wait here while reaping has its turn. */
static struct {
  char bytes[4096];
  size_t at, n;
} ahead;

static bool refill_ahead(int fd) {
  if (ahead.at < ahead.n)
    return true;
  ssize_t n = read(fd, ahead.bytes, sizeof(ahead.bytes));
  ahead.at = 0;
  ahead.n = n > 0 ? (size_t)n : 0;
  return n > 0;
}

static bool take_piece(struct keeper *keeper, uint64_t now_ns) {
  const char *bytes = ahead.bytes + ahead.at;
  size_t left = ahead.n - ahead.at, n = 0;
  enum command_piece piece = command_reader__next(&keeper->reader, &bytes, &left, &n);
  ahead.at = ahead.n - left;
  switch (piece) {
  case COMMAND_PIECE_LINE:
    take_line(keeper, keeper->reader.line, n, now_ns);
    return true;
  case COMMAND_PIECE_TOO_LONG:
    refuse(keeper, NULL, "too-long", keeper->reader.line, n);
    return true;
  case COMMAND_PIECE_BINARY:
    refuse(keeper, NULL, "binary", keeper->reader.line, n);
    return true;
  default:
    return false;
  }
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *arg) {
  (void)revents;
  struct keeper *keeper = arg;
  uint64_t now_ns = clock__monotonic_ns();
  int taken = 0;
  while (taken < 2 * EBB_COMMANDS_PER_TURN && keeper->stop != STOP_DONE && refill_ahead(fd))
    taken += 1 + take_piece(keeper, now_ns); /* a piece without a newline takes its time too */
  /* With bytes left over, the FIFO may be empty and poll would say nothing: come back by ourselves. */
  (void)sd_event_source_set_io_events(source, EPOLLIN | (ahead.at < ahead.n ? EPOLLOUT : 0));
  return 0;
}

int control__open(struct keeper *keeper) {
  keeper->control_fd = fifo__serve(keeper->run_dirfd, CONTROL_NAME, keeper->gid);
  if (keeper->control_fd < 0)
    return keeper->control_fd;
  command_reader__init(&keeper->reader);
  return sd_event_add_io(keeper->event, NULL, keeper->control_fd, EPOLLIN, on_readable, keeper);
}

void control__close(struct keeper *keeper) {
  if (keeper->control_fd < 0)
    return;
  (void)unlinkat(keeper->run_dirfd, CONTROL_NAME, 0);
  (void)close(keeper->control_fd);
  keeper->control_fd = -1;
}

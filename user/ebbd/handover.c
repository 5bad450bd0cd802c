/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "handover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adopt.h"
#include "board.h"
#include "cleanup.h"
#include "clock.h"
#include "fault.h"
#include "kernfile.h"
#include "log.h"
#include "pending.h"
#include "publish.h"
#include "roster.h"
#include "takeover.h"

static int make_pools(struct keeper *keeper) {
  uint64_t now_ns = clock__monotonic_ns();
  int error = 0;
  for (uint32_t i = 0; !error && i < keeper->config.n_pools; i++) {
    error = roster__apply(keeper, &keeper->config.pools[i], now_ns);
    keeper->unplaced |= error == -ENOSPC; /* removed pools of before still have workers: when those have gone */
    error = error == -ENOSPC ? 0 : error;
  }
  return error;
}

static const char *trouble(int error) {
  return error == -EPROTONOSUPPORT ? "was written by another version of ebb"
         : error == -EPROTO        ? "is damaged"
         : error == -ESTALE        ? "was written before the machine started again"
                                   : "cannot be read";
}

static void say_bad_board(struct keeper *keeper, int error) {
  char text[128];
  (void)snprintf(text, sizeof(text), "the board %s: looking for workers by their lease", trouble(error));
  log__warning("%s", text);
  audit__write(&keeper->audit, &(struct audit_record){.event = AUDIT_WARNING,
                                                      .reason = error == -EPROTONOSUPPORT ? "other-version"
                                                                : error == -ESTALE        ? "other-boot"
                                                                                          : "bad-board",
                                                      .text = text});
}

/* Beside the board, or without one. How many, or negative errno. */
static int take_unknown(struct keeper *keeper, uint64_t now_ns) {
  struct board_view *found = calloc(1, sizeof(*found));
  int n = -ENOMEM;
  if (found)
    n = takeover__search(keeper, found) ? takeover__run(keeper, found, now_ns) : 0;
  free(found);
  return n;
}

/* What is on the board comes before the configuration: pools and slots keep their places there, so that what is published
 * record by record is true after each. */
static int take_over(struct keeper *keeper, const struct board_view *before, bool answers) {
  uint64_t now_ns = clock__monotonic_ns();
  takeover__roster(keeper, before, now_ns);
  int error = make_pools(keeper);
  int known = error ? error : takeover__run(keeper, before, now_ns);
  if (known < 0)
    return known;
  if (answers)
    pending__restore(keeper, before);
  int unknown = take_unknown(keeper, now_ns);
  if (unknown < 0)
    return unknown;
  takeover__rest(keeper, before, now_ns);
  takeover__sweep(keeper, now_ns);
  roster__tidy(keeper);
  keeper->unplaced |= !roster__balance_all(keeper, now_ns); /* not before it is known who serves */
  adopt__make_places(keeper);
  if (known + unknown)
    log__info("took over %d workers", known + unknown);
  return 0;
}

/* A run directory may outlive the machine's run: the pids and deadlines on its board are of another one then. */
static int read_board(const struct keeper *keeper, const struct seqfile *file, struct board_view *ret_before) {
  int error = board__view(file, ret_before);
  const char *written = ret_before->ebbd.boot_id;
  if (error || !*written || !*keeper->boot_id || !strcmp(written, keeper->boot_id))
    return error;
  memset(ret_before, 0, sizeof(*ret_before));
  return -ESTALE;
}

/*
 * The board of the last ebbd is read once it is ours: a record that was half written is then as good as any other (each
 * field is as it was before or after, and no process is believed), and nobody waits for its end. One that cannot be ours
 * is read as it was. What cannot be read is not guessed at.
 */
static int take_board(struct keeper *keeper, struct board_view *ret_before, bool *ret_kept) {
  struct seqfile old = {0};
  int unread = board__open(&old, keeper->run_dirfd);
  int error = board__create(&keeper->board, keeper->run_dirfd, keeper->gid, ret_kept);
  if (!error && !unread)
    unread = read_board(keeper, *ret_kept ? &keeper->board : &old, ret_before);
  seqfile__close(&old);
  if (error)
    log__error("board: %s", strerror(-error));
  else if (unread && unread != -ENOENT)
    say_bad_board(keeper, unread);
  *ret_kept &= !unread;
  return error;
}

int handover__run(struct keeper *keeper) {
  _cleanup_free_ struct board_view *before = calloc(1, sizeof(*before));
  bool kept = false;
  if (!before)
    return -ENOMEM;
  if (kernfile__read("/proc/sys/kernel/random/boot_id", keeper->boot_id, sizeof(keeper->boot_id)))
    keeper->boot_id[0] = 0;
  int error = take_board(keeper, before, &kept);
  if (error)
    return error;
  FAULT(BOARD_OURS);
  error = take_over(keeper, before, kept);
  if (!error) /* how many slots there are: a worker is published as it starts, and has to be found from then on */
    publish__all(keeper);
  FAULT(ALL_TAKEN);
  return error;
}

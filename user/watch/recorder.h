/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * --record: each judgement into a file (core/tape), to be judged again by tools/simulate. It is taken before its acts and
 * written after them, so that no retirement waits for a disk. When the file has come to its size, or cannot be written,
 * recording ends, with a whole last line, and is said to; judging goes on.
 */
#ifndef WATCH_RECORDER_H
#define WATCH_RECORDER_H

#include <stdint.h>

#include "tape.h"

#define RECORDER_BYTES (1024ULL * 1024 * 1024) /* unless told otherwise: ten hours of a thousand busy workers */

struct recorder {
  int fd; /* -1: not recording */
  uint64_t most_bytes, used_bytes;
  struct tape *tape;
};

/* Make the file, or go on behind what is in it. It has to be a regular one that nobody else records into. 0 or negative
 * errno: -EBUSY, -EFBIG (it is full). */
int recorder__open(struct recorder *recorder, const char *path, uint64_t most_bytes);
void recorder__take(struct recorder *recorder, const struct policy_input *in, const struct plan *plan,
                    const char *const names[EBB_POOLS_MAX]);
/* 0 or negative errno, once: it does not record any more then. */
int recorder__write(struct recorder *recorder);
void recorder__close(struct recorder *recorder);

#endif

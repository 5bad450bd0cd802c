/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What is attached while something is measured: nothing, an empty program at the same place, our programs by way of the real
 * sensor, or another tool.
 */
#ifndef BENCH_SETTING_H
#define BENCH_SETTING_H

#include <stdbool.h>
#include <stddef.h>

#include "hand.h"
#include "loader.h"
#include "sensor.h"

enum setting_kind { SETTING_NOTHING, SETTING_EMPTY, SETTING_OURS, SETTING_BPFTRACE };

struct variant {
  const char *part, *name;
  enum setting_kind kind;
  uint32_t level; /* of SETTING_OURS */
  bool tracked;   /* the hands are workers; else there is another one */
  bool near;      /* the threshold is a little over what the hands will hold */
  unsigned every; /* takes part in one cycle of so many (0: in all): dear to set up */
};

struct floor;

struct setting {
  const struct variant *variant;
  struct floor *empty; /* loaded once */
  struct sensor *sensor;
  int bpftrace, up; /* its process, and what it says */
};

/*
 * `stranger`: a process for workers that the hands are not. `n_pieces`: what the hands will take at a time. 0, or negative errno
 * and why. */
int setting__open(struct setting *setting, const struct variant *variant, const struct hand *hands, unsigned n_hands,
                  const unsigned *n_pieces, const struct hand *stranger, char *why, size_t why_bytes);
/* After a chunk: empty the ring. false: a hand has crossed its threshold, and what was measured is something else. */
bool setting__settle(struct setting *setting, unsigned n_hands);
void setting__close(struct setting *setting);
/* The empty programs too. */
void setting__done(struct setting *setting);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "sensor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "feed.h"
#include "pins.h"
#include "procfeed.h"

uint64_t sensor__version(void) {
  return pins__version();
}

int sensor__open(const char *want, bool verbose, struct sensor **ret, char *ret_why, size_t why_bytes) {
  return sensor__open_kept(want, verbose, NULL, ret, ret_why, why_bytes);
}

int sensor__open_kept(const char *want, bool verbose, const char *pins, struct sensor **ret, char *ret_why,
                      size_t why_bytes) {
  struct loader_options options = {.verbose = verbose, .pins = pins};
  bool must_be_bpf = !strcmp(want, "bpf");
  if (!must_be_bpf && strcmp(want, "auto") && strcmp(want, "proc"))
    return -EINVAL;
  if (why_bytes)
    ret_why[0] = 0;
  if (!strcmp(want, "proc"))
    return procfeed__open(ret);
  int r = feed__open(&options, ret, ret_why, why_bytes);
  return r && !must_be_bpf ? procfeed__open(ret) : r;
}

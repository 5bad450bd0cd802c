/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "sensor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "feed.h"
#include "procfeed.h"

int sensor__open(const char *want, bool verbose, struct sensor **ret, char *ret_why, size_t why_bytes) {
  struct loader_options options = {.verbose = verbose};
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

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef WATCH_OPTIONS_H
#define WATCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct options {
  const char *run_dir; /* NULL: environment or default */
  const char *sensor;  /* "auto", "bpf" or "proc"; $EBB_SENSOR when not given */
  bool doctor;         /* probe the machine and say what it allows */
  bool json;           /* of doctor */
  bool verbose;
  const char *record;    /* file for all judgements; $EBB_RECORD when not given; NULL: none */
  uint64_t record_bytes; /* that it may come to */
};

/* Exits by itself on --help, --version and bad usage (status 2). */
void options__parse(struct options *ret, int argc, char **argv);

#endif

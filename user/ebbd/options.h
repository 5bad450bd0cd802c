/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef EBBD_OPTIONS_H
#define EBBD_OPTIONS_H

#include <stdbool.h>

struct options {
  const char *config_path;
  const char *run_dir; /* NULL: environment or default */
  bool check;          /* only read the configuration */
  bool no_watch;
  bool verbose;
};

/* Exits by itself on --help, --version and bad usage (status 2). */
void options__parse(struct options *ret, int argc, char **argv);

#endif

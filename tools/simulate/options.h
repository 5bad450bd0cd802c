/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SIMULATE_OPTIONS_H
#define SIMULATE_OPTIONS_H

#include "replay.h"

#define OPTIONS_SETS_MAX 32

enum form { FORM_TABLE, FORM_CSV, FORM_JSON, FORM_COMPARISON, FORM_MUTANTS, FORM_REPLAY };

struct options {
  enum form form;
  const char *mutant, *record; /* NULL: none */
  int n_sets;
  const char *sets[OPTIONS_SETS_MAX]; /* in their order: as scenario__set takes them */
  char days[64], seed[64];            /* two of them */
  struct replay_question question;
  int n_paths;
  char **paths;
};

/* Exits by itself on --help, --version and bad usage (status 2). */
void options__parse(struct options *ret, int argc, char **argv);

#endif

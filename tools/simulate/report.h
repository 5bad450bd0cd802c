/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A run's measures for people, for spreadsheets and for machines. */
#ifndef SIMULATE_REPORT_H
#define SIMULATE_REPORT_H

#include <stdio.h>

#include "measure.h"

void report__table(const struct scenario *scenario, const struct measure *measure, FILE *to);
void report__csv(const struct scenario *scenario, const struct measure *measure, FILE *to); /* metric,value a line */
void report__json(const struct scenario *scenario, const struct measure *measure, FILE *to);

/* Of several scenarios, a row each: with ebb, and doing nothing. */
void report__head(FILE *to);
void report__row(const struct scenario *scenario, const struct measure *with, const struct measure *without, FILE *to);

/* In the unit of that metric, into a buffer of 32 bytes, which is returned. */
const char *report__number(char *to, const char *metric, double value);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Are a scenario's bounds kept? Of a mutant: are those broken that it names? */
#ifndef SIMULATE_EXPECT_H
#define SIMULATE_EXPECT_H

#include <stdbool.h>
#include <stdio.h>

#include "measure.h"

/* true: all is as it should be. What is not is told, one line each. A metric that there is not, a mutant that breaks
 * nothing, or breaks what has no bound, are not as they should be. */
bool expect__check(const struct scenario *scenario, const struct measure *measure, FILE *to);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Judge again what is on a tape: does the policy decide as it did then, and why? */
#ifndef SIMULATE_REPLAY_H
#define SIMULATE_REPLAY_H

#include <stdio.h>

struct replay_question {
  unsigned at;     /* number of the judgement, from 1; 0: the last one */
  const char *who; /* pool/slot to explain; NULL: nobody */
};

/* Say what is decided, and where it was another decision then; and, if asked, all that speaks for and against one worker.
 * Exit status: 0, 1 when a decision differs, 2 when the tape cannot be read or there is nobody of that name. */
int replay__run(const char *path, const struct replay_question *question, FILE *to);

#endif

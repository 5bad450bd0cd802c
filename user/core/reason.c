/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "reason.h"

#include <string.h>

static const struct {
  const char *name;
  const char *sentence;
} reasons[REASON_N] = {[REASON_NONE] = {"none", "nothing speaks for it"},
#define X(id, name, sentence) [REASON_##id] = {name, sentence},
                       REASON_RULES(X) REASON_ORDERS(X) REASON_GUARDS(X)
#undef X
};

/* A code that came out of a shared file may be any number. */
static enum reason known(enum reason reason) {
  return (unsigned)reason < REASON_N ? reason : REASON_NONE;
}

const char *reason__name(enum reason reason) {
  return reasons[known(reason)].name;
}

const char *reason__sentence(enum reason reason) {
  return reasons[known(reason)].sentence;
}

enum reason reason__find(const char *name) {
  for (int i = REASON_NONE + 1; i < REASON_N; i++)
    if (strcmp(reasons[i].name, name) == 0)
      return (enum reason)i;
  return REASON_NONE;
}

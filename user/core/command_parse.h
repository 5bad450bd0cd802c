/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the parts of the command parser share: the line as it is taken apart, and how a word is refused. */
#ifndef CORE_COMMAND_PARSE_H
#define CORE_COMMAND_PARSE_H

#include "command.h"

/* Every word takes a byte and a blank at least. */
#define WORDS_MAX (EBB_LINE_BYTES / 2)

struct command_parse {
  struct command *command;
  struct command_error *error;
  char bytes[EBB_LINE_BYTES]; /* the line, cut into words */
  const char *words[WORDS_MAX];
  unsigned n_words;
  unsigned given; /* options seen: one bit for each line of their table */
};

/* Takes the value of a word into the command. 0, or -EINVAL with the error filled in. */
typedef int command_set(struct command_parse *parse, const char *value);

/* -EINVAL */
__attribute__((format(printf, 3, 4))) int command_parse__refuse(struct command_error *error, const char *code,
                                                                const char *format, ...);
int command_parse__bad_value(struct command_parse *parse, const char *option, const char *expected);

/* Before anything can be refused, so that the refusal can be answered. */
void command_option__salvage_id(struct command_parse *parse);
/* "name=value", of which n bytes are the name. */
int command_option__take(struct command_parse *parse, const char *word, size_t n);

/* The words that a verb wants after it, in their order, up to one without a name. */
struct command_place {
  const char *name; /* as it is called when it is missing */
  command_set *set;
  bool optional;
};
const struct command_place *command_place__first(enum command_verb verb);

#endif

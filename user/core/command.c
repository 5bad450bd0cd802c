/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "command_parse.h"
#include "reason.h"
#include "text.h"
#include "units.h"

#define HOLD_DEFAULT_NS (600 * NS_PER_SEC)

__attribute__((format(printf, 3, 4))) int command_parse__refuse(struct command_error *error, const char *code,
                                                                const char *format, ...) {
  (void)text__copy(error->code, sizeof(error->code), code);
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(error->text, sizeof(error->text), format, arguments);
  va_end(arguments);
  return -EINVAL;
}

int command_parse__bad_value(struct command_parse *parse, const char *option, const char *expected) {
  return command_parse__refuse(parse->error, "bad-value", "%s: expected %s", option, expected);
}

static const char *const verbs[COMMAND_N] = {
#define X(id, name, aim) [COMMAND_##id] = name,
    COMMAND_VERBS(X)
#undef X
};

const char *command__verb_name(enum command_verb verb) {
  return (unsigned)verb < COMMAND_N ? verbs[verb] : "unknown";
}

static int parse_verb(struct command_parse *parse) {
  const char *word = parse->words[0];
  for (int verb = 0; verb < COMMAND_N; verb++)
    if (strcmp(word, verbs[verb]) == 0) {
      parse->command->verb = (enum command_verb)verb;
      return 0;
    }
  char names[sizeof(parse->error->text)];
  struct text list = TEXT(names);
  for (int verb = 0; verb < COMMAND_N; verb++)
    text__addf(&list, "%s%s", verb == 0 ? "" : verb == COMMAND_N - 1 ? " or " : ", ", verbs[verb]);
  return command_parse__refuse(parse->error, "unknown-verb", "expected %s", names);
}

static int take_words(struct command_parse *parse) {
  const struct command_place *place = command_place__first(parse->command->verb);
  for (unsigned i = 1; i < parse->n_words; i++) {
    const char *word = parse->words[i], *equals = strchr(word, '=');
    int r = equals ? command_option__take(parse, word, (size_t)(equals - word))
            : place->name
                ? (place++)->set(parse, word)
                : command_parse__refuse(parse->error, "extra-word", "%s: expected nothing more", parse->words[0]);
    if (r < 0)
      return r;
  }
  if (place->name && !place->optional)
    return command_parse__refuse(parse->error, "missing-word", "%s: expected %s", parse->words[0], place->name);
  if (parse->command->generation && parse->command->slot < 0)
    return command_parse__refuse(parse->error, "bad-option", "gen= needs <pool>/<slot>");
  bool limits = parse->command->footprint_limited || parse->command->retained_limited;
  if (parse->command->verb == COMMAND_LIMIT && limits == parse->command->defaults)
    return command_parse__refuse(parse->error, limits ? "extra-word" : "missing-word",
                                 "limit: expected either footprint= or retained=, or default");
  return 1;
}

/* Into words at blanks, up to a word that begins with '#'. */
static void split(struct command_parse *parse) {
  char *rest = NULL;
  for (char *word = strtok_r(parse->bytes, " \t", &rest); word && *word != '#'; word = strtok_r(NULL, " \t", &rest))
    parse->words[parse->n_words++] = word;
}

bool command__is_binary(const char *line, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (line[i] != '\t' && (line[i] < ' ' || line[i] > '~'))
      return true;
  return false;
}

int command__parse(const char *line, size_t n, struct command *ret, struct command_error *error) {
  struct command_parse parse = {.command = ret, .error = error};
  *ret = (struct command){
      .slot = -1,
      .batch = 1,
      .what = COMMAND_HOLD_ALL,
      .for_ns = HOLD_DEFAULT_NS,
      .footprint_bytes = EBB_UNKNOWN,
      .limit_bytes = EBB_UNKNOWN,
      .private_bytes = EBB_UNKNOWN,
      .freed_bytes = EBB_UNKNOWN,
  };
  if (n >= EBB_LINE_BYTES)
    return command_parse__refuse(error, "too-long", "expected at most %d bytes with the newline", EBB_LINE_BYTES);
  if (command__is_binary(line, n))
    return command_parse__refuse(error, "binary", "expected printable ASCII");
  memcpy(parse.bytes, line, n);
  split(&parse);
  if (parse.n_words == 0)
    return 0;
  command_option__salvage_id(&parse);
  int r = parse_verb(&parse);
  if (r < 0)
    return r;
  if (ret->verb == COMMAND_RETIRE)
    (void)text__copy(ret->reason, sizeof(ret->reason), reason__name(REASON_REQUEST));
  return take_words(&parse);
}

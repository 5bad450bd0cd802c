/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Options: words with a `=`. */
#include <errno.h>
#include <string.h>

#include "command_parse.h"
#include "parse.h"
#include "reason.h"
#include "text.h"
#include "units.h"

#define HOLD_MAX_NS (86400 * NS_PER_SEC) /* a hold always ends; a longer one is a configuration */

static bool is_token(const char *word, size_t size, const char *allowed) {
  size_t n = strspn(word, allowed);
  return n > 0 && !word[n] && n < size;
}

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static int set_id(struct command_parse *parse, const char *value) {
  struct command *command = parse->command;
  if (!is_token(value, sizeof(command->id), UPPER LOWER DIGITS "._:-"))
    return command_parse__refuse(parse->error, "bad-id", "id: expected 1 to %zu of A-Z a-z 0-9 . _ : -",
                                 sizeof(command->id) - 1);
  (void)text__copy(command->id, sizeof(command->id), value);
  return 0;
}

static int set_by(struct command_parse *parse, const char *value) {
  if (!is_token(value, sizeof(parse->command->by), LOWER "-"))
    return command_parse__bad_value(parse, "by", "a word of at most 15 of a-z -");
  (void)text__copy(parse->command->by, sizeof(parse->command->by), value);
  return 0;
}

static int set_reason(struct command_parse *parse, const char *value) {
  struct command *command = parse->command;
  enum reason reason = reason__find(value);
  if (command->verb == COMMAND_RETIRE && (reason == REASON_NONE || reason >= REASON_UNLEASED))
    return command_parse__bad_value(parse, "reason", "the name of a rule or an order, such as footprint or request");
  if (!is_token(value, sizeof(command->reason), LOWER "-"))
    return command_parse__bad_value(parse, "reason", "a word of at most 23 of a-z -");
  (void)text__copy(command->reason, sizeof(command->reason), value);
  return 0;
}

static int set_gen(struct command_parse *parse, const char *value) {
  uint64_t generation;
  if (parse__number(value, UINT32_MAX, &generation) < 0 || generation == 0)
    return command_parse__bad_value(parse, "gen", "a generation, 1 or more");
  parse->command->generation = (uint32_t)generation;
  return 0;
}

static int set_refill(struct command_parse *parse, const char *value) {
  static const char *const names[] = {
      [COMMAND_REFILL_AFTER] = "after", [COMMAND_REFILL_FIRST] = "first", [COMMAND_REFILL_NO] = "no"};
  for (int refill = COMMAND_REFILL_AFTER; refill <= COMMAND_REFILL_NO; refill++)
    if (strcmp(value, names[refill]) == 0) {
      parse->command->refill = (enum command_refill)refill;
      return 0;
    }
  return command_parse__bad_value(parse, "refill", "after, first or no");
}

static int set_what(struct command_parse *parse, const char *value) {
  static const char *const names[] = {
      [COMMAND_HOLD_RETIRE] = "retire", [COMMAND_HOLD_REFILL] = "refill", [COMMAND_HOLD_ALL] = "all"};
  for (int what = COMMAND_HOLD_RETIRE; what <= COMMAND_HOLD_ALL; what++)
    if (strcmp(value, names[what]) == 0) {
      parse->command->what = (enum command_hold)what;
      return 0;
    }
  return command_parse__bad_value(parse, "what", "retire, refill or all");
}

static int set_for(struct command_parse *parse, const char *value) {
  uint64_t for_ns;
  if (parse__time(value, &for_ns) < 0 || for_ns == 0 || for_ns > HOLD_MAX_NS)
    return command_parse__bad_value(parse, "for", "a time such as 10m, at most 24h");
  parse->command->for_ns = for_ns;
  return 0;
}

static int set_text(struct command_parse *parse, const char *value) {
  if (!*value || !text__copy(parse->command->text, sizeof(parse->command->text), value))
    return command_parse__bad_value(parse, "text", "a word of at most 63 bytes");
  return 0;
}

static int set_bytes(struct command_parse *parse, const char *option, const char *value, uint64_t *to) {
  return parse__number(value, EBB_UNKNOWN - 1, to) < 0 ? command_parse__bad_value(parse, option, "a number of bytes")
                                                       : 0;
}

static int set_batch(struct command_parse *parse, const char *value) {
  uint64_t batch;
  if (parse__number(value, EBB_SLOTS_MAX, &batch) < 0 || batch == 0)
    return command_parse__bad_value(parse, "batch", "a number of workers, 1 to 4096");
  parse->command->batch = (uint32_t)batch;
  return 0;
}

/* Percentages take RAM to mean something, which is not known here. */
static int set_limit_bytes(struct command_parse *parse, const char *option, const char *value, uint64_t *to,
                           bool *ret_given) {
  uint64_t bytes = EBB_UNKNOWN;
  if (strcmp(value, "off") != 0 && (strchr(value, '%') || parse__size(value, 0, &bytes) < 0 || bytes == 0))
    return command_parse__bad_value(parse, option, "a size such as 512M, or off");
  *to = bytes;
  *ret_given = true;
  return 0;
}

static int set_retained(struct command_parse *parse, const char *value) {
  struct command *command = parse->command;
  return set_limit_bytes(parse, "retained", value, &command->retained_limit_bytes, &command->retained_limited);
}

#define BYTES_OPTION(name)                                                                                             \
  static int set_##name(struct command_parse *parse, const char *value) {                                              \
    return set_bytes(parse, #name, value, &parse->command->name##_bytes);                                              \
  }
BYTES_OPTION(limit)
BYTES_OPTION(private)
BYTES_OPTION(freed)

/* A limit to keep to, or what the watch saw. */
static int set_footprint(struct command_parse *parse, const char *value) {
  struct command *command = parse->command;
  return command->verb == COMMAND_LIMIT
             ? set_limit_bytes(parse, "footprint", value, &command->footprint_limit_bytes, &command->footprint_limited)
             : set_bytes(parse, "footprint", value, &command->footprint_bytes);
}

/* option, the verbs that know it */
#define ANY ((1u << COMMAND_N) - 1)
#define WATCHED (1u << COMMAND_RETIRE | 1u << COMMAND_TRIM | 1u << COMMAND_NOTE)
#define OPTIONS(X)                                                                                                     \
  X(id, ANY)                                                                                                           \
  X(by, ANY)                                                                                                           \
  X(gen, WATCHED)                                                                                                      \
  X(refill, 1u << COMMAND_RETIRE)                                                                                      \
  X(what, 1u << COMMAND_HOLD)                                                                                          \
  X(for, 1u << COMMAND_HOLD)                                                                                           \
  X(reason, WATCHED)                                                                                                   \
  X(footprint, WATCHED | 1u << COMMAND_LIMIT)                                                                          \
  X(retained, 1u << COMMAND_LIMIT)                                                                                     \
  X(batch, 1u << COMMAND_ROLL)                                                                                         \
  X(limit, WATCHED)                                                                                                    \
  X(private, WATCHED)                                                                                                  \
  X(freed, WATCHED)                                                                                                    \
  X(text, 1u << COMMAND_NOTE)

static const struct option {
  const char *name;
  unsigned verbs;
  command_set *set;
} options[] = {
#define X(name, verbs) {#name, verbs, set_##name},
    OPTIONS(X)
#undef X
};

static const struct option *find_option(const char *name, size_t n) {
  for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
    if (strlen(options[i].name) == n && memcmp(options[i].name, name, n) == 0)
      return &options[i];
  return NULL;
}

int command_option__take(struct command_parse *parse, const char *word, size_t n) {
  const struct option *option = find_option(word, n);
  const char *verb = command__verb_name(parse->command->verb);
  if (!option)
    return command_parse__refuse(parse->error, "bad-option", "%s: no such option: %.*s=", verb, (int)(n < 24 ? n : 24),
                                 word);
  if (!(option->verbs & 1u << parse->command->verb))
    return command_parse__refuse(parse->error, "bad-option", "%s: takes no %s=", verb, option->name);
  unsigned bit = 1u << (option - options);
  if (parse->given & bit)
    return command_parse__refuse(parse->error, "bad-option", "%s= is given twice", option->name);
  parse->given |= bit;
  return option->set(parse, word + n + 1);
}

void command_option__salvage_id(struct command_parse *parse) {
  for (unsigned i = 0; i < parse->n_words; i++)
    if (strncmp(parse->words[i], "id=", 3) == 0 && set_id(parse, parse->words[i] + 3) == 0)
      return;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "parse.h"
#include "poolname.h"
#include "reason.h"
#include "text.h"
#include "units.h"

#define HOLD_DEFAULT_NS (600 * NS_PER_SEC)
#define HOLD_MAX_NS (86400 * NS_PER_SEC) /* a hold always ends; a longer one is a configuration */
/* Every word takes a byte and a blank at least. */
#define WORDS_MAX (EBB_LINE_BYTES / 2)

struct parse {
  struct command *command;
  struct command_error *error;
  char bytes[EBB_LINE_BYTES]; /* the line, cut into words */
  const char *words[WORDS_MAX];
  unsigned n_words;
  unsigned given; /* options seen: bit by bit of enum option */
};

__attribute__((format(printf, 3, 4))) static int refuse(struct command_error *error, const char *code,
                                                        const char *format, ...) {
  (void)text__copy(error->code, sizeof(error->code), code);
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(error->text, sizeof(error->text), format, arguments);
  va_end(arguments);
  return -EINVAL;
}

/* Words and values. */

static bool is_token(const char *word, size_t size, const char *allowed) {
  size_t n = strspn(word, allowed);
  return n > 0 && !word[n] && n < size;
}

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

typedef int set_option(struct parse *parse, const char *value);

static int set_id(struct parse *parse, const char *value) {
  struct command *command = parse->command;
  if (!is_token(value, sizeof(command->id), UPPER LOWER DIGITS "._:-"))
    return refuse(parse->error, "bad-id", "id: expected 1 to %zu of A-Z a-z 0-9 . _ : -", sizeof(command->id) - 1);
  (void)text__copy(command->id, sizeof(command->id), value);
  return 0;
}

static int bad_value(struct parse *parse, const char *option, const char *expected) {
  return refuse(parse->error, "bad-value", "%s: expected %s", option, expected);
}

static int set_by(struct parse *parse, const char *value) {
  if (!is_token(value, sizeof(parse->command->by), LOWER "-"))
    return bad_value(parse, "by", "a word of at most 15 of a-z -");
  (void)text__copy(parse->command->by, sizeof(parse->command->by), value);
  return 0;
}

static int set_reason(struct parse *parse, const char *value) {
  struct command *command = parse->command;
  enum reason reason = reason__find(value);
  if (command->verb == COMMAND_RETIRE && (reason == REASON_NONE || reason >= REASON_UNLEASED))
    return bad_value(parse, "reason", "the name of a rule or an order, such as footprint or request");
  if (!is_token(value, sizeof(command->reason), LOWER "-"))
    return bad_value(parse, "reason", "a word of at most 23 of a-z -");
  (void)text__copy(command->reason, sizeof(command->reason), value);
  return 0;
}

static int set_gen(struct parse *parse, const char *value) {
  uint64_t generation;
  if (parse__number(value, UINT32_MAX, &generation) < 0 || generation == 0)
    return bad_value(parse, "gen", "a generation, 1 or more");
  parse->command->generation = (uint32_t)generation;
  return 0;
}

static int set_refill(struct parse *parse, const char *value) {
  static const char *const names[] = {
      [COMMAND_REFILL_AFTER] = "after", [COMMAND_REFILL_FIRST] = "first", [COMMAND_REFILL_NO] = "no"};
  for (int refill = COMMAND_REFILL_AFTER; refill <= COMMAND_REFILL_NO; refill++)
    if (strcmp(value, names[refill]) == 0) {
      parse->command->refill = (enum command_refill)refill;
      return 0;
    }
  return bad_value(parse, "refill", "after, first or no");
}

static int set_what(struct parse *parse, const char *value) {
  static const char *const names[] = {
      [COMMAND_HOLD_RETIRE] = "retire", [COMMAND_HOLD_REFILL] = "refill", [COMMAND_HOLD_ALL] = "all"};
  for (int what = COMMAND_HOLD_RETIRE; what <= COMMAND_HOLD_ALL; what++)
    if (strcmp(value, names[what]) == 0) {
      parse->command->what = (enum command_hold)what;
      return 0;
    }
  return bad_value(parse, "what", "retire, refill or all");
}

static int set_for(struct parse *parse, const char *value) {
  uint64_t for_ns;
  if (parse__time(value, &for_ns) < 0 || for_ns == 0 || for_ns > HOLD_MAX_NS)
    return bad_value(parse, "for", "a time such as 10m, at most 24h");
  parse->command->for_ns = for_ns;
  return 0;
}

static int set_text(struct parse *parse, const char *value) {
  if (!*value || !text__copy(parse->command->text, sizeof(parse->command->text), value))
    return bad_value(parse, "text", "a word of at most 63 bytes");
  return 0;
}

static int set_bytes(struct parse *parse, const char *option, const char *value, uint64_t *to) {
  return parse__number(value, EBB_UNKNOWN - 1, to) < 0 ? bad_value(parse, option, "a number of bytes") : 0;
}

static int set_batch(struct parse *parse, const char *value) {
  uint64_t batch;
  if (parse__number(value, EBB_SLOTS_MAX, &batch) < 0 || batch == 0)
    return bad_value(parse, "batch", "a number of workers, 1 to 4096");
  parse->command->batch = (uint32_t)batch;
  return 0;
}

/* Percentages take RAM to mean something, which is not known here. */
static int set_limit_bytes(struct parse *parse, const char *option, const char *value, uint64_t *to, bool *ret_given) {
  uint64_t bytes = EBB_UNKNOWN;
  if (strcmp(value, "off") != 0 && (strchr(value, '%') || parse__size(value, 0, &bytes) < 0 || bytes == 0))
    return bad_value(parse, option, "a size such as 512M, or off");
  *to = bytes;
  *ret_given = true;
  return 0;
}

static int set_retained(struct parse *parse, const char *value) {
  struct command *command = parse->command;
  return set_limit_bytes(parse, "retained", value, &command->retained_limit_bytes, &command->retained_limited);
}

#define BYTES_OPTION(name)                                                                                             \
  static int set_##name(struct parse *parse, const char *value) {                                                      \
    return set_bytes(parse, #name, value, &parse->command->name##_bytes);                                              \
  }
BYTES_OPTION(limit)
BYTES_OPTION(private)
BYTES_OPTION(freed)

/* A limit to keep to, or what the watch saw. */
static int set_footprint(struct parse *parse, const char *value) {
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
  set_option *set;
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

/* Verbs. */

static const struct verb {
  const char *name;
  char aim;
} verbs[COMMAND_N] = {
#define X(id, name, aim) [COMMAND_##id] = {name, aim},
    COMMAND_VERBS(X)
#undef X
};

const char *command__verb_name(enum command_verb verb) {
  return (unsigned)verb < COMMAND_N ? verbs[verb].name : "unknown";
}

static int parse_verb(struct parse *parse) {
  const char *word = parse->words[0];
  for (int verb = 0; verb < COMMAND_N; verb++)
    if (strcmp(word, verbs[verb].name) == 0) {
      parse->command->verb = (enum command_verb)verb;
      return 0;
    }
  char names[sizeof(parse->error->text)];
  struct text list = TEXT(names);
  for (int verb = 0; verb < COMMAND_N; verb++)
    text__addf(&list, "%s%s", verb == 0 ? "" : verb == COMMAND_N - 1 ? " or " : ", ", verbs[verb].name);
  return refuse(parse->error, "unknown-verb", "expected %s", names);
}

/* What it is aimed at. */

static int set_pool(struct parse *parse, const char *name) {
  if (!pool_name__valid(name))
    return refuse(parse->error, "bad-pool", "expected " POOL_NAME_EXPECTED);
  (void)text__copy(parse->command->pool, sizeof(parse->command->pool), name);
  return 0;
}

static int set_pool_or_all(struct parse *parse, const char *name) {
  if (strcmp(name, "all") != 0)
    return set_pool(parse, name);
  parse->command->all = true;
  return 0;
}

static int set_pool_or_slot(struct parse *parse, const char *word) {
  char name[EBB_NAME_BYTES];
  const char *slash = strchr(word, '/');
  uint64_t slot;
  if (!slash)
    return set_pool(parse, word);
  if (slash - word >= EBB_NAME_BYTES)
    return set_pool(parse, word); /* to be refused as too long a name */
  memcpy(name, word, (size_t)(slash - word));
  name[slash - word] = 0;
  int r = set_pool(parse, name);
  if (r < 0)
    return r;
  if (parse__number(slash + 1, EBB_SLOTS_MAX - 1, &slot) < 0)
    return refuse(parse->error, "bad-slot", "expected <pool>/<slot> with a slot of 0 to %d", EBB_SLOTS_MAX - 1);
  parse->command->slot = (int32_t)slot;
  return 0;
}

static int set_slot(struct parse *parse, const char *word) {
  if (!strchr(word, '/'))
    return refuse(parse->error, "bad-slot", "expected <pool>/<slot>");
  return set_pool_or_slot(parse, word);
}

static int set_pid(struct parse *parse, const char *word) {
  uint64_t pid;
  if (parse__number(word, INT32_MAX, &pid) < 0 || pid == 0)
    return refuse(parse->error, "bad-value", "%s: expected the pid of a process", parse->words[0]);
  parse->command->pid = (int32_t)pid;
  return 0;
}

static int set_default(struct parse *parse, const char *word) {
  if (strcmp(word, "default") != 0)
    return refuse(parse->error, "bad-value", "limit: expected footprint=, retained= or default");
  parse->command->defaults = true;
  return 0;
}

static int set_event(struct parse *parse, const char *word) {
  static const char *const events[] = {"effect", "pressure", "warning", "watch", "dry-run"};
  for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
    if (strcmp(word, events[i]) == 0) {
      (void)text__copy(parse->command->event, sizeof(parse->command->event), word);
      return 0;
    }
  return bad_value(parse, "note", "effect, pressure, warning or watch");
}

static int set_size(struct parse *parse, const char *word) {
  struct command *command = parse->command;
  uint64_t n;
  command->scale_sign = *word == '+' ? 1 : *word == '-' ? -1 : 0;
  if (parse__number(word + (command->scale_sign != 0), EBB_SLOTS_MAX, &n) < 0)
    return refuse(parse->error, "bad-value", "scale: expected <n>, +<n> or -<n>, at most %d", EBB_SLOTS_MAX);
  command->scale_n = (uint32_t)n;
  return 0;
}

/* The words that a verb wants after it, in their order. */
struct place {
  const char *name;
  set_option *set;
  bool optional;
};

static const struct place *places_of(const struct command *command) {
  static const struct place nothing[] = {{0}};
  static const struct place pool[] = {{"<pool>", set_pool, false}, {0}};
  static const struct place pool_and_size[] = {{"<pool>", set_pool, false}, {"<n>", set_size, false}, {0}};
  static const struct place pool_and_default[] = {{"<pool>", set_pool, false}, {"default", set_default, true}, {0}};
  static const struct place pool_and_pid[] = {{"<pool>", set_pool, false}, {"<pid>", set_pid, false}, {0}};
  static const struct place pool_or_all[] = {{"<pool> or all", set_pool_or_all, false}, {0}};
  static const struct place pool_or_slot[] = {{"<pool> or <pool>/<slot>", set_pool_or_slot, false}, {0}};
  static const struct place slot[] = {{"<pool>/<slot>", set_slot, false}, {0}};
  static const struct place event[] = {{"an event", set_event, false}, {"a slot", set_pool_or_slot, true}, {0}};
  switch (verbs[command->verb].aim) {
  case 'P':
    return pool;
  case 'Z':
    return pool_and_size;
  case 'L':
    return pool_and_default;
  case 'G':
    return pool_and_pid;
  case 'T':
    return slot;
  case 'A':
    return pool_or_all;
  case 'S':
    return pool_or_slot;
  case 'E':
    return event;
  default:
    return nothing;
  }
}

/* Lines. */

static int take_option(struct parse *parse, const char *word, size_t n) {
  const struct option *option = find_option(word, n);
  const char *verb = command__verb_name(parse->command->verb);
  if (!option)
    return refuse(parse->error, "bad-option", "%s: no such option: %.*s=", verb, (int)(n < 24 ? n : 24), word);
  if (!(option->verbs & 1u << parse->command->verb))
    return refuse(parse->error, "bad-option", "%s: takes no %s=", verb, option->name);
  unsigned bit = 1u << (option - options);
  if (parse->given & bit)
    return refuse(parse->error, "bad-option", "%s= is given twice", option->name);
  parse->given |= bit;
  return option->set(parse, word + n + 1);
}

static int take_words(struct parse *parse) {
  const struct place *place = places_of(parse->command);
  for (unsigned i = 1; i < parse->n_words; i++) {
    const char *word = parse->words[i], *equals = strchr(word, '=');
    int r = equals        ? take_option(parse, word, (size_t)(equals - word))
            : place->name ? (place++)->set(parse, word)
                          : refuse(parse->error, "extra-word", "%s: expected nothing more", parse->words[0]);
    if (r < 0)
      return r;
  }
  if (place->name && !place->optional)
    return refuse(parse->error, "missing-word", "%s: expected %s", parse->words[0], place->name);
  if (parse->command->generation && parse->command->slot < 0)
    return refuse(parse->error, "bad-option", "gen= needs <pool>/<slot>");
  bool limits = parse->command->footprint_limited || parse->command->retained_limited;
  if (parse->command->verb == COMMAND_LIMIT && limits == parse->command->defaults)
    return refuse(parse->error, limits ? "extra-word" : "missing-word",
                  "limit: expected either footprint= or retained=, or default");
  return 1;
}

/* Into words at blanks, up to a word that begins with '#'. */
static void split(struct parse *parse) {
  char *rest = NULL;
  for (char *word = strtok_r(parse->bytes, " \t", &rest); word && *word != '#'; word = strtok_r(NULL, " \t", &rest))
    parse->words[parse->n_words++] = word;
}

/* Before anything can be refused, so that the refusal can be answered. */
static void salvage_id(struct parse *parse) {
  for (unsigned i = 0; i < parse->n_words; i++)
    if (strncmp(parse->words[i], "id=", 3) == 0 && set_id(parse, parse->words[i] + 3) == 0)
      return;
}

bool command__is_binary(const char *line, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (line[i] != '\t' && (line[i] < ' ' || line[i] > '~'))
      return true;
  return false;
}

int command__parse(const char *line, size_t n, struct command *ret, struct command_error *error) {
  struct parse parse = {.command = ret, .error = error};
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
    return refuse(error, "too-long", "expected at most %d bytes with the newline", EBB_LINE_BYTES);
  if (command__is_binary(line, n))
    return refuse(error, "binary", "expected printable ASCII");
  memcpy(parse.bytes, line, n);
  split(&parse);
  if (parse.n_words == 0)
    return 0;
  salvage_id(&parse);
  int r = parse_verb(&parse);
  if (r < 0)
    return r;
  if (ret->verb == COMMAND_RETIRE)
    (void)text__copy(ret->reason, sizeof(ret->reason), reason__name(REASON_REQUEST));
  return take_words(&parse);
}

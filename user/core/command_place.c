/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What a command is aimed at: words without a `=`. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "command_parse.h"
#include "parse.h"
#include "poolname.h"
#include "text.h"

static int set_pool(struct command_parse *parse, const char *name) {
  if (!pool_name__valid(name))
    return command_parse__refuse(parse->error, "bad-pool", "expected " POOL_NAME_EXPECTED);
  (void)text__copy(parse->command->pool, sizeof(parse->command->pool), name);
  return 0;
}

static int set_pool_or_all(struct command_parse *parse, const char *name) {
  if (strcmp(name, "all") != 0)
    return set_pool(parse, name);
  parse->command->all = true;
  return 0;
}

static int set_pool_or_slot(struct command_parse *parse, const char *word) {
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
    return command_parse__refuse(parse->error, "bad-slot", "expected <pool>/<slot> with a slot of 0 to %d",
                                 EBB_SLOTS_MAX - 1);
  parse->command->slot = (int32_t)slot;
  return 0;
}

static int set_slot(struct command_parse *parse, const char *word) {
  if (!strchr(word, '/'))
    return command_parse__refuse(parse->error, "bad-slot", "expected <pool>/<slot>");
  return set_pool_or_slot(parse, word);
}

static int set_pid(struct command_parse *parse, const char *word) {
  uint64_t pid;
  if (parse__number(word, INT32_MAX, &pid) < 0 || pid == 0)
    return command_parse__refuse(parse->error, "bad-value", "%s: expected the pid of a process", parse->words[0]);
  parse->command->pid = (int32_t)pid;
  return 0;
}

static int set_default(struct command_parse *parse, const char *word) {
  if (strcmp(word, "default") != 0)
    return command_parse__refuse(parse->error, "bad-value", "limit: expected footprint=, retained= or default");
  parse->command->defaults = true;
  return 0;
}

static int set_event(struct command_parse *parse, const char *word) {
  static const char *const events[] = {"effect", "pressure", "warning", "watch", "dry-run"};
  for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
    if (strcmp(word, events[i]) == 0) {
      (void)text__copy(parse->command->event, sizeof(parse->command->event), word);
      return 0;
    }
  return command_parse__bad_value(parse, "note", "effect, pressure, warning or watch");
}

static int set_size(struct command_parse *parse, const char *word) {
  struct command *command = parse->command;
  uint64_t n;
  command->scale_sign = *word == '+' ? 1 : *word == '-' ? -1 : 0;
  if (parse__number(word + (command->scale_sign != 0), EBB_SLOTS_MAX, &n) < 0)
    return command_parse__refuse(parse->error, "bad-value", "scale: expected <n>, +<n> or -<n>, at most %d",
                                 EBB_SLOTS_MAX);
  command->scale_n = (uint32_t)n;
  return 0;
}

static const char aims[COMMAND_N] = {
#define X(id, name, aim) [COMMAND_##id] = aim,
    COMMAND_VERBS(X)
#undef X
};

const struct command_place *command_place__first(enum command_verb verb) {
  static const struct command_place nothing[] = {{0}};
  static const struct command_place pool[] = {{"<pool>", set_pool, false}, {0}};
  static const struct command_place pool_and_size[] = {{"<pool>", set_pool, false}, {"<n>", set_size, false}, {0}};
  static const struct command_place pool_and_default[] = {
      {"<pool>", set_pool, false}, {"default", set_default, true}, {0}};
  static const struct command_place pool_and_pid[] = {{"<pool>", set_pool, false}, {"<pid>", set_pid, false}, {0}};
  static const struct command_place pool_or_all[] = {{"<pool> or all", set_pool_or_all, false}, {0}};
  static const struct command_place pool_or_slot[] = {{"<pool> or <pool>/<slot>", set_pool_or_slot, false}, {0}};
  static const struct command_place slot[] = {{"<pool>/<slot>", set_slot, false}, {0}};
  static const struct command_place event[] = {{"an event", set_event, false}, {"a slot", set_pool_or_slot, true}, {0}};
  switch (aims[verb]) {
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

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What libinih does with a line, and what is made of it here:
 *   - `;` or `#` first in a line, also after blanks: a comment. A `;` after a blank ends the value; a `#` does not. In
 *     continuation lines libinih keeps such a `;`, so it is cut here: one rule for all lines. Quotes do not protect
 *     it; a command that needs one writes it without the blank.
 *   - `:` separates like `=`. Blanks around keys and values go.
 *   - `;` or `#` first in a line, also after blanks: a comment. A `;` after a blank ends a value; a `#` does not. In
 *   - What stands behind the `]` of a section is ignored.
 */
#include "config.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config_feed.h"
#include "config_key.h"
#include "poolname.h"
#include "text.h"

/* One value may fill the largest field. */
#define VALUE_BYTES (CONFIG_COMMAND_BYTES > CONFIG_ENVIRONMENT_BYTES ? CONFIG_COMMAND_BYTES : CONFIG_ENVIRONMENT_BYTES)

struct reading {
  struct config *config;
  struct config_error *error;
  const struct source *source;
  struct config_feed feed;
  unsigned failed_line; /* 0: all is well so far */
  bool seen_ebb;
  /* The section, until the next one begins. */
  enum config_section section;
  unsigned section_line;
  struct config_pool *pool;
  unsigned given[CONFIG_KEYS_MAX]; /* line of each key; 0: not given */
  /* The key, until it is known that no more of its value follows. */
  const struct config_key *key;
  struct text value;
  char bytes[VALUE_BYTES];
};

/* Say what is wrong there. What libinih's handlers return for "stop" is 0. */
__attribute__((format(printf, 3, 4))) static int fail(struct reading *reading, unsigned line, const char *format, ...) {
  struct text text = TEXT(reading->error->text);
  char said[480];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(said, sizeof(said), format, arguments);
  va_end(arguments);
  text__addf(&text, "%s:", reading->source->name);
  if (line)
    text__addf(&text, "%u:", line);
  text__addf(&text, " %s", said);
  reading->failed_line = line ? line : 1;
  reading->feed.stopped = true;
  return 0;
}

/* Foreign text, for a message. */
struct quoted {
  char text[100];
};

static struct quoted quote(const char *bytes) {
  struct quoted quoted;
  struct text text;
  text__init(&text, quoted.text, sizeof(quoted.text) - 3);
  text__add_visible(&text, bytes, strlen(bytes));
  if (text.cut)
    memcpy(quoted.text + text.used, "...", 4);
  // cppcheck-suppress uninitvar ; filled in through text
  return quoted;
}

static void *object_of(struct reading *reading) {
  return reading->section == CONFIG_SECTION_POOL ? (void *)reading->pool : (void *)reading->config;
}

static unsigned *given(struct reading *reading, const struct config_key *key) {
  return &reading->given[key - config_keys__of(reading->section).keys];
}

/* The value is whole: store it. */
static int finish_key(struct reading *reading) {
  const struct config_key *key = reading->key;
  if (!key)
    return 1;
  unsigned line = *given(reading, key);
  reading->key = NULL;
  if (reading->value.cut)
    return fail(reading, line, "%s: expected %s, got a value of more than %d bytes", key->name, key->expected,
                VALUE_BYTES - 1);
  int r = config_key__set(key, object_of(reading), reading->config->ram_bytes, reading->bytes);
  if (r < 0)
    return fail(reading, line, "%s: expected %s, got '%s'", key->name, key->expected, quote(reading->bytes).text);
  return 1;
}

static bool adopts(const struct config_pool *pool) {
  return pool->rules.mode == EBB_MODE_ADOPT;
}

static bool adopts_not(const struct config_pool *pool) {
  return !adopts(pool);
}

static bool serves_not(const struct config_pool *pool) {
  return pool->rules.mode != EBB_MODE_SERVICE;
}

static bool is_signalled(const struct config_pool *pool) {
  return pool->rules.idle == EBB_IDLE_SIGNAL;
}

#define ONLY_ADOPTING "only with mode = adopt"
#define NO_LEASE "not with idle = signal, which takes no lease"
/* Keys that say nothing to a pool of another kind: rather refused than ignored. */
static const struct misfit {
  enum config_pool_key key;
  bool (*of)(const struct config_pool *pool);
  const char *expected;
} misfits[] = {
    {CONFIG_POOL_command, adopts, "not with mode = adopt, which starts nobody (refill_command may)"},
    {CONFIG_POOL_refill_command, adopts_not, ONLY_ADOPTING},
    {CONFIG_POOL_adopt_cgroup, adopts_not, ONLY_ADOPTING},
    {CONFIG_POOL_spares, serves_not, "only with mode = service"},
    {CONFIG_POOL_spares, is_signalled, NO_LEASE},
    {CONFIG_POOL_trim, is_signalled, NO_LEASE},
    {CONFIG_POOL_trim_wait, is_signalled, NO_LEASE},
    {CONFIG_POOL_stuck_after, is_signalled, NO_LEASE},
};

static int check_kind(struct reading *reading) {
  const struct config_pool *pool = reading->pool;
  for (size_t i = 0; i < sizeof(misfits) / sizeof(*misfits); i++)
    if (reading->given[misfits[i].key] && misfits[i].of(pool))
      return fail(reading, reading->given[misfits[i].key], "%s: expected %s",
                  config_keys__of(CONFIG_SECTION_POOL).keys[misfits[i].key].name, misfits[i].expected);
  if (adopts(pool) ? reading->given[CONFIG_POOL_user] : reading->given[CONFIG_POOL_command])
    return 1;
  return adopts(pool) ? fail(reading, reading->section_line, "[pool:%s]: expected a user, whose processes it may adopt",
                             pool->name)
                      : fail(reading, reading->section_line, "[pool:%s]: expected a command", pool->name);
}

/* Contradictions within a pool, found when all of it is known. */
static int finish_pool(struct reading *reading) {
  struct config_pool *pool = reading->pool;
  if (!check_kind(reading))
    return 0;
  if (!reading->given[CONFIG_POOL_min_ready])
    pool->rules.min_ready = pool->size > 1 && pool->rules.mode != EBB_MODE_ONESHOT;
  if (pool->rules.min_ready > pool->size)
    return fail(reading, reading->given[CONFIG_POOL_min_ready], "min_ready: expected at most size (%u), got '%u'",
                pool->size, pool->rules.min_ready);
  reading->config->n_slots += pool->size + pool->rules.spares;
  if (reading->config->n_slots > EBB_SLOTS_MAX)
    return fail(reading, reading->given[CONFIG_POOL_size] ?: reading->section_line,
                "size: expected at most %d workers in all pools, got %u", EBB_SLOTS_MAX, reading->config->n_slots);
  return 1;
}

static int finish_section(struct reading *reading) {
  enum config_section section = reading->section;
  if (!finish_key(reading))
    return 0;
  int going_on = section == CONFIG_SECTION_POOL ? finish_pool(reading) : 1;
  reading->section = CONFIG_SECTION_NONE;
  return going_on;
}

static int begin_pool(struct reading *reading, const char *name) {
  struct config *config = reading->config;
  unsigned line = reading->section_line;
  if (!pool_name__valid(name))
    return fail(reading, line, "[pool:%s]: expected " POOL_NAME_EXPECTED, quote(name).text);
  if (config__pool_index(config, name) >= 0)
    return fail(reading, line, "[pool:%s]: expected one such section, got a second one", name);
  if (config->n_pools == EBB_POOLS_MAX)
    return fail(reading, line, "[pool:%s]: expected at most %d pools", name, EBB_POOLS_MAX);
  reading->pool = &config->pools[config->n_pools++];
  *reading->pool = (struct config_pool){0};
  (void)text__copy(reading->pool->name, sizeof(reading->pool->name), name);
  reading->section = CONFIG_SECTION_POOL;
  config_keys__preset(CONFIG_SECTION_POOL, reading->pool, config->ram_bytes);
  return 1;
}

static int begin_ebb(struct reading *reading) {
  if (reading->seen_ebb)
    return fail(reading, reading->section_line, "[ebb]: expected one such section, got a second one");
  reading->seen_ebb = true;
  reading->section = CONFIG_SECTION_EBB;
  return 1;
}

static int begin_section(struct reading *reading, const char *name) {
  if (!finish_section(reading))
    return 0;
  reading->section_line = reading->feed.line;
  memset(reading->given, 0, sizeof(reading->given));
  if (strcmp(name, "ebb") == 0)
    return begin_ebb(reading);
  if (strncmp(name, "pool:", 5) == 0)
    return begin_pool(reading, name + 5);
  return fail(reading, reading->section_line, "[%s]: expected [ebb] or [pool:<name>]", quote(name).text);
}

struct names {
  char text[400];
};

static struct names names_of(enum config_section section) {
  struct names names;
  struct text text;
  text__init(&text, names.text, sizeof(names.text));
  struct config_keys keys = config_keys__of(section);
  for (unsigned i = 0; i < keys.n; i++)
    text__addf(&text, " %s", keys.keys[i].name);
  // cppcheck-suppress uninitvar ; filled in through text
  return names;
}

static int refuse_key(struct reading *reading, const char *name) {
  bool in_pool = reading->section == CONFIG_SECTION_POOL;
  unsigned line = reading->feed.line;
  struct quoted shown = quote(name);
  if (config_keys__find(in_pool ? CONFIG_SECTION_EBB : CONFIG_SECTION_POOL, name))
    return fail(reading, line, "%s: unknown key here, it belongs in %s", shown.text, in_pool ? "[ebb]" : "[pool:...]");
  const struct config_key *nearest = config_keys__nearest(reading->section, name);
  if (nearest)
    return fail(reading, line, "%s: unknown key, did you mean %s?", shown.text, nearest->name);
  return fail(reading, line, "%s: unknown key, expected one of:%s", shown.text, names_of(reading->section).text);
}

static int begin_key(struct reading *reading, const char *name, const char *value) {
  if (!finish_key(reading))
    return 0;
  if (reading->section == CONFIG_SECTION_NONE)
    return fail(reading, reading->feed.line, "%s: expected [ebb] or [pool:<name>] before it", quote(name).text);
  const struct config_key *key = config_keys__find(reading->section, name);
  if (!key)
    return refuse_key(reading, name);
  if (*given(reading, key))
    return fail(reading, reading->feed.line, "%s: expected once, is on line %u already", name, *given(reading, key));
  *given(reading, key) = reading->feed.line;
  reading->key = key;
  text__init(&reading->value, reading->bytes, sizeof(reading->bytes));
  text__add(&reading->value, value);
  return 1;
}

/* Up to a `;` after a blank, and the blanks before that. */
static int length_without_comment(const char *line) {
  const char *end = line;
  while (*end && !(*end == ';' && end > line && strchr(" \t", end[-1])))
    end++;
  while (*end && end > line && strchr(" \t", end[-1]))
    end--;
  return (int)(end - line);
}

static int continue_key(struct reading *reading, const char *more) {
  if (!reading->key)
    return fail(reading, reading->feed.line,
                "expected a key, got a line that begins with a blank, which continues the value before it");
  text__addf(&reading->value, "%s%.*s", *reading->bytes ? " " : "", length_without_comment(more), more);
  return 1;
}

/* libinih's handler. */
static int take(void *user, const char *section, const char *name, const char *value) {
  struct reading *reading = user;
  if (reading->failed_line)
    return 0;
  if (reading->feed.indented)
    return continue_key(reading, value);
  if (strcmp(name, CONFIG_FEED_SECTION) == 0)
    return begin_section(reading, section);
  return begin_key(reading, name, value);
}

/* A line that cannot be read at all; but a bad value before it comes first, which nobody has looked at yet. */
static int fail_at_line(struct reading *reading, unsigned line, const char *what) {
  if (reading->key && *given(reading, reading->key) < line && !finish_key(reading))
    return 0;
  return fail(reading, line, "%s", what);
}

static int read_source(struct reading *reading, const struct source *source) {
  struct config_feed *feed = &reading->feed;
  reading->source = source;
  config_feed__init(feed, source);
  int r = ini_parse_stream(config_feed__next, feed, take, reading);
  if (r < 0)
    return fail(reading, 0, "cannot be read: no memory");
  /* libinih goes on after a line that it cannot read, and tells of the first one at the end. */
  unsigned bad_line = r > 0 ? config_feed__line_of(source, (unsigned)r) : 0;
  if (bad_line && (!reading->failed_line || ((unsigned)r < feed->calls && bad_line <= reading->failed_line)))
    return fail_at_line(reading, bad_line, "expected [section], key = value, or a comment");
  if (reading->failed_line)
    return 0;
  return *feed->fault ? fail_at_line(reading, feed->line, feed->fault) : finish_section(reading);
}

int config__read(struct config *ret, uint64_t ram_bytes, const struct source *sources, size_t n,
                 struct config_error *error) {
  struct reading reading = {.config = ret, .error = error};
  *ret = (struct config){.ram_bytes = ram_bytes};
  config_keys__preset(CONFIG_SECTION_EBB, ret, ram_bytes);
  for (size_t i = 0; i < n; i++)
    if (!read_source(&reading, &sources[i]))
      return -EINVAL;
  if (ret->n_pools > 0)
    return 0;
  static const struct source nowhere = {.name = (char *)"configuration"};
  reading.source = n > 0 ? &sources[0] : &nowhere;
  (void)fail(&reading, 0, "expected at least one [pool:<name>] section");
  return -EINVAL;
}

int config__pool_index(const struct config *config, const char *name) {
  for (uint32_t i = 0; i < config->n_pools; i++)
    if (strcmp(config->pools[i].name, name) == 0)
      return (int)i;
  return -ENOENT;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "scenario.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_feed.h"
#include "parse.h"
#include "scenario_key.h"
#include "text.h"

struct reading {
  struct scenario *scenario;
  struct scenario_error *error;
  struct config_feed feed;
  bool failed;
};

__attribute__((format(printf, 4, 5))) static int fail(const struct scenario *scenario, struct scenario_error *error,
                                                      unsigned line, const char *format, ...) {
  struct text text = TEXT(error->text);
  char said[400];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(said, sizeof(said), format, arguments);
  va_end(arguments);
  text__addf(&text, "%s:", scenario->path);
  if (line)
    text__addf(&text, "%u:", line);
  text__addf(&text, " %s", said);
  return -EINVAL;
}

/* Entries. */

static int insert(struct scenario *scenario, unsigned at, const struct scenario_entry *entry) {
  if (scenario->n_entries == SCENARIO_ENTRIES_MAX)
    return -E2BIG;
  memmove(&scenario->entries[at + 1], &scenario->entries[at], (scenario->n_entries - at) * sizeof(*entry));
  scenario->entries[at] = *entry;
  scenario->n_entries++;
  return 0;
}

static bool compose(struct scenario_entry *entry, unsigned line, const char *section, const char *name,
                    const char *value) {
  *entry = (struct scenario_entry){.line = line};
  return text__copy(entry->section, sizeof(entry->section), section) &&
         text__copy(entry->name, sizeof(entry->name), name) && text__copy(entry->value, sizeof(entry->value), value);
}

/* libinih's handler. */
static int take(void *user, const char *section, const char *name, const char *value) {
  struct reading *reading = user;
  struct scenario_entry entry;
  bool begins = !strcmp(name, CONFIG_FEED_SECTION);
  if (reading->failed)
    return 0;
  unsigned line = reading->feed.line;
  if (reading->feed.indented || !*section || !compose(&entry, line, section, begins ? "" : name, begins ? "" : value) ||
      insert(reading->scenario, reading->scenario->n_entries, &entry)) {
    reading->failed = true;
    (void)fail(reading->scenario, reading->error, line, "expected a [section] of short lines, none of them indented");
    return 0;
  }
  return 1;
}

int scenario__read(struct scenario *ret, const struct source *source, struct scenario_error *error) {
  struct reading reading = {.scenario = ret, .error = error};
  *ret = (struct scenario){.path = source->name};
  config_feed__init(&reading.feed, source);
  int r = ini_parse_stream(config_feed__next, &reading.feed, take, &reading);
  if (reading.failed)
    return -EINVAL;
  if (*reading.feed.fault)
    return fail(ret, error, reading.feed.line, "%s", reading.feed.fault);
  if (r)
    return fail(ret, error, r > 0 ? config_feed__line_of(source, (unsigned)r) : 0, "expected [section] or key = value");
  return 0;
}

/* Changes. */

static void trim(char *text) {
  size_t n = strlen(text), blanks = strspn(text, " \t");
  memmove(text, text + blanks, n - blanks + 1);
  for (n = strlen(text); n > 0 && strchr(" \t", text[n - 1]); n--)
    text[n - 1] = 0;
}

/* The entry of that key, else the last one of its section. */
static struct scenario_entry *place_of(struct scenario *scenario, const char *section, const char *name) {
  struct scenario_entry *last = NULL;
  for (unsigned i = 0; i < scenario->n_entries; i++) {
    struct scenario_entry *entry = &scenario->entries[i];
    if (strcmp(entry->section, section) != 0)
      continue;
    if (!strcmp(entry->name, name))
      return entry;
    last = entry;
  }
  return last;
}

int scenario__set(struct scenario *scenario, const char *what, struct scenario_error *error) {
  struct scenario_entry entry;
  char copy[256], *name, *value;
  if (!text__copy(copy, sizeof(copy), what) || !(value = strpbrk(copy, " =")))
    return fail(scenario, error, 0, "'%s': expected section.key=value", what);
  *value++ = 0;
  trim(value);
  name = strrchr(copy, '.');
  if (!name)
    return fail(scenario, error, 0, "'%s': expected section.key=value", what);
  *name++ = 0;
  struct scenario_entry *place = place_of(scenario, copy, name);
  if (!place)
    return fail(scenario, error, 0, "'%s': there is no section [%s]", what, copy);
  if (!compose(&entry, place->line, copy, name, value))
    return fail(scenario, error, 0, "'%s': too long", what);
  if (strcmp(place->name, name) != 0)
    return insert(scenario, (unsigned)(place - scenario->entries) + 1, &entry);
  *place = entry;
  return 0;
}

int scenario__mutate(struct scenario *scenario, const char *name, struct scenario_error *error) {
  char section[SCENARIO_NAME_BYTES], what[256];
  bool found = false;
  (void)snprintf(section, sizeof(section), "mutant:%s", name);
  for (unsigned i = 0; i < scenario->n_entries; i++) {
    const struct scenario_entry *entry = &scenario->entries[i];
    if (strcmp(entry->section, section) != 0)
      continue;
    found = true;
    (void)text__copy(what, sizeof(what), entry->value); /* entries may move */
    if (!strcmp(entry->name, "set") && scenario__set(scenario, what, error))
      return -EINVAL;
    if (!strcmp(entry->name, "breaks"))
      (void)text__copy(scenario->breaks, sizeof(scenario->breaks), what);
  }
  return found ? 0 : -ENOENT;
}

const char *scenario__mutant(const struct scenario *scenario, unsigned n) {
  for (unsigned i = 0; i < scenario->n_entries; i++) {
    const struct scenario_entry *entry = &scenario->entries[i];
    if (!*entry->name && !strncmp(entry->section, "mutant:", 7) && n-- == 0)
      return entry->section + 7;
  }
  return NULL;
}

/* Making sense of it. */

static bool is_ours(const char *section) {
  return !strcmp(section, "ebb") || !strncmp(section, "pool:", 5);
}

/* What is for core/config, each line where it was, so that its complaints name the right one. */
static int settle_config(struct scenario *scenario, struct scenario_error *error) {
  static char data[SCENARIO_ENTRIES_MAX * 400];
  struct text text = TEXT(data);
  struct config_error config_error;
  unsigned line = 1;
  for (unsigned i = 0; i < scenario->n_entries; i++) {
    const struct scenario_entry *entry = &scenario->entries[i];
    if (!is_ours(entry->section))
      continue;
    for (; line < entry->line; line++)
      text__add(&text, "\n");
    if (*entry->name)
      text__addf(&text, "%s = %s\n", entry->name, entry->value);
    else
      text__addf(&text, "[%s]\n", entry->section);
    line++;
  }
  const struct source source = {.name = (char *)scenario->path, .data = data, .n = text.used};
  if (text.cut)
    return fail(scenario, error, 0, "too long");
  if (!config__read(&scenario->config, scenario->host.memory_bytes, &source, 1, &config_error))
    return 0;
  (void)text__copy(error->text, sizeof(error->text), config_error.text);
  return -EINVAL;
}

/* The keys of one section, defaults included, into an object. */
static int settle_section(struct scenario *scenario, const char *section, void *object, struct scenario_error *error) {
  size_t kind = strcspn(section, ":");
  for (const struct scenario_key *key = scenario_keys; key->name; key++) {
    if (strlen(key->section) != kind || strncmp(key->section, section, kind) != 0)
      continue;
    const struct scenario_entry *entry = place_of(scenario, section, key->name);
    bool given = entry && !strcmp(entry->name, key->name);
    const char *value = given ? entry->value : key->preset;
    if (!value)
      return fail(scenario, error, entry ? entry->line : 0, "[%s]: expected %s = %s", section, key->name,
                  key->expected);
    if (key->set((char *)object + key->offset, value, scenario->host.memory_bytes))
      return fail(scenario, error, entry ? entry->line : 0, "%s: expected %s, got '%s'", key->name, key->expected,
                  value);
  }
  return 0;
}

static int settle_jobs(struct scenario *scenario, const struct scenario_entry *entry, struct scenario_error *error) {
  if (scenario->n_jobs == SCENARIO_JOBS_MAX)
    return fail(scenario, error, entry->line, "expected at most %d kinds of jobs", SCENARIO_JOBS_MAX);
  struct scenario_jobs *jobs = &scenario->jobs[scenario->n_jobs++];
  if (!text__copy(jobs->label, sizeof(jobs->label), entry->section + 5))
    return fail(scenario, error, entry->line, "the label is too long");
  int r = settle_section(scenario, entry->section, jobs, error);
  if (r)
    return r;
  int pool = config__pool_index(&scenario->config, jobs->pool_name);
  if (pool < 0)
    return fail(scenario, error, entry->line, "[%s]: there is no [pool:%s]", entry->section, jobs->pool_name);
  if (jobs->every.kind == DRAW_CONSTANT && jobs->every.a < 1)
    return fail(scenario, error, entry->line, "[%s]: every: expected more than 0", entry->section);
  jobs->pool = (uint32_t)pool;
  return 0;
}

static int settle_workers(struct scenario *scenario, const struct scenario_entry *entry, struct scenario_error *error) {
  int pool = config__pool_index(&scenario->config, entry->section + 8);
  if (pool < 0)
    return fail(scenario, error, entry->line, "[%s]: there is no such pool", entry->section);
  return settle_section(scenario, entry->section, &scenario->workers[pool], error);
}

/* A share, a size, a time in seconds, or a plain number. */
static bool read_number(const char *text, double *ret) {
  uint64_t number;
  uint32_t permille;
  char *end;
  *ret = strtod(text, &end);
  if (end != text && !*end)
    return *ret >= 0;
  if (!parse__permille(text, &permille))
    *ret = permille / 1000.0;
  else if (!parse__size(text, 0, &number))
    *ret = (double)number;
  else if (!parse__time(text, &number))
    *ret = (double)number / 1e9;
  else
    return false;
  return true;
}

/* libinih takes "peak_bytes <= 25G" for a key "peak_bytes <" with the value "25G". */
static int settle_bound(struct scenario *scenario, const struct scenario_entry *entry, struct scenario_error *error) {
  struct scenario_bound bound = {.line = entry->line};
  (void)text__copy(bound.metric, sizeof(bound.metric), entry->name);
  size_t n = strlen(bound.metric);
  char relation = n ? bound.metric[n - 1] : 0;
  if ((relation != '<' && relation != '>') || !read_number(entry->value, &bound.value))
    return fail(scenario, error, entry->line, "expected METRIC <= NUMBER, or METRIC >= NUMBER");
  if (scenario->n_bounds == SCENARIO_BOUNDS_MAX)
    return fail(scenario, error, entry->line, "expected at most %d bounds", SCENARIO_BOUNDS_MAX);
  bound.metric[n - 1] = 0;
  trim(bound.metric);
  bound.at_least = relation == '>';
  scenario->bounds[scenario->n_bounds++] = bound;
  return 0;
}

static bool is_section(const struct scenario_entry *entry, const char *kind) {
  return !strncmp(entry->section, kind, strlen(kind));
}

/* Is there such a key? */
static int look_at(struct scenario *scenario, const struct scenario_entry *entry, struct scenario_error *error) {
  size_t kind = strcspn(entry->section, ":");
  bool known = is_ours(entry->section) || !strcmp(entry->section, "expect") || is_section(entry, "mutant:");
  for (const struct scenario_key *key = scenario_keys; key->name && !known; key++)
    known = strlen(key->section) == kind && !strncmp(key->section, entry->section, kind) &&
            (!*entry->name || !strcmp(key->name, entry->name));
  if (!known)
    return fail(scenario, error, entry->line, "%s%s%s: there is no such thing", *entry->name ? "" : "[",
                *entry->name ? entry->name : entry->section, *entry->name ? "" : "]");
  if (!strcmp(entry->section, "expect") && *entry->name)
    return settle_bound(scenario, entry, error);
  if (*entry->name)
    return 0;
  return is_section(entry, "jobs:")      ? settle_jobs(scenario, entry, error)
         : is_section(entry, "workers:") ? settle_workers(scenario, entry, error)
                                         : 0;
}

int scenario__settle(struct scenario *scenario, struct scenario_error *error) {
  int r = settle_section(scenario, "run", &scenario->run, error);
  if (!r)
    r = settle_section(scenario, "host", &scenario->host, error);
  if (!r)
    r = settle_config(scenario, error);
  for (uint32_t i = 0; !r && i < scenario->config.n_pools; i++)
    r = settle_section(scenario, "workers", &scenario->workers[i], error);
  scenario->n_jobs = scenario->n_bounds = 0;
  for (unsigned i = 0; !r && i < scenario->n_entries; i++)
    r = look_at(scenario, &scenario->entries[i], error);
  return r;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "tape_reader.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

typedef struct json_object json;

__attribute__((format(printf, 2, 3))) static bool fail(struct tape_reader *reader, const char *format, ...) {
  struct text text = TEXT(reader->fault);
  char said[160], visible[200];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(said, sizeof(said), format, arguments);
  va_end(arguments);
  struct text shown = TEXT(visible);
  text__add_visible(&shown, said, strlen(said));
  text__addf(&text, "line %u: %s", reader->number, visible);
  return false;
}

/* Values. */

static bool take_number(struct tape_reader *reader, const char *name, json *value, uint64_t most, uint64_t *ret) {
  if (json_object_is_type(value, json_type_int) && json_object_get_int64(value) >= 0 &&
      json_object_get_uint64(value) <= most) {
    *ret = json_object_get_uint64(value);
    return true;
  }
  return fail(reader, "%s: expected a number up to %llu", name, (unsigned long long)most);
}

static bool take_field(struct tape_reader *reader, const struct tape_field *field, json *value, void *record) {
  uint64_t number = EBB_UNKNOWN;
  bool large = field->size == sizeof(number);
  if ((!large || value) && !take_number(reader, field->name, value, large ? EBB_UNKNOWN : UINT32_MAX, &number))
    return false;
  tape_field__set(field, record, number);
  return true;
}

static const struct tape_field *find(const struct tape_field *fields, const char *name) {
  for (; fields->name; fields++)
    if (!strcmp(fields->name, name))
      return fields;
  return NULL;
}

static bool is_object(struct tape_reader *reader, const char *name, json *value) {
  return json_object_is_type(value, json_type_object) || fail(reader, "%s: expected an object", name);
}

static bool is_list(struct tape_reader *reader, const char *name, json *value) {
  return json_object_is_type(value, json_type_array) || fail(reader, "%s: expected a list", name);
}

static bool take_record(struct tape_reader *reader, const char *name, const struct tape_field *fields, json *value,
                        void *record) {
  if (!is_object(reader, name, value))
    return false;
  json_object_object_foreach(value, key, member) {
    const struct tape_field *field = find(fields, key);
    if (!field)
      return fail(reader, "%s: %s: unknown", name, key);
    if (!take_field(reader, field, member, record))
      return false;
  }
  return true;
}

/* Lists of objects with an index. */

static bool take_index(struct tape_reader *reader, const char *name, json *item, uint64_t n, uint64_t *ret) {
  json *index;
  if (!is_object(reader, name, item))
    return false;
  if (!json_object_object_get_ex(item, "index", &index))
    return fail(reader, "%s: expected an index", name);
  return take_number(reader, "index", index, n - 1, ret);
}

static bool take_pool(struct tape_reader *reader, json *item) {
  struct tape_facts *facts = &reader->facts;
  uint64_t i;
  if (!take_index(reader, "pools", item, EBB_POOLS_MAX, &i))
    return false;
  json_object_object_foreach(item, key, value) {
    const struct tape_field *rule = find(tape_pool_rules, key), *fact = find(tape_pools, key);
    if (!strcmp(key, "index"))
      continue;
    if (!strcmp(key, "name") && json_object_is_type(value, json_type_string))
      (void)text__copy(facts->names[i], EBB_NAME_BYTES, json_object_get_string(value));
    else if (!rule && !fact)
      return fail(reader, "pools: %s: unknown", key);
    else if (!take_field(reader, rule ? rule : fact, value,
                         rule ? (void *)&facts->pool_rules[i] : (void *)&facts->pools[i]))
      return false;
  }
  return true;
}

static bool take_worker(struct tape_reader *reader, json *item) {
  uint64_t i;
  if (!take_index(reader, "workers", item, EBB_SLOTS_MAX, &i))
    return false;
  json_object_object_foreach(item, key, value) {
    const struct tape_field *field = find(tape_workers, key);
    if (!strcmp(key, "index"))
      continue;
    if (!field)
      return fail(reader, "workers: %s: unknown", key);
    if (!take_field(reader, field, value, &reader->facts.workers[i]))
      return false;
  }
  return true;
}

static bool take_all(struct tape_reader *reader, const char *name, json *list, size_t most,
                     bool (*take)(struct tape_reader *reader, json *item)) {
  if (!is_list(reader, name, list))
    return false;
  if (json_object_array_length(list) > most)
    return fail(reader, "%s: expected at most %zu", name, most);
  for (size_t i = 0; i < json_object_array_length(list); i++)
    if (!take(reader, json_object_array_get_idx(list, i)))
      return false;
  return true;
}

/* The plan. */

static bool take_act(struct tape_reader *reader, json *item, struct plan_act *act) {
  json *worker, *reason, *limit;
  uint64_t index, bytes = EBB_UNKNOWN;
  if (!is_object(reader, "acts", item) || !json_object_object_get_ex(item, "worker", &worker) ||
      !json_object_object_get_ex(item, "reason", &reason) || !json_object_object_get_ex(item, "limit_bytes", &limit))
    return fail(reader, "acts: expected worker, reason and limit_bytes");
  if (!take_number(reader, "worker", worker, EBB_SLOTS_MAX - 1, &index) ||
      (limit && !take_number(reader, "limit_bytes", limit, EBB_UNKNOWN, &bytes)))
    return false;
  const char *name = json_object_get_string(reason);
  *act = (struct plan_act){.worker = (uint32_t)index,
                           .reason = name ? reason__find(name) : REASON_NONE,
                           .limit_bytes = bytes,
                           .first = json_object_object_get_ex(item, "first", NULL)};
  return act->reason != REASON_NONE || fail(reader, "reason: unknown");
}

/* Lists that an older tape does not have are empty. */
static bool take_acts(struct tape_reader *reader, const char *name, json *plan, struct plan_act *to, uint32_t *n) {
  json *list;
  if (!json_object_object_get_ex(plan, name, &list))
    return true;
  if (!is_list(reader, name, list))
    return false;
  if (json_object_array_length(list) > PLAN_ACTS_MAX)
    return fail(reader, "%s: expected at most %d", name, PLAN_ACTS_MAX);
  for (size_t i = 0; i < json_object_array_length(list); i++)
    if (!take_act(reader, json_object_array_get_idx(list, i), &to[(*n)++]))
      return false;
  return true;
}

static bool take_indexes(struct tape_reader *reader, const char *name, json *plan, uint64_t most_index, uint32_t most,
                         uint32_t *to, uint32_t *n) {
  json *list;
  if (!json_object_object_get_ex(plan, name, &list))
    return true;
  if (!is_list(reader, name, list))
    return false;
  if (json_object_array_length(list) > most)
    return fail(reader, "%s: expected at most %u", name, most);
  for (size_t i = 0; i < json_object_array_length(list); i++) {
    uint64_t index;
    if (!take_number(reader, name, json_object_array_get_idx(list, i), most_index, &index))
      return false;
    to[(*n)++] = (uint32_t)index;
  }
  return true;
}

static bool take_pools(struct tape_reader *reader, const char *name, json *plan, bool to[EBB_POOLS_MAX]) {
  uint32_t pools[EBB_POOLS_MAX], n = 0;
  if (!take_indexes(reader, name, plan, EBB_POOLS_MAX - 1, EBB_POOLS_MAX, pools, &n))
    return false;
  for (uint32_t i = 0; i < n; i++)
    to[pools[i]] = true;
  return true;
}

static bool take_plan(struct tape_reader *reader, json *value) {
  struct plan *plan = &reader->plan;
  uint64_t last = EBB_SLOTS_MAX - 1;
  return is_object(reader, "plan", value) && take_acts(reader, "acts", value, plan->acts, &plan->n_acts) &&
         take_indexes(reader, "confirm", value, last, PLAN_ACTS_MAX, plan->confirm, &plan->n_confirm) &&
         take_indexes(reader, "struck", value, last, PLAN_ACTS_MAX, plan->struck, &plan->n_struck) &&
         take_acts(reader, "trims", value, plan->trims, &plan->n_trims) &&
         take_indexes(reader, "starts", value, last, PLAN_ACTS_MAX, plan->starts, &plan->n_starts) &&
         take_pools(reader, "hold_refill", value, plan->hold_refill) &&
         take_pools(reader, "below_baseline", value, plan->below_baseline);
}

/* Lines. */

static bool take_member(struct tape_reader *reader, const char *key, json *value) {
  struct tape_facts *facts = &reader->facts;
  uint64_t number = 0;
  bool good = true;
  if (!strcmp(key, "now_ns"))
    return take_number(reader, key, value, EBB_UNKNOWN, &facts->now_ns);
  if (!strcmp(key, "host_rules"))
    return take_record(reader, key, tape_host_rules, value, &facts->host_rules);
  if (!strcmp(key, "host"))
    return take_record(reader, key, tape_host, value, &facts->host);
  if (!strcmp(key, "pools"))
    return take_all(reader, key, value, EBB_POOLS_MAX, take_pool);
  if (!strcmp(key, "workers"))
    return take_all(reader, key, value, EBB_SLOTS_MAX, take_worker);
  if (!strcmp(key, "plan"))
    return take_plan(reader, value);
  if (!strcmp(key, "n_pools") && (good = take_number(reader, key, value, EBB_POOLS_MAX, &number)))
    facts->n_pools = (uint32_t)number;
  else if (!strcmp(key, "n_workers") && (good = take_number(reader, key, value, EBB_SLOTS_MAX, &number)))
    facts->n_workers = (uint32_t)number;
  else
    return good && fail(reader, "%s: unknown", key);
  return true;
}

static bool begin_session(struct tape_reader *reader, json *version) {
  if (json_object_get_int64(version) != TAPE_VERSION)
    return fail(reader, "a tape of version %s; this reads %d", json_object_get_string(version), TAPE_VERSION);
  tape_facts__init(&reader->facts);
  reader->begun = true;
  return true;
}

/* 1: a judgement; 0: a session; -EINVAL. */
static int take_line(struct tape_reader *reader, json *line) {
  json *version;
  if (json_object_is_type(line, json_type_object) && json_object_object_get_ex(line, "tape", &version))
    return begin_session(reader, version) ? 0 : -EINVAL;
  if (reader->broken || !reader->begun)
    return fail(reader, "expected the begin of a session") ? 0 : -EINVAL;
  reader->plan = (struct plan){0};
  if (!is_object(reader, "judgement", line))
    return -EINVAL;
  json_object_object_foreach(line, key, value) if (!take_member(reader, key, value)) return -EINVAL;
  return 1;
}

/* NULL: it is not whole. */
static json *parse(const char *text, size_t n) {
  struct json_tokener *tokener = json_tokener_new();
  json *line = tokener && n <= TAPE_LINE_BYTES_MAX ? json_tokener_parse_ex(tokener, text, (int)n) : NULL;
  json_tokener_free(tokener);
  return line;
}

void tape_reader__init(struct tape_reader *reader, FILE *file) {
  memset(reader, 0, sizeof(*reader));
  reader->file = file;
}

int tape_reader__next(struct tape_reader *reader) {
  ssize_t n;
  while ((n = getline(&reader->line, &reader->room, reader->file)) > 0) {
    reader->number++;
    json *line = parse(reader->line, (size_t)n);
    if (!line && reader->broken)
      return fail(reader, "expected the begin of a session") ? 0 : -EINVAL;
    int r = line ? take_line(reader, line) : 0;
    reader->broken = !line;
    reader->torn += !line;
    json_object_put(line);
    if (r)
      return r;
  }
  return reader->begun || reader->number == 0 ? 0 : -EINVAL;
}

void tape_reader__done(struct tape_reader *reader) {
  free(reader->line);
  reader->line = NULL;
}

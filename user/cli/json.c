/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ebb/bounds.h"
#include "text.h"

static void put(struct json_object *object, const char *key, struct json_object *value) {
  if (json_object_object_add(object, key, value))
    abort();
}

void json__string(struct json_object *object, const char *key, const char *value) {
  char safe[1024];
  struct text text = TEXT(safe);
  if (value)
    text__add_visible(&text, value, strlen(value));
  put(object, key, value ? json_object_new_string(safe) : NULL);
}

void json__number(struct json_object *object, const char *key, uint64_t value) {
  put(object, key, value == EBB_UNKNOWN ? NULL : json_object_new_uint64(value));
}

void json__boolean(struct json_object *object, const char *key, bool value) {
  put(object, key, json_object_new_boolean(value));
}

void json__fraction(struct json_object *object, const char *key, uint64_t value, uint64_t unit) {
  char digits[48];
  if (value == EBB_UNKNOWN) {
    put(object, key, NULL);
    return;
  }
  uint64_t thousandths = value % unit * 1000 / unit;
  (void)snprintf(digits, sizeof(digits), "%llu.%03llu", (unsigned long long)(value / unit),
                 (unsigned long long)thousandths);
  put(object, key, json_object_new_double_s((double)value / (double)unit, digits));
}

struct json_object *json__object(struct json_object *object, const char *key) {
  struct json_object *value = json_object_new_object();
  if (!value)
    abort();
  put(object, key, value);
  return value;
}

struct json_object *json__array(struct json_object *object, const char *key) {
  struct json_object *value = json_object_new_array();
  if (!value)
    abort();
  put(object, key, value);
  return value;
}

struct json_object *json__append(struct json_object *array) {
  struct json_object *value = json_object_new_object();
  if (!value || json_object_array_add(array, value))
    abort();
  return value;
}

void json__print(struct json_object *object) {
  (void)puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
  (void)json_object_put(object);
}

const char *json__get_string(struct json_object *object, const char *key) {
  struct json_object *value;
  return json_object_object_get_ex(object, key, &value) && json_object_is_type(value, json_type_string)
             ? json_object_get_string(value)
             : NULL;
}

uint64_t json__get_number(struct json_object *object, const char *key) {
  struct json_object *value;
  if (!json_object_object_get_ex(object, key, &value) || !json_object_is_type(value, json_type_int) ||
      json_object_get_int64(value) < 0)
    return EBB_UNKNOWN;
  return json_object_get_uint64(value);
}

/* json-c takes strings with raw control bytes in them, and a NUL for the end. JSON has none, and lines are also handed on
 * as they are: no terminal may find there what it obeys, in ASCII or beyond it (U+0080 to U+009F). */
static bool has_controls(const char *line, size_t n) {
  for (size_t i = 0; i < n; i++) {
    unsigned char byte = (unsigned char)line[i], next = i + 1 < n ? (unsigned char)line[i + 1] : 0;
    if (byte < 0x20 || byte == 0x7f || (byte == 0xc2 && next >= 0x80 && next < 0xa0))
      return true;
  }
  return false;
}

struct json_object *json__parse_line(const char *line, size_t n) {
  if (has_controls(line, n))
    return NULL;
  struct json_tokener *tokener = json_tokener_new();
  if (!tokener)
    abort();
  json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
  struct json_object *object = json_tokener_parse_ex(tokener, line, (int)n);
  if (json_tokener_get_error(tokener) != json_tokener_success)
    object = NULL;
  json_tokener_free(tokener);
  if (object && json_object_is_type(object, json_type_object))
    return object;
  (void)json_object_put(object);
  return NULL;
}

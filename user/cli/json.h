/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What json-c lacks: EBB_UNKNOWN as null, foreign bytes made safe, and running out of memory ends the program. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

void json__string(struct json_object *object, const char *key, const char *value); /* NULL: null */
void json__number(struct json_object *object, const char *key, uint64_t value);
void json__boolean(struct json_object *object, const char *key, bool value);
/* A number with decimals: value / unit, rounded to three digits after the point. */
void json__fraction(struct json_object *object, const char *key, uint64_t value, uint64_t unit);
/* A new, empty one under that key. */
struct json_object *json__object(struct json_object *object, const char *key);
struct json_object *json__array(struct json_object *object, const char *key);
/* A new, empty object at the end of the array. */
struct json_object *json__append(struct json_object *array);
/* One line on standard output; frees the object. */
void json__print(struct json_object *object);

/* Readers of what others wrote: NULL or EBB_UNKNOWN when the key is missing or of another type. */
const char *json__get_string(struct json_object *object, const char *key);
uint64_t json__get_number(struct json_object *object, const char *key);

/* One line that should be an object; NULL when it is not, or has control bytes in it. Freed by the caller with
 * json_object_put. */
struct json_object *json__parse_line(const char *line, size_t n);

#endif

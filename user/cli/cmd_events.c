/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ebb events: what ebbd did, from its audit log; and what it does, as it does it. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "cli.h"
#include "ebb/bounds.h"
#include "json.h"
#include "log.h"
#include "parse.h"
#include "tail.h"
#include "text.h"
#include "view.h"

#define AUDIT_NAME "audit"
#define FOLLOW_LINES 10   /* shown before following, unless told otherwise */
#define LINES_MAX 1000000 /* that -n can keep back */

struct options {
  struct cli *cli;
  const char *pool;
  bool follow, limited;
  size_t last; /* show only the last so many; with `limited` */
};

/* The last lines to show, in turn; without a limit they are shown as they come. */
struct shown {
  const struct options *options;
  struct kept {
    char *line; /* n bytes: a damaged one may hold a NUL */
    size_t n;
  } * lines;
  size_t n; /* ever kept */
};

static error_t parse(int key, char *arg, struct argp_state *state) {
  struct options *options = state->input;
  uint64_t n;
  switch (key) {
  case ARGP_KEY_INIT:
    state->child_inputs[0] = options->cli;
    return 0;
  case 'f':
    options->follow = true;
    return 0;
  case 'p':
    options->pool = arg;
    return 0;
  case 'n':
    if (parse__number(arg, LINES_MAX, &n))
      argp_error(state, "-n: expected a number up to %d, got `%s`", LINES_MAX, arg);
    options->limited = true;
    options->last = (size_t)n;
    return 0;
  case ARGP_KEY_ARG:
    argp_error(state, "unexpected argument: %s", arg);
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_option option_table[] = {
    {"follow", 'f', NULL, 0, "Show the last 10, then go on with new ones as they come", 0},
    {"lines", 'n', "N", 0, "Only the last N of those that are there", 0},
    {"pool", 'p', "POOL", 0, "Only this pool's", 0},
    {0},
};

static const struct argp argp = {
    .options = option_table,
    .parser = parse,
    .doc = "Shows the audit log of ebbd: what it did, what it refused, and why. Times are UTC.",
    .children = cli__common,
};

/* What a record may say beyond who and what, in the order of showing. */
enum field_kind { FIELD_WORD, FIELD_SIZE, FIELD_NUMBER };
static const struct field {
  const char *key, *shown;
  enum field_kind kind;
} fields[] = {
    {"reason", "reason", FIELD_WORD},
    {"by", "by", FIELD_WORD},
    {"footprint_bytes", "footprint", FIELD_SIZE},
    {"limit_bytes", "limit", FIELD_SIZE},
    {"private_bytes", "private", FIELD_SIZE},
    {"freed_bytes", "freed", FIELD_SIZE},
    {"exit_code", "exit-code", FIELD_NUMBER},
    {"signal", "signal", FIELD_NUMBER},
    {"id", "id", FIELD_WORD},
    {"text", "text", FIELD_WORD},
};

static void add_field(struct text *line, struct json_object *record, const struct field *field) {
  char safe[4096], size[16];
  const char *word = json__get_string(record, field->key);
  uint64_t number = json__get_number(record, field->key);
  if (field->kind == FIELD_WORD && word)
    text__addf(line, strchr(word, ' ') ? " %s=\"%s\"" : " %s=%s", field->shown,
               view__foreign(safe, sizeof(safe), word));
  else if (field->kind == FIELD_SIZE && number != EBB_UNKNOWN)
    text__addf(line, " %s=%s", field->shown, text__size(size, sizeof(size), number));
  else if (field->kind == FIELD_NUMBER && number != EBB_UNKNOWN)
    text__addf(line, " %s=%llu", field->shown, (unsigned long long)number);
}

static enum view_style style_of(const char *event) {
  static const struct {
    const char *event;
    enum view_style style;
  } styles[] = {
      {"retire", VIEW_WARN},   {"due", VIEW_WARN},    {"refused", VIEW_BAD}, {"backoff", VIEW_BAD},
      {"warning", VIEW_BAD},   {"refill", VIEW_GOOD}, {"ready", VIEW_GOOD},  {"done", VIEW_GOOD},
      {"pressure", VIEW_WARN}, {"start", VIEW_GOOD},  {"stop", VIEW_WARN},
  };
  for (size_t i = 0; i < sizeof(styles) / sizeof(*styles); i++)
    if (!strcmp(styles[i].event, event))
      return styles[i].style;
  return VIEW_PLAIN;
}

/* "2025-01-02T03:04:05.678901Z" to the millisecond, without the letters. */
static void add_time(struct text *line, const char *t) {
  char safe[64];
  (void)view__foreign(safe, sizeof(safe), t);
  if (strlen(safe) == 27 && safe[10] == 'T')
    text__addf(line, "%.10s %.12s", safe, safe + 11);
  else
    text__add(line, safe);
}

/* "reports/2 gen 3 pid 4711", as far as it is told. */
static void add_subject(struct text *line, struct json_object *record) {
  char subject[160] = "", safe[4 * EBB_NAME_BYTES];
  struct text text = TEXT(subject);
  uint64_t slot = json__get_number(record, "slot"), generation = json__get_number(record, "generation"),
           pid = json__get_number(record, "pid");
  const char *pool = json__get_string(record, "pool");
  if (pool)
    text__add(&text, view__foreign(safe, sizeof(safe), pool));
  if (slot != EBB_UNKNOWN)
    text__addf(&text, "/%llu", (unsigned long long)slot);
  if (generation != EBB_UNKNOWN)
    text__addf(&text, " gen %llu", (unsigned long long)generation);
  if (pid != EBB_UNKNOWN)
    text__addf(&text, " pid %llu", (unsigned long long)pid);
  if (text.used)
    text__addf(line, " %s", subject);
}

static void print_record(struct json_object *record) {
  char data[8192], event[64];
  struct text line = TEXT(data);
  add_time(&line, json__get_string(record, "t") ?: "(no time)");
  (void)view__foreign(event, sizeof(event), json__get_string(record, "ev") ?: "?");
  enum view_style style = style_of(event);
  text__addf(&line, "  %s%-9s%s", style == VIEW_PLAIN ? "" : view__style(style), event,
             style == VIEW_PLAIN ? "" : view__style(VIEW_PLAIN));
  add_subject(&line, record);
  for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
    add_field(&line, record, &fields[i]);
  (void)puts(data);
}

static void print_damaged(const char *line, size_t n) {
  char data[4096];
  struct text text = TEXT(data);
  text__add_visible(&text, line, n);
  (void)printf("%sdamaged:%s %s%s\n", view__style(VIEW_BAD), view__style(VIEW_PLAIN), data, text.cut ? "..." : "");
}

/* Damage goes to standard error where a program reads. */
static void print_line(const struct options *options, const char *line, size_t n) {
  struct json_object *record = json__parse_line(line, n);
  if (record && options->cli->json)
    (void)printf("%.*s\n", (int)n, line);
  else if (record)
    print_record(record);
  else if (options->cli->json)
    log__warning("the audit log has a damaged line of %zu bytes", n);
  else
    print_damaged(line, n);
  (void)json_object_put(record);
}

static bool wanted(const struct options *options, const char *line, size_t n) {
  if (!options->pool)
    return true;
  struct json_object *record = json__parse_line(line, n);
  const char *pool = record ? json__get_string(record, "pool") : NULL;
  bool is = !record || (pool && !strcmp(pool, options->pool));
  (void)json_object_put(record);
  return is;
}

static void take(struct shown *shown, const char *line, size_t n) {
  const struct options *options = shown->options;
  if (!wanted(options, line, n))
    return;
  if (!shown->lines) {
    print_line(options, line, n);
    return;
  }
  if (options->last == 0)
    return;
  struct kept *place = &shown->lines[shown->n++ % options->last];
  free(place->line);
  *place = (struct kept){.line = malloc(n ? n : 1), .n = n};
  if (!place->line)
    abort();
  memcpy(place->line, line, n);
}

/* From now on lines are shown as they come. */
static void release(struct shown *shown) {
  size_t last = shown->options->last, kept = shown->n < last ? shown->n : last;
  for (size_t i = shown->n - kept; shown->lines && i < shown->n; i++) {
    print_line(shown->options, shown->lines[i % last].line, shown->lines[i % last].n);
    free(shown->lines[i % last].line);
  }
  free(shown->lines);
  shown->lines = NULL;
}

static int take_all(struct shown *shown, struct tail *tail) {
  char *line;
  size_t n;
  int r;
  while ((r = tail__next(tail, &line, &n)) > 0)
    take(shown, line, n);
  return r;
}

static int follow(struct shown *shown, struct tail *tail) {
  struct pollfd wait = {.fd = tail__fd(tail), .events = POLLIN};
  while (!fflush(stdout) && !ferror(stdout)) {
    if (poll(&wait, 1, -1) < 0 && errno != EINTR)
      return -errno;
    tail__drain(tail);
    int r = take_all(shown, tail);
    if (r < 0)
      return r;
  }
  return 0;
}

static int show(const struct options *options, struct tail *tail) {
  struct shown shown = {.options = options};
  char *rest;
  if (options->limited) {
    shown.lines = calloc(options->last ? options->last : 1, sizeof(*shown.lines));
    if (!shown.lines)
      return -ENOMEM;
  }
  int r = take_all(&shown, tail);
  size_t n = r < 0 || options->follow ? 0 : tail__rest(tail, &rest);
  if (n > 0)
    take(&shown, rest, n);
  release(&shown);
  return r < 0 || !options->follow ? r : follow(&shown, tail);
}

int cmd_events(struct cli *cli, int argc, char **argv) {
  struct options options = {.cli = cli, .last = FOLLOW_LINES};
  struct tail tail;
  (void)argp_parse(&argp, argc, argv, 0, NULL, &options);
  options.limited |= options.follow;
  _cleanup_fd_ int dirfd = cli__open_run_dir(cli);
  if (dirfd < 0)
    return -dirfd;
  int r = tail__open(&tail, dirfd, AUDIT_NAME, false);
  if (r == 0 && tail.fd < 0 && !options.follow)
    r = -ENOENT;
  if (r == 0)
    r = show(&options, &tail);
  tail__close(&tail);
  return r < 0 ? cli__cannot_read(cli, AUDIT_NAME, r) : CLI_DONE;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Any bytes as configuration files: does a refusal name file and line, is what is accepted within all bounds, and does it
 * print back to the same configuration?
 */
#include "fuzz.h"

#include <signal.h>

#include "config.h"
#include "config_key.h"
#include "poolname.h"
#include "text.h"

#define RAM_BYTES (8ULL << 30)
#define FILES_MAX 3
#define BETWEEN_FILES '\f' /* no file may hold one */
#define PRINTED_BYTES (512 * 1024)
#define LINE_BYTES 150 /* of a value; longer ones go on in the next line */

static char *names[FILES_MAX] = {(char *)"ebb.conf", (char *)"pools.d/a.conf", (char *)"pools.d/b.conf"};

static unsigned lines_of(const struct source *source) {
  unsigned n = 1;
  for (size_t i = 0; i < source->n; i++)
    n += source->data[i] == '\n';
  return n;
}

static void check_refusal(const struct config_error *error, const struct source *sources, size_t n) {
  MUST(memchr(error->text, 0, sizeof(error->text)) && is_printable(error->text));
  for (size_t i = 0; i < n; i++) {
    size_t length = strlen(names[i]);
    if (strncmp(error->text, names[i], length) || error->text[length] != ':')
      continue;
    unsigned long line = strtoul(error->text + length + 1, NULL, 10);
    bool whole = !strcmp(error->text + length, ": expected at least one [pool:<name>] section");
    MUST(whole ? line == 0 : line >= 1 && line <= lines_of(&sources[i]));
    MUST(strstr(error->text, "expected") || strstr(error->text, "not supported") || strstr(error->text, "unknown key"));
    return;
  }
  MUST(!"the file is named");
}

static bool is_share(uint32_t permille) {
  return (permille > 0 && permille <= 1000) || permille == CONFIG_SHARE_OFF;
}

static void check_pool(const struct config_pool *pool) {
  char space[CONFIG_COMMAND_BYTES + 1];
  const char *words[CONFIG_ENVIRONMENT_WORDS_MAX + 1];
  const uint64_t year_ns = 365ULL * 86400 * 1000000000ULL;
  MUST(pool_name__valid(pool->name));
  MUST(config__words(pool->command, space, sizeof(space), words, CONFIG_COMMAND_WORDS_MAX + 1) > 0 && *words[0]);
  MUST(!*pool->environment ||
       config__words(pool->environment, space, sizeof(space), words, CONFIG_ENVIRONMENT_WORDS_MAX + 1) > 0);
  MUST(memchr(pool->user, 0, sizeof(pool->user)) && memchr(pool->directory, 0, sizeof(pool->directory)));
  MUST(!*pool->directory || pool->directory[0] == '/');
  MUST(pool->size <= EBB_SLOTS_MAX && pool->rules.min_ready <= pool->size);
  MUST(pool->retire_signal > 0 && pool->retire_signal != SIGKILL && pool->retire_signal != SIGSTOP);
  MUST(pool->grace_ns <= year_ns && pool->ready_timeout_ns > 0 && pool->ready_timeout_ns <= year_ns);
  MUST(pool->rules.min_lifetime_ns <= year_ns && pool->n_exit_codes <= CONFIG_EXIT_CODES_MAX);
  MUST(pool->rules.strikes >= 1 && is_share(pool->rules.contribution_limit_permille));
  MUST(pool->rules.footprint_limit_bytes > 0 && pool->rules.min_gain_bytes != EBB_UNKNOWN);
}

static void check_accepted(const struct config *config) {
  uint32_t slots = 0;
  MUST(config->n_pools >= 1 && config->n_pools <= EBB_POOLS_MAX);
  MUST(is_share(config->rules.pressure_some_permille) && is_share(config->rules.pressure_full_permille));
  MUST(config->pressure_source[0] == '/' && config->rules.memory_budget_bytes > 0);
  for (uint32_t i = 0; i < config->n_pools; i++) {
    check_pool(&config->pools[i]);
    MUST(config__pool_index(config, config->pools[i].name) == (int)i);
    slots += config->pools[i].size + config->pools[i].rules.spares;
  }
  MUST(slots == config->n_slots && slots <= EBB_SLOTS_MAX);
}

/* Printing back, key by key. */

static const char *const modes[] = {
#define X(id, name) name,
    EBB_MODES(X)
#undef X
};

struct page {
  struct text text;
  bool unprintable; /* a value that no lines of a file can hold as it is: its blanks are not where a line may end */
};

static bool may_break(const char *at) {
  return at[0] == ' ' && !strchr(" \t", at[-1]) && !strchr(" \t;#", at[1]) && at[1];
}

static void print_text(struct page *page, const char *key, const char *value) {
  if (!*value)
    return;
  text__addf(&page->text, "%s=", key); /* a `;` after a blank would begin a comment */
  while (strlen(value) > LINE_BYTES) {
    const char *end = value + LINE_BYTES;
    while (end > value + 1 && !may_break(end))
      end--;
    page->unprintable |= end == value + 1;
    text__addf(&page->text, "%.*s\n  ", (int)(end - value), value);
    value = end + 1;
  }
  text__addf(&page->text, "%s\n", value);
}

static void print_number(struct page *page, const char *key, uint64_t value, const char *unit) {
  text__addf(&page->text, "%s = %llu%s\n", key, (unsigned long long)value, unit);
}

#define print_name(page, key, field, object) print_text(page, key, field)
#define print_path print_name
#define print_command print_name
#define print_environment print_name
#define print_size(page, key, field, object) print_number(page, key, field, "")
#define print_workers print_size
#define print_strikes print_size
#define print_priority print_size
#define print_switch(page, key, field, object) print_text(page, key, (field) ? "yes" : "no")
#define print_signal print_size
#define print_umask(page, key, field, object) text__addf(&(page)->text, "%s = %03o\n", key, (field)&0777)
#define print_time(page, key, field, object) print_number(page, key, (field) / 1000000, "ms")
#define print_positive_time print_time
#define print_time_limit(page, key, field, object)                                                                     \
  ((field) == EBB_UNKNOWN ? print_text(page, key, "off") : print_number(page, key, (field) / 1000000, "ms"))
#define print_pids(page, key, field, object)                                                                           \
  ((field) ? print_number(page, key, field, "") : print_text(page, key, "off"))
#define print_idle(page, key, field, object) print_text(page, key, (field) == EBB_IDLE_LEASE ? "lease" : "signal")
#define print_refill(page, key, field, object) print_text(page, key, (field) == EBB_REFILL_AUTO ? "auto" : "after")
#define print_mode(page, key, field, object) print_text(page, key, modes[field])

static void print_limit_of(struct page *page, const char *key, uint64_t bytes) {
  if (bytes == EBB_UNKNOWN)
    print_text(page, key, "off");
  else
    print_number(page, key, bytes, "");
}
#define print_limit(page, key, field, object) print_limit_of(page, key, field)
#define print_jobs print_limit

static void print_share_of(struct page *page, const char *key, uint32_t permille) {
  if (permille == CONFIG_SHARE_OFF)
    print_text(page, key, "off");
  else
    text__addf(&page->text, "%s = %u.%u%%\n", key, permille / 10, permille % 10);
}
#define print_share(page, key, field, object) print_share_of(page, key, field)

static void print_codes_of(struct page *page, const char *key, const struct config_pool *pool) {
  text__addf(&page->text, "%s =%s", key, pool->n_exit_codes ? "" : " off");
  for (uint32_t i = 0; i < pool->n_exit_codes; i++)
    text__addf(&page->text, " %u", pool->exit_codes[i]);
  text__add(&page->text, "\n");
}
#define print_exit_codes(page, key, field, object) print_codes_of(page, key, object)

static bool is_misfit(const struct config_pool *pool, const char *key) {
  bool leaseless = pool->rules.idle == EBB_IDLE_SIGNAL;
  if (!strcmp(key, "spares"))
    return leaseless || pool->rules.mode != EBB_MODE_SERVICE;
  return leaseless && (!strncmp(key, "trim", 4) || !strcmp(key, "stuck_after"));
}

static void print_config(struct page *page, const struct config *config) {
  text__add(&page->text, "[ebb]\n");
#define X(key, place, kind, preset, expected) print_##kind(page, #key, config->place, config);
  CONFIG_EBB_KEYS(X)
#undef X
  for (uint32_t i = 0; i < config->n_pools; i++) {
    const struct config_pool *pool = &config->pools[i];
    text__addf(&page->text, "[pool:%s]\n", pool->name);
    /* What a pool of its kind is not asked is not printed. */
#define X(key, place, kind, preset, expected)                                                                          \
  if (!is_misfit(pool, #key))                                                                                          \
    print_##kind(page, #key, pool->place, pool);
    CONFIG_POOL_KEYS(X)
#undef X
  }
}

static void check_printed(const struct config *config) {
  static char data[PRINTED_BYTES], again[PRINTED_BYTES];
  static struct config reread;
  struct page page = {.text = TEXT(data)}, second = {.text = TEXT(again)};
  struct config_error error = {{0}};
  print_config(&page, config);
  if (page.unprintable)
    return;
  struct source source = {.name = (char *)"printed", .data = data, .n = page.text.used};
  int r = config__read(&reread, RAM_BYTES, &source, 1, &error);
  if (r)
    (void)fprintf(stderr, "%s\n%s", error.text, data);
  MUST(r == 0);
  print_config(&second, &reread);
  MUST(!page.text.cut && !second.text.cut && !strcmp(data, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  static struct config config;
  struct config_error error = {{0}};
  struct source sources[FILES_MAX];
  size_t files = 0;
  for (const uint8_t *at = data, *end = data + n; files < FILES_MAX; files++) {
    const uint8_t *to = at < end && files + 1 < FILES_MAX ? memchr(at, BETWEEN_FILES, (size_t)(end - at)) : NULL;
    size_t bytes = (size_t)((to ?: end) - at);
    sources[files] = (struct source){.name = names[files], .data = text_of(at, bytes), .n = bytes};
    at += bytes + (to != NULL);
  }
  int r = config__read(&config, RAM_BYTES, sources, files, &error);
  MUST(r == 0 || r == -EINVAL);
  if (r)
    check_refusal(&error, sources, files);
  else
    check_accepted(&config);
  if (r == 0)
    check_printed(&config);
  for (size_t i = 0; i < files; i++)
    free(sources[i].data);
  return 0;
}

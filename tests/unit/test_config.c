/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Does the configuration come out as it was meant, and is every mistake named with file, line and what was expected? */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config.h"
#include "config_key.h"

#define SEC 1000000000ULL
#define MIB (1024ULL * 1024)
#define GIB (1024 * MIB)
#define RAM (8 * GIB)

static struct config config; /* too large for a stack */

static int read_texts(const char *const *texts, size_t n, struct config_error *error) {
  static char names[4][16];
  struct source sources[4] = {0};
  for (size_t i = 0; i < n; i++) {
    (void)snprintf(names[i], sizeof(names[i]), "%c.conf", (char)('a' + i));
    /* A copy that ends with the text, for ASan. */
    sources[i] = (struct source){.name = names[i], .data = strdup(texts[i]), .n = strlen(texts[i])};
  }
  *error = (struct config_error){0};
  int r = config__read(&config, RAM, sources, n, error);
  for (size_t i = 0; i < n; i++)
    free(sources[i].data);
  return r;
}

static const struct config *good(const char *text) {
  struct config_error error;
  int r = read_texts(&text, 1, &error);
  if (r != 0)
    fail_msg("%d, %s\nin: %s", r, error.text, text);
  return &config;
}

#define POOL "[pool:p]\ncommand = /bin/true\n"

static void defaults(void **state) {
  (void)state;
  const struct config *c = good(POOL);
  assert_string_equal(c->control_group, "");
  assert_string_equal(c->pressure_source, "/proc/pressure/memory");
  assert_true(c->rules.memory_budget_bytes == EBB_UNKNOWN);
  assert_true(c->rules.reserve_bytes == RAM / 100 * 5 + RAM % 100 * 5 / 100);
  assert_true(c->rules.cooldown_ns == 15 * SEC);
  assert_true(c->stop_timeout_ns == EBB_UNKNOWN);
  assert_int_equal(c->rules.pressure_some_permille, 100);
  assert_int_equal(c->rules.pressure_full_permille, 50);
  assert_true(c->ram_bytes == RAM);
  assert_int_equal(c->n_pools, 1);
  assert_int_equal(c->n_slots, 1);
  const struct config_pool *p = &c->pools[0];
  assert_string_equal(p->name, "p");
  assert_string_equal(p->command, "/bin/true");
  assert_string_equal(p->environment, "");
  assert_string_equal(p->user, "");
  assert_string_equal(p->directory, "");
  assert_int_equal(p->umask, 022);
  assert_int_equal(p->size, 1);
  assert_int_equal(p->rules.min_ready, 0);
  assert_true(p->rules.footprint_limit_bytes == EBB_UNKNOWN);
  assert_true(p->rules.min_lifetime_ns == 10 * SEC);
  assert_int_equal(p->rules.strikes, 1);
  assert_true(p->rules.contribution_limit_permille == CONFIG_SHARE_OFF);
  assert_true(p->rules.min_gain_bytes == 64 * MIB);
  assert_int_equal(p->retire_signal, SIGTERM);
  assert_true(p->grace_ns == 30 * SEC);
  assert_true(p->ready_timeout_ns == 30 * SEC);
  assert_int_equal(p->pids, CONFIG_PIDS_OFF);
  assert_true(p->rules.stuck_after_ns == 3600 * SEC);
  assert_int_equal(p->n_exit_codes, 1);
  assert_int_equal(p->exit_codes[0], 0);
}

static void every_key(void **state) {
  (void)state;
  const struct config *c = good("[ebb]\n"
                                "control_group = deploy\n"
                                "memory_budget = 25%\n"
                                "pressure_source = /sys/fs/cgroup/x/memory.pressure\n"
                                "pressure_some = 12.5%\n"
                                "pressure_full = 50%\n"
                                "reserve = 512M\n"
                                "cooldown = 1m\n"
                                "stop_timeout = 1h\n"
                                "[pool:reports-2_b]\n"
                                "command = /usr/bin/python3 /srv/app/worker.py --queue 'my reports'\n"
                                "user = app\n"
                                "directory = /srv/app\n"
                                "environment = A=1 B='2 3' C_4=\n"
                                "size = 4\n"
                                "min_ready = 2\n"
                                "footprint_limit = 1G\n"
                                "contribution_limit = 33.3%\n"
                                "min_gain = 0\n"
                                "min_lifetime = 0\n"
                                "idle = lease\n"
                                "retire_signal = SIGUSR1\n"
                                "grace = 250ms\n"
                                "strikes = 3\n"
                                "mode = service\n"
                                "ready_timeout = 2m\n"
                                "pids = 200\n"
                                "stuck_after = 3h\n"
                                "recycle_exit_codes = 0 3 75\n");
  assert_string_equal(c->control_group, "deploy");
  assert_true(c->rules.memory_budget_bytes == 2 * GIB);
  assert_string_equal(c->pressure_source, "/sys/fs/cgroup/x/memory.pressure");
  assert_int_equal(c->rules.pressure_some_permille, 125);
  assert_int_equal(c->rules.pressure_full_permille, 500);
  assert_true(c->rules.reserve_bytes == 512 * MIB);
  assert_true(c->rules.cooldown_ns == 60 * SEC);
  assert_true(c->stop_timeout_ns == 3600 * SEC);
  const struct config_pool *p = &c->pools[0];
  assert_string_equal(p->name, "reports-2_b");
  assert_string_equal(p->command, "/usr/bin/python3 /srv/app/worker.py --queue 'my reports'");
  assert_string_equal(p->user, "app");
  assert_string_equal(p->directory, "/srv/app");
  assert_string_equal(p->environment, "A=1 B='2 3' C_4=");
  assert_int_equal(p->size, 4);
  assert_int_equal(p->rules.min_ready, 2);
  assert_true(p->rules.footprint_limit_bytes == GIB);
  assert_true(p->rules.min_lifetime_ns == 0);
  assert_int_equal(p->retire_signal, SIGUSR1);
  assert_true(p->grace_ns == SEC / 4);
  assert_int_equal(p->rules.strikes, 3);
  assert_int_equal(p->rules.contribution_limit_permille, 333);
  assert_true(p->rules.min_gain_bytes == 0);
  assert_true(p->ready_timeout_ns == 120 * SEC);
  assert_int_equal(p->pids, 200);
  assert_true(p->rules.stuck_after_ns == 3 * 3600 * SEC);
  assert_int_equal(p->n_exit_codes, 3);
  assert_int_equal(p->exit_codes[2], 75);
}

static void limits_that_are_off(void **state) {
  (void)state;
  const struct config *c =
      good("[ebb]\nmemory_budget = off\npressure_some = off\npressure_full = off\n" POOL
           "footprint_limit = off\ncontribution_limit = off\nrecycle_exit_codes = off\npids = off\n"
           "stuck_after = off\n");
  assert_true(c->rules.memory_budget_bytes == EBB_UNKNOWN);
  assert_true(c->rules.pressure_some_permille == CONFIG_SHARE_OFF);
  assert_true(c->rules.pressure_full_permille == CONFIG_SHARE_OFF);
  assert_true(c->pools[0].rules.footprint_limit_bytes == EBB_UNKNOWN);
  assert_true(c->pools[0].rules.contribution_limit_permille == CONFIG_SHARE_OFF);
  assert_int_equal(c->pools[0].n_exit_codes, 0);
  assert_int_equal(c->pools[0].pids, CONFIG_PIDS_OFF);
  assert_true(c->pools[0].rules.stuck_after_ns == EBB_UNKNOWN);
}

static void min_ready_follows_size(void **state) {
  (void)state;
  static const struct {
    const char *keys;
    uint32_t min_ready;
  } rows[] = {{"size = 0\n", 0},
              {"size = 1\n", 0},
              {"size = 2\n", 1},
              {"size = 9\n", 1},
              {"size = 2\nmin_ready = 0\n", 0},
              {"min_ready = 2\nsize = 2\n", 2}};
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    char text[128];
    (void)snprintf(text, sizeof(text), POOL "%s", rows[i].keys);
    assert_int_equal(good(text)->pools[0].rules.min_ready, rows[i].min_ready);
  }
}

static void signals(void **state) {
  (void)state;
  static const struct {
    const char *word;
    int signal;
  } rows[] = {{"TERM", SIGTERM},  {"SIGTERM", SIGTERM}, {"INT", SIGINT},   {"QUIT", SIGQUIT},
              {"SIGHUP", SIGHUP}, {"USR1", SIGUSR1},    {"USR2", SIGUSR2}, {"15", SIGTERM}};
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    char text[128];
    (void)snprintf(text, sizeof(text), POOL "retire_signal = %s\n", rows[i].word);
    assert_int_equal(good(text)->pools[0].retire_signal, rows[i].signal);
  }
}

static void layout(void **state) {
  (void)state;
  static const struct {
    const char *name, *text, *command;
  } rows[] = {
      {"comments and empty lines", "# one\n; two\n\n[pool:p]\n  # three\n\ncommand = x\n\t; four\n", "x"},
      {"a comment behind a value", "[pool:p] ; heavy\ncommand = x y ; z\n", "x y"},
      {"a semicolon without a blank", "[pool:p]\ncommand = x;y\n", "x;y"},
      {"a hash is no comment behind a value", "[pool:p]\ncommand = x # y\n", "x # y"},
      {"no blanks", "[pool:p]\ncommand=x\n", "x"},
      {"many blanks", "[pool:p]\ncommand \t = \t x  y \t \n", "x  y"},
      {"a colon", "[pool:p]\ncommand: x\n", "x"},
      {"an equals sign in the value", "[pool:p]\ncommand = x --a=b\n", "x --a=b"},
      {"no newline at the end", "[pool:p]\ncommand = x", "x"},
      {"lines ending in CR LF", "[pool:p]\r\ncommand = x\r\n  y\r\n", "x y"},
      {"a byte order mark", "\xef\xbb\xbf[pool:p]\ncommand = x\n", "x"},
      {"UTF-8", "[pool:p]\ncommand = \xc3\xa9t\xc3\xa9\n", "\xc3\xa9t\xc3\xa9"},
      {"continued", "[pool:p]\ncommand = a b\n  c\n\td  \n\n  # not this\n  e\nsize = 1\n", "a b c d e"},
      {"continued, with comments", "[pool:p]\ncommand = a ; 1\n  b ; 2\n ; 3\n  c;d ;4\n", "a b c;d"},
      {"continued after an empty value", "[pool:p]\ncommand =\n  a\n  b\n", "a b"},
      {"continued by what looks like a key", "[pool:p]\ncommand = env\n  A=1 x\n", "env A=1 x"},
      {"continued by what looks like a section", "[pool:p]\ncommand = test\n  [x]\n", "test [x]"},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    const struct config *c = good(rows[i].text);
    if (strcmp(c->pools[0].command, rows[i].command) != 0)
      fail_msg("%s: '%s'", rows[i].name, c->pools[0].command);
  }
}

static void several_files_are_one_configuration(void **state) {
  (void)state;
  struct config_error error;
  const char *texts[] = {"[ebb]\ncooldown = 1s\n[pool:a]\ncommand = a\nsize = 2", "",
                         "[pool:b]\ncommand = b\nsize = 3\n", "# nothing\n"};
  assert_int_equal(read_texts(texts, 4, &error), 0);
  assert_int_equal(config.n_pools, 2);
  assert_int_equal(config.n_slots, 5);
  assert_int_equal(config__pool_index(&config, "a"), 0);
  assert_int_equal(config__pool_index(&config, "b"), 1);
  assert_int_equal(config__pool_index(&config, "c"), -ENOENT);
  assert_true(config.rules.cooldown_ns == SEC);
}

/* A file's end ends its section. */
static void sections_do_not_go_on_in_the_next_file(void **state) {
  (void)state;
  struct config_error error;
  const char *texts[] = {"[pool:a]\ncommand = a\n", "size = 2\n"};
  assert_int_equal(read_texts(texts, 2, &error), -EINVAL);
  assert_string_equal(error.text, "b.conf:1: size: expected [ebb] or [pool:<name>] before it");
  const char *continued[] = {"[pool:a]\ncommand = a\n", "  b = c\n"};
  assert_int_equal(read_texts(continued, 2, &error), -EINVAL);
  assert_non_null(strstr(error.text, "b.conf:1: expected a key"));
  const char *incomplete[] = {"[pool:a]\nsize = 1\n", "[pool:b]\ncommand = b\n"};
  assert_int_equal(read_texts(incomplete, 2, &error), -EINVAL);
  assert_string_equal(error.text, "a.conf:1: [pool:a]: expected a command");
}

#define NAME31 "abcdefghijklmnopqrstuvwxyz01234"

struct mistake {
  const char *name, *text;
  const char *said; /* the message begins like this */
};

static void check_mistakes(const struct mistake *rows, size_t n) {
  for (size_t i = 0; i < n; i++) {
    struct config_error error;
    int r = read_texts(&rows[i].text, 1, &error);
    if (r != -EINVAL || strncmp(error.text, rows[i].said, strlen(rows[i].said)) != 0)
      fail_msg("%s: %d, %s", rows[i].name, r, error.text);
  }
}
#define CHECK(rows) check_mistakes(rows, sizeof(rows) / sizeof(*(rows)))

static void mistakes_in_sections(void **state) {
  (void)state;
  static const struct mistake rows[] = {
      {"nothing", "", "a.conf: expected at least one [pool:<name>] section"},
      {"no pool", "[ebb]\ncooldown = 1s\n", "a.conf: expected at least one [pool:<name>] section"},
      {"unknown section", POOL "[host]\nx = 1\n", "a.conf:3: [host]: expected [ebb] or [pool:<name>]"},
      {"unknown section without keys", "[host]\n", "a.conf:1: [host]: expected [ebb] or [pool:<name>]"},
      {"hostile section", "[\xff%n]\n", "a.conf:1: [\\xff%n]: expected [ebb] or [pool:<name>]"},
      {"key before a section", "\nsize = 1\n", "a.conf:2: size: expected [ebb] or [pool:<name>] before it"},
      {"second [ebb]", "[ebb]\n" POOL "[ebb]\n", "a.conf:4: [ebb]: expected one such section, got a second one"},
      {"second [ebb] at once", "[ebb]\n[ebb]\n" POOL, "a.conf:2: [ebb]: expected one such section, got a second one"},
      {"second pool of a name", POOL "[ebb]\n" POOL, "a.conf:4: [pool:p]: expected one such section, got a second one"},
      {"second pool at once", POOL POOL, "a.conf:3: [pool:p]: expected one such section, got a second one"},
      {"pool without a name", "[pool:]\n", "a.conf:1: [pool:]: expected a pool name"},
      {"pool named all", "[pool:all]\n", "a.conf:1: [pool:all]: expected a pool name"},
      {"blank in the name", "[pool:a b]\n", "a.conf:1: [pool:a b]: expected a pool name"},
      {"blank before the name", "[pool: a]\n", "a.conf:1: [pool: a]: expected a pool name"},
      {"slash in the name", "[pool:a/b]\n", "a.conf:1: [pool:a/b]: expected a pool name"},
      {"dash first", "[pool:-a]\n", "a.conf:1: [pool:-a]: expected a pool name"},
      {"name of 32", "[pool:" NAME31 "5]\n", "a.conf:1: [pool:" NAME31 "5]: expected a pool name"},
      {"name of 93", "[pool:" NAME31 NAME31 NAME31 "]\n", "a.conf:1: [pool:"},
      {"pool without keys", "[pool:p]\n[ebb]\n", "a.conf:1: [pool:p]: expected a command"},
      {"pool without a command", POOL "\n[pool:q]\nsize = 2\n", "a.conf:4: [pool:q]: expected a command"},
      {"bracket missing", POOL "[ebb\ncooldown = 1s\n", "a.conf:3: expected [section], key = value, or a comment"},
      {"no sign", "[ebb]\n" POOL "size\n", "a.conf:4: expected [section], key = value, or a comment"},
      {"no sign, and a mistake after it", "[ebb]\nwhat\ncooldown = x\n",
       "a.conf:2: expected [section], key = value, or a comment"},
      {"a mistake, and no sign after it", "[ebb]\ncooldown = x\nwhat\n", "a.conf:2: cooldown: expected a time"},
      {"a mistake, no sign after it, and more", "[ebb]\ncooldown = x\nwhat\nreserve = 1\nmore\n",
       "a.conf:2: cooldown: expected a time"},
      {"no sign, and two mistakes after it", "[ebb]\nwhat\ncooldown = x\nmore\nreserve = x\n",
       "a.conf:2: expected [section], key = value, or a comment"},
      {"a mistake, and a control byte after it", "[ebb]\ncooldown = x\n\001\n", "a.conf:2: cooldown: expected a time"},
      {"no sign, and a long line after it", "[ebb]\nwhat\ncontrol_group = \001\n",
       "a.conf:2: expected [section], key = value, or a comment"},
      {"first key indented", "[pool:p]\n  command = x\n",
       "a.conf:2: expected a key, got a line that begins with a blank, which continues the value before it"},
      {"first line indented", "  [pool:p]\ncommand = x\n",
       "a.conf:2: command: expected [ebb] or [pool:<name>] before it"},
  };
  CHECK(rows);
}

#define X(key, place, kind, preset, expected) " " #key
#define UNKNOWN_IN_EBB ": unknown key, expected one of:" CONFIG_EBB_KEYS(X)
#define UNKNOWN_IN_POOL ": unknown key, expected one of:" CONFIG_POOL_KEYS(X)

static void mistakes_in_keys(void **state) {
  (void)state;
  static const struct mistake rows[] = {
      {"unknown", POOL "colour = red\n", "a.conf:3: colour" UNKNOWN_IN_POOL},
      {"unknown in [ebb]", "[ebb]\ncolour = red\n", "a.conf:2: colour" UNKNOWN_IN_EBB},
      {"misspelt", POOL "min_redy = 1\n", "a.conf:3: min_redy: unknown key, did you mean min_ready?"},
      {"dash for underscore", POOL "footprint-limit = 1G\n",
       "a.conf:3: footprint-limit: unknown key, did you mean footprint_limit?"},
      {"in capitals", POOL "Size = 1\n", "a.conf:3: Size: unknown key, did you mean size?"},
      {"far too long", POOL NAME31 NAME31 " = 1\n", "a.conf:3: " NAME31 NAME31 "" UNKNOWN_IN_POOL},
      {"no name", POOL "= 1\n", "a.conf:3: " UNKNOWN_IN_POOL},
      {"hostile", POOL "\xff\xfe = 1\n", "a.conf:3: \\xff\\xfe" UNKNOWN_IN_POOL},
      {"of [ebb] in a pool", POOL "cooldown = 1s\n", "a.conf:3: cooldown: unknown key here, it belongs in [ebb]"},
      {"of a pool in [ebb]", "[ebb]\nsize = 1\n", "a.conf:2: size: unknown key here, it belongs in [pool:...]"},
      {"twice", POOL "size = 1\n\nsize = 1\n", "a.conf:5: size: expected once, is on line 3 already"},
      {"twice, at once", POOL "command = y\n", "a.conf:3: command: expected once, is on line 2 already"},
      {"bad value, found at the next key", POOL "size = x\nstrikes = 1\n", "a.conf:3: size: expected"},
      {"bad value, found at the next section", POOL "size = x\n[ebb]\n", "a.conf:3: size: expected"},
      {"bad value, found at the end", POOL "size = x\n", "a.conf:3: size: expected"},
      {"bad value, continued", POOL "size = 1\n\n  2\n",
       "a.conf:3: size: expected a number of workers, at most 4096, got '1 2'"},
  };
  CHECK(rows);
}

#undef X

static void modes_and_what_fits_them(void **state) {
  (void)state;
  const struct config_pool *pool = &good(POOL "size = 3\nmode = oneshot\npriority = 7\n")->pools[0];
  assert_int_equal(pool->rules.mode, EBB_MODE_ONESHOT);
  assert_int_equal(pool->rules.priority, 7);
  assert_int_equal(pool->rules.min_ready, 0); /* its pieces end by themselves */
  pool = &good("[pool:p]\nmode = adopt\nuser = www\nidle = signal\nrefill_command = /bin/true\nadopt_cgroup = /a\n")
              ->pools[0];
  assert_int_equal(pool->rules.mode, EBB_MODE_ADOPT);
  assert_int_equal(pool->rules.idle, EBB_IDLE_SIGNAL);
  assert_string_equal(pool->refill_command, "/bin/true");
  assert_string_equal(pool->adopt_cgroup, "/a");
  pool = &good(POOL "trim = yes\ntrim_wait = 3s\nspares = 2\nmax_jobs = 9\nmax_lifetime = 1d\nretained_limit = 5M\n")
              ->pools[0];
  assert_int_equal(pool->rules.trim, 1);
  assert_int_equal(pool->rules.trim_wait_ns, 3000000000ULL);
  assert_int_equal(pool->rules.spares, 2);
  assert_int_equal(pool->rules.max_jobs, 9);
  assert_int_equal(pool->rules.max_lifetime_ns, 86400000000000ULL);
  assert_int_equal(pool->rules.retained_limit_bytes, 5 << 20);
  pool = &good(POOL)->pools[0];
  assert_int_equal(pool->rules.mode, EBB_MODE_SERVICE);
  assert_int_equal(pool->rules.idle, EBB_IDLE_LEASE);
  assert_true(pool->rules.max_jobs == EBB_UNKNOWN && pool->rules.max_lifetime_ns == EBB_UNKNOWN);
  assert_true(pool->rules.retained_limit_bytes == EBB_UNKNOWN && !pool->rules.trim && !pool->rules.spares);
  assert_int_equal(good("[ebb]\ndry_run = yes\n" POOL)->rules.dry_run, 1);
  assert_int_equal(good(POOL)->rules.dry_run, 0);
}

static void mistakes_in_values(void **state) {
  (void)state;
  static const struct {
    const char *section, *key;
    const char *expected; /* begins like this */
    const char *values[12];
  } rows[] = {
      {"[ebb]\n\n", "control_group", "a name", {"a b", "a/b", "a:b", NAME31 "5"}},
      {"[ebb]\n\n",
       "memory_budget",
       "a size",
       {"0", "0%", "101%", "-1", "1.5G", "12X", "1 G", "OFF", "none", "99999999T"}},
      {"[ebb]\n\n", "pressure_source", "an absolute path", {"memory.pressure", "off", "./x"}},
      {"[ebb]\n\n", "pressure_some", "a share", {"0%", "10", "100.1%", "101%", "-1%", "1.55%", "on"}},
      {"[ebb]\n\n", "pressure_full", "a share", {"0%", "0.0%", "5"}},
      {"[ebb]\n\n", "reserve", "a size", {"off", "x", "101%", "5 %"}},
      {"[ebb]\n\n", "cooldown", "a time", {"off", "15", "366d", "1w", "-1s", "1.5s", "18446744073709551615ms"}},
      {POOL, "user", "a name", {"a b", "a/b", "a:b", NAME31 "5"}},
      {POOL, "directory", "an absolute path", {"srv", ".", "~/x"}},
      {POOL, "umask", "three octal digits", {"22", "0022", "028", "-22", "off"}},
      {POOL,
       "environment",
       "NAME=value words",
       {"A", "A=1 B", "=1", "1A=1", "A-B=1", "EBB_LEASE=x", "A=1 EBB_X=1", "'A=1", "A=1 'B=2"}},
      {POOL, "size", "a number of workers", {"-1", "4097", "x", "1.5", "1K", "off", "1 2"}},
      {POOL, "min_ready", "a number of workers", {"-1", "4097", "off", "50%"}},
      {POOL, "footprint_limit", "a size", {"0", "x", "1GB", "101%", "no"}},
      {POOL, "contribution_limit", "a share", {"0%", "50", "0.5", "101%", "64M", "on"}},
      {POOL, "min_gain", "a size", {"off", "x", "1GB", "101%", "-1M"}},
      {POOL, "min_lifetime", "a time", {"off", "10", "366d"}},
      {POOL, "idle", "lease", {"yes", "LEASE", "lease signal"}},
      {POOL,
       "retire_signal",
       "TERM, INT",
       {"KILL", "SIGKILL", "STOP", "SIGSTOP", "9", "19", "64", "0", "term", "SIG", "SIG15", "SIGSIGTERM"}},
      {POOL, "grace", "a time", {"off", "30"}},
      {POOL, "strikes", "a number of confirmations", {"0", "3601", "off"}},
      {POOL, "refill", "auto or after", {"first", "no", "AUTO"}},
      {POOL, "mode", "service", {"daemon", "Service"}},
      {POOL, "ready_timeout", "a time", {"0", "0s", "off", "366d"}},
      {POOL, "pids", "a number of processes and threads", {"0", "-1", "4194305", "x", "50%"}},
      {POOL, "stuck_after", "a time", {"0", "0s", "1", "366d", "no"}},
      {POOL,
       "recycle_exit_codes",
       "at most 16 numbers",
       {"256", "-1", "x", "0,3", "0 x", "0 off", "off 0", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17"}},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
    for (const char *const *value = rows[i].values; value < rows[i].values + 12 && *value; value++) {
      char text[512], begin[256], end[256];
      (void)snprintf(text, sizeof(text), "%s%s = %s\n", rows[i].section, rows[i].key, *value);
      (void)snprintf(begin, sizeof(begin), "a.conf:3: %s: expected %s", rows[i].key, rows[i].expected);
      (void)snprintf(end, sizeof(end), ", got '%s'", *value);
      struct config_error error;
      const char *texts[] = {text};
      int r = read_texts(texts, 1, &error);
      size_t n = strlen(error.text);
      if (r != -EINVAL || strncmp(error.text, begin, strlen(begin)) != 0 || n < strlen(end) ||
          strcmp(error.text + n - strlen(end), end) != 0)
        fail_msg("%s = %s: %d, %s", rows[i].key, *value, r, error.text);
    }
}

static void every_key_needs_a_value(void **state) {
  (void)state;
  for (enum config_section section = CONFIG_SECTION_EBB; section <= CONFIG_SECTION_POOL; section++) {
    struct config_keys keys = config_keys__of(section);
    for (unsigned i = 0; i < keys.n; i++) {
      char text[128];
      (void)snprintf(text, sizeof(text), "%s%s =\n", section == CONFIG_SECTION_EBB ? "[ebb]\n" : "[pool:p]\n",
                     keys.keys[i].name);
      struct config_error error;
      const char *texts[] = {text};
      if (read_texts(texts, 1, &error) != -EINVAL || !strstr(error.text, ", got ''"))
        fail_msg("%s: %s", keys.keys[i].name, error.text);
    }
  }
}

static void contradictions(void **state) {
  (void)state;
  static const struct mistake rows[] = {
      {"a command to adopt", POOL "mode = adopt\nuser = x\n",
       "a.conf:2: command: expected not with mode = adopt, which"},
      {"nobody to adopt from", "[pool:p]\nmode = adopt\n",
       "a.conf:1: [pool:p]: expected a user, whose processes it may"},
      {"refill_command to start by", POOL "refill_command = x\n",
       "a.conf:3: refill_command: expected only with mode ="},
      {"adopt_cgroup of its own", POOL "adopt_cgroup = /x\n",
       "a.conf:3: adopt_cgroup: expected only with mode = adopt"},
      {"spares of pieces", POOL "mode = oneshot\nspares = 1\n", "a.conf:4: spares: expected only with mode = service"},
      {"spares without a lease", POOL "idle = signal\nspares = 1\n",
       "a.conf:4: spares: expected not with idle = signal"},
      {"trim without a lease", POOL "trim = yes\nidle = signal\n", "a.conf:3: trim: expected not with idle = signal"},
      {"spares count", POOL "size = 4000\nspares = 100\n",
       "a.conf:3: size: expected at most 4096 workers in all pools"},
      {"min_ready over size", POOL "min_ready = 3\nsize = 2\n",
       "a.conf:3: min_ready: expected at most size (2), got '3'"},
      {"min_ready over the default size", POOL "min_ready = 2\n",
       "a.conf:3: min_ready: expected at most size (1), got '2'"},
      {"too many workers", POOL "size = 4096\n[pool:q]\ncommand = x\nsize = 1\n",
       "a.conf:6: size: expected at most 4096 workers in all pools, got 4097"},
      {"too many workers, size not given", POOL "size = 4096\n[pool:q]\ncommand = x\n",
       "a.conf:4: size: expected at most 4096 workers in all pools, got 4097"},
      {"empty command", "[pool:p]\ncommand = ''\n", "a.conf:2: command: expected a command line"},
      {"open quote", "[pool:p]\ncommand = sh -c 'a ; b'\n", "a.conf:2: command: expected a command line"},
      {"dangling backslash", "[pool:p]\ncommand = sh \\\n", "a.conf:2: command: expected a command line"},
  };
  CHECK(rows);
  assert_true(good("[ebb]\nmemory_budget = 1T\npressure_full = 90%\n" POOL)->rules.memory_budget_bytes > RAM);
}

static void number_of_pools(void **state) {
  (void)state;
  static char text[8192];
  size_t n = 0;
  for (int i = 0; i < EBB_POOLS_MAX; i++)
    n += (size_t)snprintf(text + n, sizeof(text) - n, "[pool:p%d]\ncommand = x\n", i);
  assert_int_equal(good(text)->n_pools, EBB_POOLS_MAX);
  (void)snprintf(text + n, sizeof(text) - n, "[pool:more]\ncommand = x\n");
  struct config_error error;
  const char *texts[] = {text};
  assert_int_equal(read_texts(texts, 1, &error), -EINVAL);
  assert_string_equal(error.text, "a.conf:129: [pool:more]: expected at most 64 pools");
}

/* libinih reads 200 bytes at a time, and would make two keys of a longer line. */
static void long_lines_are_named_not_split(void **state) {
  (void)state;
  for (size_t length = 190; length < 450; length++) {
    char text[600] = POOL "environment = A=", line[500];
    size_t before = strlen("environment = A=");
    memset(line, 'x', length - before);
    line[length - before] = 0;
    (void)strcat(text, line);
    struct config_error error;
    const char *texts[] = {text};
    int r = read_texts(texts, 1, &error);
    if (length <= 197) {
      assert_int_equal(r, 0);
      assert_int_equal(strlen(config.pools[0].environment), length - strlen("environment = "));
      continue;
    }
    char said[200];
    (void)snprintf(
        said, sizeof(said),
        "a.conf:3: expected at most 197 bytes in a line, got %zu: a value goes on in further lines that begin "
        "with a blank",
        length);
    assert_int_equal(r, -EINVAL);
    assert_string_equal(error.text, said);
  }
}

static void long_values_go_on_in_further_lines(void **state) {
  (void)state;
  char text[2000] = "[pool:p]\ncommand = x\n", line[101];
  memset(line, 'y', 100);
  line[100] = 0;
  size_t lines = 0;
  for (; 1 + (lines + 1) * 101 < CONFIG_COMMAND_BYTES; lines++)
    (void)sprintf(text + strlen(text), "  %s\n", line);
  assert_int_equal(strlen(good(text)->pools[0].command), 1 + lines * 101);
  (void)strcat(text, "  zzzzzzzzzzz\n");
  assert_int_equal(strlen(good(text)->pools[0].command), 1023);
  (void)strcat(text, "  z\n");
  struct config_error error;
  const char *texts[] = {text};
  assert_int_equal(read_texts(texts, 1, &error), -EINVAL);
  assert_string_equal(error.text, "a.conf:2: command: expected a command line of at most 1023 bytes and 64 words, with "
                                  "its quotes closed, got a value of more than 1023 bytes");
}

static void control_bytes_are_named(void **state) {
  (void)state;
  static const char zero[] = "[pool:p]\ncommand = a\0b\n";
  struct source source = {.name = (char *)"z.conf", .data = (char *)zero, .n = sizeof(zero) - 1};
  struct config_error error;
  assert_int_equal(config__read(&config, RAM, &source, 1, &error), -EINVAL);
  assert_string_equal(error.text, "z.conf:2: expected text, got byte 0x00");
  static const struct mistake rows[] = {
      {"escape", POOL "# \x1b[2J\n", "a.conf:3: expected text, got byte 0x1b"},
      {"delete", POOL "user = a\x7f\n", "a.conf:3: expected text, got byte 0x7f"},
      {"return in the middle", POOL "user = a\rb\n", "a.conf:3: expected text, got byte 0x0d"},
      {"the key that begins sections", POOL "\x01 = 1\n", "a.conf:3: expected text, got byte 0x01"},
  };
  CHECK(rows);
}

static void long_and_hostile_values_are_shown_safely(void **state) {
  (void)state;
  struct config_error error;
  char text[400] = POOL "user = \xff \xc2\x9b";
  memset(text + strlen(text), 'u', 150);
  const char *texts[] = {text};
  assert_int_equal(read_texts(texts, 1, &error), -EINVAL);
  assert_non_null(strstr(error.text, "got '\\xff \\xc2\\x9buuu"));
  assert_non_null(strstr(error.text, "uuu...'"));
}

static void without_any_text(void **state) {
  (void)state;
  struct config_error error;
  assert_int_equal(config__read(&config, RAM, NULL, 0, &error), -EINVAL);
  assert_string_equal(error.text, "configuration: expected at least one [pool:<name>] section");
}

/* Words. */

static void words(void **state) {
  (void)state;
  static const struct {
    const char *line;
    int n;
    const char *words; /* joined with | */
  } rows[] = {
      {"a", 1, "a"},
      {"  a \t b  ", 2, "a|b"},
      {"'a b' c", 2, "a b|c"},
      {"\"a b\" c", 2, "a b|c"},
      {"a'b'\"c\"d", 1, "abcd"},
      {"''", 1, ""},
      {"a '' b", 3, "a||b"},
      {"\"it's\" '\"'", 2, "it's|\""},
      {"a\\ b \\' \\\\", 3, "a b|'|\\"},
      {"'a\\b'", 1, "a\\b"},
      {"\"a\\\"b\\\\\"", 1, "a\"b\\"},
      {"$HOME `x` * > y", 5, "$HOME|`x`|*|>|y"},
      {"", -EINVAL, NULL},
      {"  \t", -EINVAL, NULL},
      {"'a", -EINVAL, NULL},
      {"a \"b", -EINVAL, NULL},
      {"\"a\\\"", -EINVAL, NULL},
      {"a\\", -EINVAL, NULL},
      {"1 2 3 4 5 6 7", 7, "1|2|3|4|5|6|7"},
      {"1 2 3 4 5 6 7 8", -E2BIG, NULL},
      {"0123456789012345678901234567890", 1, "0123456789012345678901234567890"},
      {"01234567890123456789012345678901", -E2BIG, NULL},
      {"0123456789 0123456789 012345678", 3, "0123456789|0123456789|012345678"},
      {"0123456789 0123456789 0123456789", -E2BIG, NULL},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    char *space = malloc(32), joined[64] = ""; /* on the heap, for ASan */
    const char *found[8];
    int n = config__words(rows[i].line, space, 32, found, 8);
    if (n != rows[i].n)
      fail_msg("\"%s\": %d", rows[i].line, n);
    for (int j = 0; j < n; j++)
      (void)snprintf(joined + strlen(joined), sizeof(joined) - strlen(joined), "%s%s", j ? "|" : "", found[j]);
    if (n > 0 && (strcmp(joined, rows[i].words) != 0 || found[n] != NULL))
      fail_msg("\"%s\": %s", rows[i].line, joined);
    free(space);
  }
}

/* What was read always splits into what ebbd has room for. */
static void as_many_words_as_there_may_be(void **state) {
  (void)state;
  char text[1024] = "[pool:p]\ncommand = x\n";
  for (int i = 1; i < CONFIG_COMMAND_WORDS_MAX; i++)
    (void)strcat(text, "  y\n");
  good(text);
  (void)strcat(text, "  y\n");
  struct config_error error;
  const char *texts[] = {text};
  assert_int_equal(read_texts(texts, 1, &error), -EINVAL);
  assert_non_null(strstr(error.text, "a.conf:2: command: expected a command line of at most 1023 bytes and 64 words"));
}

static uint32_t random_state = 314159;

static uint32_t random_number(void) {
  random_state = random_state * 1664525 + 1013904223;
  return random_state >> 8;
}

/* Torn and mixed up configurations: no crash, and an error always names its file. */
static void random_texts_do_no_harm(void **state) {
  (void)state;
  static const char *const pieces[] = {"[ebb]",
                                       "[pool:p]",
                                       "[pool:q]",
                                       "[",
                                       "]",
                                       "\n",
                                       "\n",
                                       "\n",
                                       "  ",
                                       "size",
                                       "command",
                                       "=",
                                       ":",
                                       " = ",
                                       "x",
                                       "'",
                                       "\\",
                                       ";",
                                       "#",
                                       "1",
                                       "off",
                                       "25%",
                                       "user",
                                       "\r",
                                       "\xff",
                                       "cooldown",
                                       "15s",
                                       "min_ready",
                                       "environment = A=1\n",
                                       "command = x\n"};
  for (int round = 0; round < 20000; round++) {
    char text[512] = "";
    for (uint32_t i = random_number() % 30; i > 0; i--)
      (void)strcat(text, pieces[random_number() % (sizeof(pieces) / sizeof(*pieces))]);
    struct config_error error;
    const char *texts[] = {text};
    int r = read_texts(texts, 1, &error);
    assert_true(r == 0 || (r == -EINVAL && strncmp(error.text, "a.conf:", 7) == 0));
    assert_true(r < 0 || (config.n_pools > 0 && config.pools[0].command[0]));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(defaults),
      cmocka_unit_test(every_key),
      cmocka_unit_test(limits_that_are_off),
      cmocka_unit_test(min_ready_follows_size),
      cmocka_unit_test(signals),
      cmocka_unit_test(layout),
      cmocka_unit_test(several_files_are_one_configuration),
      cmocka_unit_test(sections_do_not_go_on_in_the_next_file),
      cmocka_unit_test(mistakes_in_sections),
      cmocka_unit_test(mistakes_in_keys),
      cmocka_unit_test(modes_and_what_fits_them),
      cmocka_unit_test(mistakes_in_values),
      cmocka_unit_test(every_key_needs_a_value),
      cmocka_unit_test(contradictions),
      cmocka_unit_test(number_of_pools),
      cmocka_unit_test(long_lines_are_named_not_split),
      cmocka_unit_test(long_values_go_on_in_further_lines),
      cmocka_unit_test(control_bytes_are_named),
      cmocka_unit_test(long_and_hostile_values_are_shown_safely),
      cmocka_unit_test(without_any_text),
      cmocka_unit_test(words),
      cmocka_unit_test(as_many_words_as_there_may_be),
      cmocka_unit_test(random_texts_do_no_harm),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

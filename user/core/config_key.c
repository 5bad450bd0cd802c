/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "config_key.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "text.h"
#include "units.h"

/* So that no sum of a clock reading and two times can wrap. */
#define TIME_MAX_NS (365ULL * 86400 * NS_PER_SEC)
/* Strikes are counted a second apart; more than an hour of them is a mistake. */
#define STRIKES_MAX 3600
#define PRIORITY_MAX 1000
/* The kernel's own (PID_MAX_LIMIT on 64 bits). */
#define PIDS_MAX (4u * 1024 * 1024)

_Static_assert(EBB_SLOTS_MAX == 4096 && CONFIG_EXIT_CODES_MAX == 16, "numbers named in what is expected");
_Static_assert(EBB_NAME_BYTES == 32 && CONFIG_PATH_BYTES == 256, "likewise");
_Static_assert(CONFIG_COMMAND_BYTES == 1024 && CONFIG_ENVIRONMENT_BYTES == 1024, "likewise");
_Static_assert(CONFIG_COMMAND_WORDS_MAX == 64 && CONFIG_ENVIRONMENT_WORDS_MAX == 128, "likewise");

/* Kinds of value. Each writes its field, or says -EINVAL. */

static int set_text(const struct config_target *target, const char *value) {
  return *value && text__copy(target->field, target->size, value) ? 0 : -EINVAL;
}

static int set_name(const struct config_target *target, const char *value) {
  return strpbrk(value, " \t/:") ? -EINVAL : set_text(target, value);
}

static int set_path(const struct config_target *target, const char *value) {
  return value[0] == '/' ? set_text(target, value) : -EINVAL;
}

static int set_size(const struct config_target *target, const char *value) {
  return parse__size(value, target->ram_bytes, target->field) < 0 ? -EINVAL : 0;
}

/* A limit of 0 is more likely meant as "none" than as "everybody is over it". */
static int set_limit(const struct config_target *target, const char *value) {
  uint64_t bytes = EBB_UNKNOWN;
  if (strcmp(value, "off") != 0 && (parse__size(value, target->ram_bytes, &bytes) < 0 || bytes == 0))
    return -EINVAL;
  *(uint64_t *)target->field = bytes;
  return 0;
}

static int set_share(const struct config_target *target, const char *value) {
  uint32_t permille = CONFIG_SHARE_OFF;
  if (strcmp(value, "off") != 0 && (parse__permille(value, &permille) < 0 || permille == 0))
    return -EINVAL;
  *(uint32_t *)target->field = permille;
  return 0;
}

static int set_time(const struct config_target *target, const char *value) {
  uint64_t ns;
  if (parse__time(value, &ns) < 0 || ns > TIME_MAX_NS)
    return -EINVAL;
  *(uint64_t *)target->field = ns;
  return 0;
}

static int set_positive_time(const struct config_target *target, const char *value) {
  uint64_t ns;
  return parse__time(value, &ns) == 0 && ns == 0 ? -EINVAL : set_time(target, value);
}

static int set_time_limit(const struct config_target *target, const char *value) {
  if (strcmp(value, "off") != 0)
    return set_positive_time(target, value);
  *(uint64_t *)target->field = EBB_UNKNOWN;
  return 0;
}

static int set_number(const struct config_target *target, const char *value, uint64_t least, uint64_t most) {
  uint64_t number;
  if (parse__number(value, most, &number) < 0 || number < least)
    return -EINVAL;
  *(uint32_t *)target->field = (uint32_t)number;
  return 0;
}

static int set_workers(const struct config_target *target, const char *value) {
  return set_number(target, value, 0, EBB_SLOTS_MAX);
}

static int set_priority(const struct config_target *target, const char *value) {
  return set_number(target, value, 0, PRIORITY_MAX);
}

static int set_jobs(const struct config_target *target, const char *value) {
  uint64_t jobs = EBB_UNKNOWN;
  if (strcmp(value, "off") != 0 && (parse__number(value, EBB_UNKNOWN - 1, &jobs) < 0 || jobs == 0))
    return -EINVAL;
  *(uint64_t *)target->field = jobs;
  return 0;
}

static int set_strikes(const struct config_target *target, const char *value) {
  return set_number(target, value, 1, STRIKES_MAX);
}

static int set_pids(const struct config_target *target, const char *value) {
  if (strcmp(value, "off") != 0)
    return set_number(target, value, 1, PIDS_MAX);
  *(uint32_t *)target->field = CONFIG_PIDS_OFF;
  return 0;
}

static int set_umask(const struct config_target *target, const char *value) {
  if (strlen(value) != 3 || strspn(value, "01234567") != 3)
    return -EINVAL;
  *(uint32_t *)target->field = (uint32_t)strtoul(value, NULL, 8);
  return 0;
}

static int set_command(const struct config_target *target, const char *value) {
  char space[CONFIG_COMMAND_BYTES + 1];
  const char *words[CONFIG_COMMAND_WORDS_MAX + 1];
  int n = config__words(value, space, sizeof(space), words, CONFIG_COMMAND_WORDS_MAX + 1);
  return n < 0 || !*words[0] ? -EINVAL : set_text(target, value);
}

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"

static bool is_variable(const char *word) {
  size_t n = strspn(word, LETTERS "0123456789");
  return n > 0 && word[n] == '=' && strchr(LETTERS, word[0]) && strncmp(word, "EBB_", 4) != 0;
}

static int set_environment(const struct config_target *target, const char *value) {
  char space[CONFIG_ENVIRONMENT_BYTES + 1];
  const char *words[CONFIG_ENVIRONMENT_WORDS_MAX + 1];
  int n = config__words(value, space, sizeof(space), words, CONFIG_ENVIRONMENT_WORDS_MAX + 1);
  for (int i = 0; i < n; i++)
    if (!is_variable(words[i]))
      return -EINVAL;
  return n < 0 ? -EINVAL : set_text(target, value);
}

/* A signal that cannot be caught would be sent to every worker that is asked to go, so KILL and STOP are no choice. */
static const struct signal_name {
  const char *name;
  int number;
} signals[] = {{"TERM", SIGTERM}, {"INT", SIGINT},   {"QUIT", SIGQUIT},
               {"HUP", SIGHUP},   {"USR1", SIGUSR1}, {"USR2", SIGUSR2}};

static int set_signal(const struct config_target *target, const char *value) {
  uint64_t number = 0;
  (void)parse__number(value, 64, &number);
  if (strncmp(value, "SIG", 3) == 0)
    value += 3;
  for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
    if (strcmp(value, signals[i].name) == 0 || number == (uint64_t)signals[i].number) {
      *(int *)target->field = signals[i].number;
      return 0;
    }
  return -EINVAL;
}

static int set_exit_codes(const struct config_target *target, const char *value) {
  struct config_pool *pool = target->object;
  char space[128];
  const char *words[CONFIG_EXIT_CODES_MAX + 1];
  uint64_t codes[CONFIG_EXIT_CODES_MAX];
  bool off = strcmp(value, "off") == 0;
  int n = off ? 0 : config__words(value, space, sizeof(space), words, CONFIG_EXIT_CODES_MAX + 1);
  for (int i = 0; i < n; i++)
    if (parse__number(words[i], UINT8_MAX, &codes[i]) < 0)
      return -EINVAL;
  if (n < 0)
    return -EINVAL;
  for (int i = 0; i < n; i++)
    pool->exit_codes[i] = (uint8_t)codes[i];
  pool->n_exit_codes = (uint32_t)n;
  return 0;
}

/* The number of a name in a list. */
static int set_choice(const struct config_target *target, const char *value, const char *const *names, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    if (strcmp(value, names[i]) == 0) {
      *(uint32_t *)target->field = i;
      return 0;
    }
  return -EINVAL;
}

#define X(id, name) name,
static int set_switch(const struct config_target *target, const char *value) {
  static const char *const names[] = {"no", "yes"};
  return set_choice(target, value, names, 2);
}

static int set_idle(const struct config_target *target, const char *value) {
  static const char *const names[] = {EBB_IDLES(X)};
  return set_choice(target, value, names, EBB_IDLE_N);
}

static int set_refill(const struct config_target *target, const char *value) {
  static const char *const names[] = {EBB_REFILLS(X)};
  return set_choice(target, value, names, EBB_REFILL_N);
}

static int set_mode(const struct config_target *target, const char *value) {
  static const char *const names[] = {EBB_MODES(X)};
  return set_choice(target, value, names, EBB_MODE_N);
}
#undef X

/* The tables. */

#define KEY(type, key, place, kind, preset, expected)                                                                  \
  {#key, offsetof(type, place), sizeof(((type *)0)->place), set_##kind, preset, expected},

static const struct config_key ebb_keys[] = {
#define X(...) KEY(struct config, __VA_ARGS__)
    CONFIG_EBB_KEYS(X)
#undef X
};

static const struct config_key pool_keys[] = {
#define X(...) KEY(struct config_pool, __VA_ARGS__)
    CONFIG_POOL_KEYS(X)
#undef X
};

struct config_keys config_keys__of(enum config_section section) {
  switch (section) {
  case CONFIG_SECTION_EBB:
    return (struct config_keys){ebb_keys, CONFIG_EBB_KEYS_N};
  case CONFIG_SECTION_POOL:
    return (struct config_keys){pool_keys, CONFIG_POOL_KEYS_N};
  default:
    return (struct config_keys){NULL, 0};
  }
}

int config_key__set(const struct config_key *key, void *object, uint64_t ram_bytes, const char *value) {
  struct config_target target = {object, (char *)object + key->offset, key->size, ram_bytes};
  return key->set(&target, value);
}

void config_keys__preset(enum config_section section, void *object, uint64_t ram_bytes) {
  struct config_keys keys = config_keys__of(section);
  for (unsigned i = 0; i < keys.n; i++)
    if (*keys.keys[i].preset)
      (void)config_key__set(&keys.keys[i], object, ram_bytes, keys.keys[i].preset);
}

const struct config_key *config_keys__find(enum config_section section, const char *name) {
  struct config_keys keys = config_keys__of(section);
  for (unsigned i = 0; i < keys.n; i++)
    if (strcmp(keys.keys[i].name, name) == 0)
      // cppcheck-suppress returnDanglingLifetime ; into a static table
      return &keys.keys[i];
  return NULL;
}

/* No key is longer, so nothing longer is near one. */
#define NEAR_BYTES_MAX 32

static unsigned least(unsigned a, unsigned b, unsigned c) {
  unsigned ab = a < b ? a : b;
  return ab < c ? ab : c;
}

/* How many letters to insert, drop or change (Levenshtein), one row at a time. */
static unsigned distance(const char *a, const char *b) {
  unsigned row[NEAR_BYTES_MAX + 1], n = (unsigned)strlen(b);
  for (unsigned j = 0; j <= n; j++)
    row[j] = j;
  for (unsigned i = 1; *a; a++, i++) {
    unsigned diagonal = row[0];
    row[0] = i;
    for (unsigned j = 1; j <= n; j++) {
      unsigned above = row[j];
      row[j] = least(above + 1, row[j - 1] + 1, diagonal + (*a != b[j - 1]));
      diagonal = above;
    }
  }
  return row[n];
}

const struct config_key *config_keys__nearest(enum config_section section, const char *name) {
  struct config_keys keys = config_keys__of(section);
  const struct config_key *nearest = NULL;
  unsigned best = (unsigned)strlen(name) / 3 + 2; /* with more than a third of it wrong it is another word */
  if (strlen(name) > NEAR_BYTES_MAX)
    return NULL;
  for (unsigned i = 0; i < keys.n; i++) {
    unsigned d = distance(keys.keys[i].name, name);
    if (d >= best)
      continue;
    best = d;
    nearest = &keys.keys[i];
  }
  // cppcheck-suppress returnDanglingLifetime ; into a static table
  return nearest;
}

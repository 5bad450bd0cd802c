/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "roster.h"

#include <errno.h>
#include <string.h>

#include "crew.h"
#include "summon.h"
#include "worker.h"

struct pool *roster__pool(struct keeper *keeper, const char *name) {
  for_each_pool(pool, keeper) if (!pool->removed && !strcmp(pool->config.name, name)) return pool;
  return NULL;
}

struct slot *roster__slot(struct keeper *keeper, const struct pool *pool, uint32_t number) {
  for_each_slot_of(slot, keeper, pool) if (slot->number == number) return slot;
  return NULL;
}

struct slot *roster__put_slot(struct keeper *keeper, uint32_t index, struct pool *pool, uint32_t number,
                              uint64_t now_ns) {
  for (; keeper->n_slots <= index; keeper->n_slots++)
    keeper->slots[keeper->n_slots].index = keeper->n_slots;
  struct slot *slot = &keeper->slots[index];
  *slot = (struct slot){
      .keeper = keeper,
      .pool = pool,
      .index = index,
      .number = number,
      .since_ns = now_ns,
      .pidfd = -1,
      .lease_fd = -1,
      .end = {-1, -1},
  };
  return slot;
}

struct slot *roster__add_slot(struct keeper *keeper, struct pool *pool, uint32_t number, uint64_t now_ns) {
  uint32_t index = 0;
  while (index < keeper->n_slots && keeper->slots[index].pool)
    index++;
  return index < EBB_SLOTS_MAX ? roster__put_slot(keeper, index, pool, number, now_ns) : NULL;
}

/* A spare is as good a successor as one that is started for it. */
static uint64_t places_for(const struct pool *pool, uint64_t size, uint32_t first) {
  uint32_t spares = pool->config.rules.spares;
  return size + (spares > first ? spares : first);
}

bool roster__has_room(struct keeper *keeper, const struct pool *pool, uint64_t size) {
  uint64_t others = 0, own = 0, wanted = places_for(pool, size, crew__of(keeper, pool).first);
  for_each_slot(slot, keeper) {
    others += slot->pool != pool;
    own += slot->pool == pool;
  }
  return others + (own > wanted ? own : wanted) <= EBB_SLOTS_MAX;
}

static bool open_places(struct keeper *keeper, struct pool *pool, uint64_t n, bool at_once, uint64_t now_ns) {
  static struct slot *numbered[EBB_SLOTS_MAX];
  memset(numbered, 0, sizeof(numbered));
  for_each_slot_of(slot, keeper, pool) numbered[slot->number] = slot;
  for (uint32_t number = 0; n > 0 && number < EBB_SLOTS_MAX; number++) {
    struct slot *slot = numbered[number];
    if (slot && (slot->closed != PLACE_SURPLUS || (at_once && worker__present(slot))))
      continue;
    if (!slot && !(slot = roster__add_slot(keeper, pool, number, now_ns)))
      return false;
    slot->closed = PLACE_OPEN;
    n--;
  }
  return n == 0;
}

/* How well the pool can do without it. Of one that has not come to its lease nobody knows that it serves: it may hang, and be
 * the very one that is too many; unless what the pool is to have has become less. */
static int rank(const struct slot *slot, bool too_many_serve, bool resized) {
  if (crew__serves(slot))
    return !too_many_serve ? 0 : slot->state == EBB_SLOT_UNLEASED && !resized ? 6 : 5;
  return slot->closed == PLACE_EMPTIED      ? 1
         : slot->state == EBB_SLOT_SPARE    ? 2
         : slot->state == EBB_SLOT_STARTING ? 3
                                            : 4; /* nobody, or somebody who is leaving */
}

static void close_one(struct keeper *keeper, const struct pool *pool, bool resized, bool by_number) {
  uint32_t serving = 0;
  struct slot *chosen = NULL;
  for_each_slot_of(slot, keeper, pool) serving += slot->closed != PLACE_SURPLUS && crew__serves(slot);
  bool too_many = serving > pool->size;
  for_each_slot_of(slot, keeper, pool) {
    if (slot->closed == PLACE_SURPLUS)
      continue;
    int by_rank = !chosen ? 1 : by_number ? 0 : rank(slot, too_many, resized) - rank(chosen, too_many, resized);
    if (by_rank > 0 || (by_rank == 0 && slot->number > chosen->number))
      chosen = slot;
  }
  if (chosen)
    chosen->closed = PLACE_SURPLUS;
}

static bool balance(struct keeper *keeper, struct pool *pool, bool resized, uint64_t now_ns) {
  struct crew crew = crew__of(keeper, pool);
  uint64_t places = crew.places, wanted = places_for(pool, pool->size, crew.first);
  for (; places > wanted; places--)
    close_one(keeper, pool, resized, resized && wanted == pool->size);
  return open_places(keeper, pool, wanted - places, false, now_ns);
}

bool roster__balance(struct keeper *keeper, struct pool *pool, uint64_t now_ns) {
  return balance(keeper, pool, false, now_ns);
}

bool roster__open_at_once(struct keeper *keeper, struct pool *pool, uint64_t now_ns) {
  struct crew crew = crew__of(keeper, pool);
  uint64_t wanted = places_for(pool, pool->size, crew.first);
  return crew.places >= wanted || open_places(keeper, pool, wanted - crew.places, true, now_ns);
}

bool roster__resize(struct keeper *keeper, struct pool *pool, uint32_t size, uint64_t now_ns) {
  pool->size = size;
  return balance(keeper, pool, true, now_ns);
}

static int split(const char *line, char *space, size_t space_bytes, const char **words, size_t n_words) {
  words[0] = NULL;
  int n = *line ? config__words(line, space, space_bytes, words, n_words) : 0;
  return n < 0 ? n : 0;
}

/* FNV-1a; each word with its NUL. Of the words, not of the line: how it is written starts no other worker. */
static uint64_t add_word(uint64_t sum, const char *word) {
  do
    sum = (sum ^ (unsigned char)*word) * 0x100000001b3ULL;
  while (*word++);
  return sum;
}

static uint64_t recipe_of(const struct pool *pool) {
  uint64_t sum = 0xcbf29ce484222325ULL;
  for (const char *const *word = pool->argv; *word; word++)
    sum = add_word(sum, *word);
  sum = add_word(sum, "");
  for (const char *const *word = pool->environment; *word; word++)
    sum = add_word(sum, *word);
  sum = add_word(sum, "");
  sum = add_word(add_word(sum, pool->config.user), pool->config.directory);
  sum = add_word(sum, (char[]){(char)(1 + (pool->config.umask >> 6)), (char)(1 + (pool->config.umask & 077)), 0});
  if (pool->config.rules.idle == EBB_IDLE_SIGNAL) /* another way to go */
    sum = add_word(sum, "idle=signal");
  if (pool->config.rules.mode == EBB_MODE_ONESHOT) /* and one that goes by itself */
    sum = add_word(sum, "mode=oneshot");
  return sum ? sum : 1;
}

int roster__arm(struct pool *pool, const struct config_pool *config) {
  bool same_user = pool->config.name[0] && !strcmp(pool->config.user, config->user);
  pool->config = *config;
  pool->removed = false;
  int error = split(config->rules.mode == EBB_MODE_ADOPT ? config->refill_command : config->command, pool->word_space,
                    sizeof(pool->word_space), pool->argv, CONFIG_COMMAND_WORDS_MAX + 1);
  if (!error)
    error = split(config->environment, pool->environment_space, sizeof(pool->environment_space), pool->environment,
                  CONFIG_ENVIRONMENT_WORDS_MAX + 1);
  if (!same_user || pool->identity_error)
    pool->identity_error = identity__find(&pool->identity, config->user);
  pool->recipe = recipe_of(pool);
  return error;
}

struct pool *roster__known_pool(struct keeper *keeper, const char *name) {
  for_each_pool(pool, keeper) if (!strcmp(pool->config.name, name)) return pool;
  return NULL;
}

/* Slots that back off, or wait for who was asked for, do so because of a command of before. */
static void try_anew(struct keeper *keeper, struct pool *pool) {
  pool->unleased_warned = false;
  for_each_slot_of(slot, keeper, pool) {
    slot->failures = 0;
    slot->retry_ns = slot->summoned_ns = 0;
    summon__forget(slot);
  }
}

int roster__apply(struct keeper *keeper, const struct config_pool *config, uint64_t now_ns) {
  struct pool *pool = roster__known_pool(keeper, config->name);
  bool resize = !pool || pool->removed || pool->config.size != config->size;
  if (!pool)
    pool = roster__new_pool(keeper);
  if (!pool)
    return -ENOSPC;
  uint64_t before = pool->recipe;
  int error = roster__arm(pool, config);
  if (before && pool->recipe != before)
    try_anew(keeper, pool);
  if (error)
    return error;
  return !resize || roster__resize(keeper, pool, config->size, now_ns) ? 0 : -ENOSPC;
}

bool roster__balance_all(struct keeper *keeper, uint64_t now_ns) {
  bool room = true;
  for_each_pool(pool, keeper) room &= pool->removed || roster__balance(keeper, pool, now_ns);
  return room;
}

struct pool *roster__new_pool(struct keeper *keeper) {
  for (uint32_t i = 0; i < EBB_POOLS_MAX; i++) {
    struct pool *pool = &keeper->pools[i];
    if (pool->config.name[0])
      continue;
    *pool = (struct pool){.index = i};
    return pool;
  }
  return NULL;
}

bool roster__nobody_left(struct keeper *keeper) {
  for_each_slot(slot, keeper) if (worker__present(slot)) return false;
  return true;
}

bool roster__tidy(struct keeper *keeper) {
  bool freed = false;
  for_each_pool(pool, keeper) {
    if (!pool->removed)
      continue;
    bool empty = true;
    for_each_slot_of(slot, keeper, pool) empty &= !worker__present(slot);
    if (!empty)
      continue;
    for_each_slot_of(slot, keeper, pool) {
      summon__forget(slot);
      slot->pool = NULL;
    }
    pool->config.name[0] = 0;
    freed = true;
  }
  return freed;
}

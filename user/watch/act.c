/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The watch's only way to do anything: a line in the FIFO, like any deploy script. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fifo.h"
#include "log.h"
#include "text.h"
#include "units.h"
#include "watch.h"

#define CONTROL_NAME "control"

static int send_line(struct watch *watch, const struct text *line) {
  if (line->cut)
    return -EMSGSIZE;
  if (watch->fifo_fd < 0)
    watch->fifo_fd = fifo__open(watch->run_dirfd, CONTROL_NAME);
  if (watch->fifo_fd < 0)
    return watch->fifo_fd;
  int error = fifo__send(watch->fifo_fd, line->data, line->used);
  if (error && error != -EAGAIN) { /* ebbd has gone: look for the next one's FIFO next time */
    (void)close(watch->fifo_fd);
    watch->fifo_fd = -1;
  }
  return error;
}

static void add_bytes(struct text *line, const char *key, uint64_t bytes) {
  if (bytes != EBB_UNKNOWN)
    text__addf(line, " %s=%llu", key, (unsigned long long)bytes);
}

static const char *pool_name(const struct watch *watch, uint32_t index) {
  return watch->view.pools[watch->workers[index].pool].name;
}

/* Who, why, and what it was judged by. */
static void begin(struct watch *watch, struct text *line, const char *verb, const struct plan_act *act) {
  const struct ebb_worker_facts *worker = &watch->workers[act->worker];
  text__addf(line, "%s %s/%u gen=%u by=watch reason=%s", verb, pool_name(watch, act->worker), worker->slot,
             worker->generation, reason__name(act->reason));
  add_bytes(line, "footprint", worker->footprint_bytes);
  if (worker->private_ns)
    add_bytes(line, "private", worker->private_bytes);
  add_bytes(line, "limit", act->limit_bytes);
}

static int end(struct watch *watch, struct text *line, const char *rest) {
  text__addf(line, "%s\n", rest);
  return send_line(watch, line);
}

/* In earnest. */

static int retire(struct watch *watch, const struct plan_act *act, uint64_t now_ns) {
  char data[EBB_LINE_BYTES];
  struct text line = TEXT(data);
  struct ebb_worker_facts *worker = &watch->workers[act->worker];
  begin(watch, &line, "retire", act);
  int error = end(watch, &line, act->first ? " refill=first" : " refill=after");
  if (error)
    return error;
  struct follow *follow = &watch->follows[act->worker];
  follow->asked = true;
  follow->asked_ns = now_ns;
  follow->asked_for = act->reason;
  turn__acted(&watch->host, act->reason, now_ns);
  if (act->reason == REASON_REQUEST)
    watch->pools[worker->pool].requests--;
  worker->state = EBB_SLOT_DUE;
  return 0;
}

static int trim(struct watch *watch, const struct plan_act *act, uint64_t now_ns) {
  char data[EBB_LINE_BYTES];
  struct text line = TEXT(data);
  begin(watch, &line, "trim", act);
  int error = end(watch, &line, "");
  if (error)
    return error;
  watch->follows[act->worker].trimmed_ns = watch->workers[act->worker].trimmed_ns = now_ns;
  turn__acted(&watch->host, act->reason, now_ns);
  return 0;
}

static int hold_refill(struct watch *watch, uint32_t pool, uint64_t now_ns) {
  char data[EBB_LINE_BYTES];
  struct text line = TEXT(data);
  struct held *held = &watch->held[pool];
  if (held->at_ns && now_ns - held->at_ns < HOLD_AGAIN_NS)
    return 0;
  text__addf(&line, "hold %s what=refill for=%llus by=watch", watch->view.pools[pool].name,
             (unsigned long long)(HOLD_NS / NS_PER_SEC));
  int error = end(watch, &line, "");
  if (!error)
    held->at_ns = now_ns;
  return error;
}

static int start(struct watch *watch, uint32_t index, uint64_t now_ns) {
  char data[EBB_LINE_BYTES];
  struct text line = TEXT(data);
  struct ebb_worker_facts *worker = &watch->workers[index];
  text__addf(&line, "refill %s/%u by=watch", pool_name(watch, index), worker->slot);
  int error = end(watch, &line, "");
  if (error)
    return error;
  watch->follows[index].started_ns = now_ns;
  worker->state = EBB_SLOT_STARTING;
  return 0;
}

/* In a dry run. Each thing is said once for as long as it stays so. */

static bool is_news(const struct said *said, enum reason reason, uint64_t now_ns) {
  return now_ns - said->at_ns > SAID_NS || !(said->mask & 1u << reason);
}

static void keep_said(struct said *said, enum reason reason, uint64_t now_ns) {
  uint32_t still = now_ns - said->at_ns > SAID_NS ? 0 : said->mask;
  *said = (struct said){.mask = still | 1u << reason, .at_ns = now_ns};
}

static int say(struct watch *watch, const struct plan_act *act, const char *rest, uint64_t now_ns) {
  char data[EBB_LINE_BYTES];
  struct text line = TEXT(data);
  struct said *said = &watch->follows[act->worker].said;
  int error = 0;
  if (is_news(said, act->reason, now_ns)) {
    begin(watch, &line, "note dry-run", act);
    error = end(watch, &line, rest);
  }
  if (!error)
    keep_said(said, act->reason, now_ns);
  return error;
}

/* What somebody asked for is done. */
static int say_retire(struct watch *watch, const struct plan_act *act, uint64_t now_ns) {
  return act->reason == REASON_REQUEST ? retire(watch, act, now_ns) : say(watch, act, " text=retire", now_ns);
}

static int say_trim(struct watch *watch, const struct plan_act *act, uint64_t now_ns) {
  return say(watch, act, " text=trim", now_ns);
}

static int say_hold_refill(struct watch *watch, uint32_t pool, uint64_t now_ns) {
  struct said *said = &watch->held[pool].said;
  if (is_news(said, REASON_HOLD, now_ns))
    act__note(watch, "dry-run", watch->view.pools[pool].name, -1, 0, reason__name(REASON_HOLD), EBB_UNKNOWN,
              "hold-refill");
  keep_said(said, REASON_HOLD, now_ns);
  return 0;
}

const struct actions *act__actions(const struct watch *watch) {
  static const struct actions in_earnest = {retire, trim, hold_refill, start};
  static const struct actions dry_run = {say_retire, say_trim, say_hold_refill, start};
  return watch->view.ebbd.rules.dry_run ? &dry_run : &in_earnest;
}

/* Besides. */

int act__again(struct watch *watch, uint32_t index) {
  char data[EBB_LINE_BYTES];
  struct text line = TEXT(data);
  /* An order, not a wish: ebbd knows why it is due. */
  const struct plan_act act = {.worker = index, .reason = REASON_SCALE, .limit_bytes = EBB_UNKNOWN};
  begin(watch, &line, "retire", &act);
  return end(watch, &line, "");
}

void act__note(struct watch *watch, const char *event, const char *pool, int64_t slot, uint32_t generation,
               const char *reason, uint64_t freed_bytes, const char *text) {
  char data[EBB_LINE_BYTES];
  struct text line = TEXT(data);
  text__addf(&line, "note %s", event);
  if (pool)
    text__addf(&line, " %s", pool);
  if (pool && slot >= 0)
    text__addf(&line, "/%lld", (long long)slot);
  if (generation)
    text__addf(&line, " gen=%u", generation);
  text__add(&line, " by=watch");
  if (reason)
    text__addf(&line, " reason=%s", reason);
  add_bytes(&line, "freed", freed_bytes);
  if (text)
    text__addf(&line, " text=%s", text);
  text__add(&line, "\n");
  int error = send_line(watch, &line);
  if (error)
    log__warning("a note could not be sent, ignoring: %s", strerror(-error));
}

void act__gone(struct watch *watch, uint32_t index, uint64_t now_ns) {
  const struct ebb_worker_facts *worker = &watch->workers[index];
  if (!watch->follows[index].asked)
    return;
  for (int i = 0; i < EFFECTS_MAX; i++) {
    if (watch->effects[i].at_ns)
      continue;
    watch->effects[i] = (struct effect){
        .at_ns = now_ns + EFFECT_NS,
        .pool = worker->pool,
        .slot = worker->slot,
        .generation = worker->generation,
        .reason = watch->follows[index].asked_for,
        .freed_bytes = watch->follows[index].held_bytes,
        .some_permille = watch->host.some_permille,
    };
    return;
  }
}

void act__effects(struct watch *watch, uint64_t now_ns) {
  for (int i = 0; i < EFFECTS_MAX; i++) {
    struct effect *effect = &watch->effects[i];
    if (!effect->at_ns || now_ns < effect->at_ns)
      continue;
    effect->at_ns = 0;
    if (!watch->view.pools[effect->pool].name[0])
      continue; /* its pool has gone meanwhile */
    char text[64];
    (void)snprintf(text, sizeof(text), "some-permille:%u->%u", effect->some_permille, watch->host.some_permille);
    act__note(watch, "effect", watch->view.pools[effect->pool].name, effect->slot, effect->generation,
              reason__name(effect->reason), effect->freed_bytes, text);
  }
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The watch's only way to do anything: a line in the FIFO, like any deploy script. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fifo.h"
#include "log.h"
#include "text.h"
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

static void begin_retire(struct watch *watch, struct text *line, uint32_t index, enum reason reason) {
  const struct ebb_worker_facts *worker = &watch->workers[index];
  text__addf(line, "retire %s/%u gen=%u by=watch reason=%s", pool_name(watch, index), worker->slot, worker->generation,
             reason__name(reason));
  add_bytes(line, "footprint", worker->footprint_bytes);
  if (worker->private_ns)
    add_bytes(line, "private", worker->private_bytes);
}

int act__retire(struct watch *watch, const struct plan_act *act, uint64_t now_ns) {
  char data[EBB_LINE_BYTES];
  struct text line = TEXT(data);
  begin_retire(watch, &line, act->worker, act->reason);
  add_bytes(&line, "limit", act->limit_bytes);
  text__add(&line, "\n");
  int error = send_line(watch, &line);
  if (error)
    return error;
  struct follow *follow = &watch->follows[act->worker];
  follow->asked = true;
  follow->asked_ns = now_ns;
  follow->asked_for = act->reason;
  turn__acted(&watch->host, act->reason, now_ns);
  return 0;
}

int act__again(struct watch *watch, uint32_t index) {
  char data[EBB_LINE_BYTES];
  struct text line = TEXT(data);
  begin_retire(watch, &line, index, REASON_SCALE); /* an order, not a wish: ebbd knows why it is due */
  text__add(&line, "\n");
  return send_line(watch, &line);
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

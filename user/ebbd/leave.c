/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * How a worker's place becomes free. Its leader has ended and, being our child, stays a zombie: so its pid, and its
 * process group's number, stay its own. Then what else belongs to the worker is looked for and told to go; only when
 * nothing is left, the leader is reaped, the lease unlinked, and the slot empty.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "children.h"
#include "clock.h"
#include "ebb/lease.h"
#include "fault.h"
#include "log.h"
#include "pidfd.h"
#include "procstat.h"
#include "worker.h"

/* What one worker may leave behind and still be seen at one look; the rest is seen at the next. */
#define REST_MAX 256

static bool is_recycle_code(const struct config_pool *config, int code) {
  for (uint32_t i = 0; i < config->n_exit_codes; i++)
    if (config->exit_codes[i] == code)
      return true;
  return false;
}

/* Of one that was not our child, nobody tells how it ended: that is no failure of its pool. */
static bool is_unknown(const struct audit_end *end) {
  return end->code < 0 && end->signal < 0;
}

static int on_exited(sd_event_source *source, int fd, uint32_t revents, void *arg) {
  (void)source, (void)revents;
  struct slot *slot = arg;
  struct keeper *keeper = slot->keeper;
  uint64_t now_ns = clock__monotonic_ns();
  slot->end = (struct audit_end){.code = -1, .signal = -1};
  if (slot->ours && pidfd__wait(fd, true, &slot->end.code, &slot->end.signal) == 0)
    return 0; /* not ended after all */
  slot->exit_source = sd_event_source_unref(slot->exit_source);
  slot->retired = slot->state == EBB_SLOT_DUE || slot->state == EBB_SLOT_RETIRING;
  struct audit_worker worker = worker__name(slot);
  audit__write(&keeper->audit, &(struct audit_record){.event = AUDIT_EXITED,
                                                      .worker = &worker,
                                                      .reason = slot->retired ? reason__name(slot->reason) : NULL,
                                                      .end = &slot->end});
  FAULT(LEADER_GONE);
  worker__step(slot, SLOT_LEADER_EXITED, now_ns);
  slot->try_ns = now_ns;
  return 0;
}

int worker__watch_exit(struct keeper *keeper, struct slot *slot) {
  int error = FAULT_FAILS(NO_EVENT)
                  ? -errno
                  : sd_event_add_io(keeper->event, &slot->exit_source, slot->pidfd, EPOLLIN, on_exited, slot);
  if (error < 0)
    return error;
  /* Reaping and retiring come before commands. */
  return sd_event_source_set_priority(slot->exit_source, SD_EVENT_PRIORITY_IMPORTANT);
}

static void reap(struct slot *slot) {
  int code, signal;
  if (slot->ours) {
    (void)pidfd__wait(slot->pidfd, false, &code, &signal);
    children__forget(slot->pid);
  }
  if (slot->pidfd >= 0)
    (void)close(slot->pidfd);
  slot->pid = 0;
  slot->pidfd = -1;
}

static void drop_lease(struct keeper *keeper, struct slot *slot) {
  char name[LEASE_NAME_BYTES];
  worker__lease_name(slot, name);
  (void)unlinkat(keeper->lease_dirfd, name, 0);
  if (slot->lease_fd >= 0)
    (void)close(slot->lease_fd);
  slot->lease_fd = -1;
  slot->leased = slot->awaited = slot->holds = false;
}

static void describe(const struct audit_end *end, char *to, size_t size) {
  if (end->signal >= 0)
    (void)snprintf(to, size, "died young: signal %d", end->signal);
  else
    (void)snprintf(to, size, "died young: exit code %d", end->code);
}

static void finish(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  const struct config_pool *config = &slot->pool->config;
  const struct slot_end end = {
      .retired = slot->retired,
      .was_serving = slot->was_serving,
      .recycled_code = is_recycle_code(config, slot->end.code) || is_unknown(&slot->end),
      .lived_ns = now_ns - slot->born_ns,
      .ready_timeout_ns = config->ready_timeout_ns,
  };
  if (slot->retired)
    slot->pool->retired++;
  reap(slot);
  FAULT(REAPED);
  drop_lease(keeper, slot);
  FAULT(LEASE_GONE);
  worker__step(slot, SLOT_GONE, now_ns);
  slot->reason = REASON_NONE;
  bool young = slot__died_young(&end);
  if (!young)
    slot->failures = 0;
  if (!young || !worker__wanted(keeper, slot))
    return;
  char text[64];
  describe(&slot->end, text, sizeof(text));
  worker__back_off(keeper, slot, SLOT_DIED_YOUNG, text, now_ns);
}

/* Members other than the leader that still run. Negative errno: cannot be told. */
static int find_rest(const struct slot *slot, struct family_member *to, int max) {
  int orphans = slot->ours ? children__reap_orphans() : -ENOTSUP;
  if (orphans == 0)
    return 0;
  char lease[LEASE_PATH_BYTES];
  worker__lease_path(slot, lease);
  const struct family_root root = {.pid = slot->pid, .lease = lease, .start_time = slot->start_time};
  int n = family__scan(&root, 1, to, (size_t)max), kept = 0;
  for (int i = 0; i < n; i++)
    if (!to[i].zombie && to[i].pid != slot->pid && !children__known(to[i].pid))
      to[kept++] = to[i];
  return n < 0 ? n : kept;
}

/* A process that is on its way out has no environment left to be known by, but still holds what it has not given back. */
static bool are_going(const struct slot *slot) {
  struct procstat stat;
  for (int i = 0; i < slot->n_told; i++)
    if (!procstat__read(slot->told[i].pid, &stat) && stat.start_time == slot->told[i].start_time && stat.exiting &&
        stat.state != 'Z')
      return true;
  return false;
}

static void leave_alone(struct keeper *keeper, struct slot *slot, int n) {
  char text[96];
  (void)snprintf(text, sizeof(text), "it left %d processes behind, which never used its lease: left alone", n);
  struct audit_worker worker = worker__name(slot);
  audit__write(&keeper->audit,
               &(struct audit_record){.event = AUDIT_WARNING, .worker = &worker, .reason = "unleased", .text = text});
  log__warning("%s/%u: %s", slot->pool->config.name, slot->number, text);
}

static void tell_rest(struct keeper *keeper, struct slot *slot, const struct family_member *rest, int n,
                      uint64_t now_ns) {
  int signal = slot->pool->config.retire_signal;
  if (!slot->rest_told) {
    slot->rest_told = true;
    slot->kill_ns = now_ns + slot->pool->config.grace_ns;
  } else if (now_ns >= slot->kill_ns) {
    signal = SIGKILL;
    slot->kill_ns = now_ns + slot->pool->config.grace_ns + NS_PER_SEC;
  } else {
    return;
  }
  slot->n_told = n < TOLD_MAX ? n : TOLD_MAX;
  memcpy(slot->told, rest, (size_t)slot->n_told * sizeof(rest[0]));
  for (int i = 0; i < n; i++) {
    if (family__signal(&rest[i], signal))
      continue;
    struct audit_worker worker = worker__name(slot);
    worker.pid = rest[i].pid;
    audit__write(
        &keeper->audit,
        &(struct audit_record){.event = AUDIT_SIGNALLED, .worker = &worker, .signal = signal, .text = "left behind"});
  }
}

void worker__leave(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  struct family_member rest[REST_MAX];
  int n = find_rest(slot, rest, REST_MAX);
  if (n > 0 && !slot->leased) {
    if (!slot->holds && lease__try_lock(slot->lease_fd) == -EWOULDBLOCK) {
      slot->try_ns = now_ns + FENCE_RETRY_NS; /* it did, while there was no ebbd: one of them works on a job */
      return;
    }
    leave_alone(keeper, slot, n);
    n = 0;
  }
  if (n == 0 && !are_going(slot)) {
    slot->n_told = 0;
    finish(keeper, slot, now_ns);
    return;
  }
  slot->try_ns = now_ns + LEAVING_POLL_NS;
  if (n <= 0)
    return;
  if (!slot->holds && lease__try_lock(slot->lease_fd)) {
    slot->try_ns = now_ns + FENCE_RETRY_NS; /* a helper works on a job */
    return;
  }
  slot->holds = true;
  tell_rest(keeper, slot, rest, n, now_ns);
  FAULT(REST_TOLD);
}

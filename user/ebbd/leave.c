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

#include "cgroup.h"
#include "children.h"
#include "cleanup.h"
#include "clock.h"
#include "ebb/lease.h"
#include "exits.h"
#include "fault.h"
#include "log.h"
#include "pidfd.h"
#include "procstat.h"
#include "worker.h"

/* What one worker may leave behind and still be seen at one look; the rest is seen at the next. */
#define REST_MAX 256
/* In place of a member's start time: it is known by the cgroup that it is in. */
#define BY_LEAF 0

/* Of a worker whose leader is gone. */
struct rest {
  int leaf;     /* its cgroup; negative: it has none */
  bool in_leaf; /* somebody lives there */
  int n;
  struct family_member members[REST_MAX];
};

static bool is_recycle_code(const struct config_pool *config, int code) {
  for (uint32_t i = 0; i < config->n_exit_codes; i++)
    if (config->exit_codes[i] == code)
      return true;
  return false;
}

/* Of one that was taken over, nobody tells how it ended, nor, where it had not been seen at its lease, whether it had come
 * there: that is no failure of its pool. */
static bool is_unknown(const struct slot *slot) {
  return slot->end.code < 0 && slot->end.signal < 0 && !slot->adopted;
}

static bool is_piece(const struct slot *slot) {
  return slot->pool->config.rules.mode == EBB_MODE_ONESHOT;
}

/* Of one that was told to go between its jobs, that it ended well says nothing. */
static void count_piece(struct slot *slot) {
  slot->pool->pieces +=
      is_piece(slot) && slot->state != EBB_SLOT_RETIRING && is_recycle_code(&slot->pool->config, slot->end.code);
}

void worker__exited(struct keeper *keeper, struct slot *slot) {
  uint64_t now_ns = clock__monotonic_ns();
  slot->end = (struct audit_end){.code = -1, .signal = -1};
  if (slot->ours && pidfd__wait(slot->pidfd, true, &slot->end.code, &slot->end.signal) == 0)
    return; /* not ended after all */
  exits__leave(keeper, slot->pidfd);
  slot->followed = false;
  slot->retired = slot->state == EBB_SLOT_DUE || slot->state == EBB_SLOT_RETIRING;
  count_piece(slot);
  struct audit_worker worker = worker__name(slot);
  audit__write(&keeper->audit, &(struct audit_record){.event = AUDIT_EXITED,
                                                      .worker = &worker,
                                                      .reason = slot->retired ? reason__name(slot->reason) : NULL,
                                                      .end = &slot->end});
  FAULT(LEADER_GONE);
  worker__step(slot, SLOT_LEADER_EXITED, now_ns);
  slot->try_ns = now_ns;
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

/* What its bound has kept it from doing, which its own log may not tell. */
static void report_pids(struct keeper *keeper, const struct slot *slot, const char *name) {
  _cleanup_fd_ int leaf = slot->pool->config.pids == CONFIG_PIDS_OFF ? -1 : cgroup__find(keeper->cgroup_dirfd, name);
  uint64_t refused = cgroup__refused_pids(leaf);
  if (!refused)
    return;
  char text[96];
  (void)snprintf(text, sizeof(text), "%llu of its forks were refused: it had its %u processes and threads",
                 (unsigned long long)refused, slot->pool->config.pids);
  const struct audit_worker worker = worker__name(slot);
  audit__write(&keeper->audit,
               &(struct audit_record){.event = AUDIT_WARNING, .worker = &worker, .reason = "pids", .text = text});
}

static void drop_places(struct keeper *keeper, struct slot *slot) {
  char name[LEASE_NAME_BYTES];
  worker__lease_name(slot, name);
  report_pids(keeper, slot, name);
  /* One that somebody was left alone in, or that the kernel was not done with, is removed when another worker goes. */
  keeper->cgroup_left |= cgroup__remove(keeper->cgroup_dirfd, name) == -EBUSY;
  if (keeper->cgroup_left)
    (void)cgroup__sweep(keeper->cgroup_dirfd);
  if (slot->adopted && slot->lease_fd >= 0) /* its starter may use the file for the next one */
    (void)lease__order(slot->lease_fd, EBB_ORDER_RUN);
  (void)unlinkat(keeper->lease_dirfd, name, 0);
  if (slot->lease_fd >= 0)
    (void)close(slot->lease_fd);
  slot->lease_fd = -1;
  slot->leased = slot->awaited = slot->holds = slot->told_once = slot->adopted = false;
  slot->trimmed_ns = slot->trim_end_ns = 0;
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
      .was_serving = slot->was_serving || is_unknown(slot),
      .recycled_code = is_recycle_code(config, slot->end.code) || is_unknown(slot),
      .piece = is_piece(slot),
      .lived_ns = now_ns - slot->born_ns,
      .ready_timeout_ns = config->ready_timeout_ns,
  };
  if (slot->retired)
    slot->pool->retired++;
  reap(slot);
  FAULT(REAPED);
  drop_places(keeper, slot);
  FAULT(LEASE_GONE);
  worker__step(slot, SLOT_GONE, now_ns);
  slot->reason = REASON_NONE;
  bool young = slot__died_young(&end);
  if (!young)
    slot->failures = 0;
  if (!young || !worker__wanted(keeper, slot) || !slot->pool->argv[0])
    return;
  char text[64];
  describe(&slot->end, text, sizeof(text));
  worker__back_off(keeper, slot, SLOT_DIED_YOUNG, text, now_ns);
}

static bool is_rest(const struct slot *slot, const struct family_member *member) {
  return !member->zombie && member->pid != slot->pid && !children__known(member->pid);
}

static bool is_among(const struct family_member *members, int n, pid_t pid) {
  for (int i = 0; i < n; i++)
    if (members[i].pid == pid)
      return true;
  return false;
}

/* Those that the process tree does not show, because they have left it, or came while it was looked at. */
static void add_from_leaf(struct rest *rest) {
  pid_t pids[REST_MAX];
  int n = rest->in_leaf ? cgroup__members(rest->leaf, pids, REST_MAX) : 0;
  for (int i = 0; i < n && rest->n < REST_MAX; i++)
    if (!is_among(rest->members, rest->n, pids[i]))
      rest->members[rest->n++] = (struct family_member){.pid = pids[i], .start_time = BY_LEAF};
}

/* Members other than the leader that still run. rest->n: how many, or a negative errno: cannot be told. When the leader
 * ended while there was no ebbd, its number may have been given to others since, as that of a process, group or session. */
static void find_rest(const struct slot *slot, struct rest *rest) {
  char lease[LEASE_PATH_BYTES];
  worker__lease_path(slot, lease);
  bool seen = slot->pidfd >= 0;
  const struct family_root root = {.pid = seen ? slot->pid : 0, .lease = lease, .start_time = slot->start_time};
  bool orphans = !slot->ours || children__reap_orphans() != 0;
  int n = orphans ? family__scan(&root, 1, rest->members, REST_MAX) : 0;
  rest->n = n < 0 ? n : 0;
  for (int i = 0; i < n; i++)
    if (is_rest(slot, &rest->members[i]))
      rest->members[rest->n++] = rest->members[i];
  if (n >= 0)
    add_from_leaf(rest);
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
  char number[16] = "", text[96];
  if (n > 0) /* further down in its leaf they are not counted */
    (void)snprintf(number, sizeof(number), "%d ", n);
  (void)snprintf(text, sizeof(text), "it left %sprocesses behind, which never used its lease: left alone", number);
  struct audit_worker worker = worker__name(slot);
  audit__write(&keeper->audit,
               &(struct audit_record){.event = AUDIT_WARNING, .worker = &worker, .reason = "unleased", .text = text});
  log__warning("%s/%u: %s", slot->pool->config.name, slot->number, text);
}

static void record_signal(struct keeper *keeper, const struct slot *slot, pid_t pid, int signal, const char *text) {
  struct audit_worker worker = worker__name(slot);
  worker.pid = pid;
  audit__write(&keeper->audit,
               &(struct audit_record){.event = AUDIT_SIGNALLED, .worker = &worker, .signal = signal, .text = text});
}

static void tell_each(struct keeper *keeper, const struct slot *slot, const struct rest *rest, int signal) {
  for (int i = 0; i < rest->n; i++) {
    const struct family_member *member = &rest->members[i];
    bool by_leaf = member->start_time == BY_LEAF;
    if (!(by_leaf ? cgroup__signal(rest->leaf, member->pid, signal) : family__signal(member, signal)))
      record_signal(keeper, slot, member->pid, signal, "left behind");
  }
}

/* We hold the lease, so nobody of them is at a job. First politely; after grace all at once where there is a cgroup, else
 * one by one, and soon again when there are more than were seen. */
static void tell_rest(struct keeper *keeper, struct slot *slot, const struct rest *rest, uint64_t now_ns) {
  uint64_t grace_ns = slot->pool->config.grace_ns;
  if (!slot->rest_told) {
    slot->rest_told = true;
    slot->kill_ns = now_ns + grace_ns;
    tell_each(keeper, slot, rest, slot->pool->config.retire_signal);
  } else if (now_ns < slot->kill_ns) {
    return;
  } else if (rest->in_leaf && !cgroup__kill(rest->leaf)) {
    slot->kill_ns = now_ns + grace_ns + NS_PER_SEC;
    record_signal(keeper, slot, slot->pid, SIGKILL, "left behind: all in its cgroup");
  } else {
    slot->kill_ns = now_ns + (rest->n == REST_MAX ? LEAVING_POLL_NS : grace_ns + NS_PER_SEC);
    tell_each(keeper, slot, rest, SIGKILL);
  }
  slot->n_told = rest->n < TOLD_MAX ? rest->n : TOLD_MAX;
  memcpy(slot->told, rest->members, (size_t)slot->n_told * sizeof(rest->members[0]));
}

/* All of /proc may have been read: not more than a tenth of the time is to be spent on that. The clock also ran while
 * others had the CPU, so that says little where it says much. */
static uint64_t pause_ns(uint64_t begun_ns) {
  uint64_t wait_ns = 10 * (clock__monotonic_ns() - begun_ns);
  if (wait_ns < LEAVING_POLL_NS)
    wait_ns = LEAVING_POLL_NS;
  return wait_ns < LEAVING_POLL_MOST_NS ? wait_ns : LEAVING_POLL_MOST_NS;
}

static void look_and_tell(struct keeper *keeper, struct slot *slot, struct rest *rest, uint64_t now_ns) {
  uint64_t begun_ns = clock__monotonic_ns();
  find_rest(slot, rest);
  if ((rest->n > 0 || (rest->n == 0 && rest->in_leaf)) && !slot->leased) {
    if (!slot->holds && lease__try_lock(slot->lease_fd) == -EWOULDBLOCK) {
      slot->try_ns = now_ns + FENCE_RETRY_NS; /* it did, while there was no ebbd: one of them works on a job */
      return;
    }
    leave_alone(keeper, slot, rest->n);
    rest->n = 0;
    rest->in_leaf = false;
  }
  if (rest->n == 0 && !rest->in_leaf && !are_going(slot)) {
    slot->n_told = 0;
    finish(keeper, slot, now_ns);
    return;
  }
  slot->try_ns = now_ns + pause_ns(begun_ns);
  if (rest->n < 0 || !slot->leased)
    return;
  if (!slot->holds && lease__try_lock(slot->lease_fd)) {
    slot->try_ns = now_ns + FENCE_RETRY_NS; /* a helper works on a job */
    return;
  }
  slot->holds = true;
  tell_rest(keeper, slot, rest, now_ns);
  FAULT(REST_TOLD);
}

void worker__leave(struct keeper *keeper, struct slot *slot, uint64_t now_ns) {
  char name[LEASE_NAME_BYTES];
  if (slot->adopted) {
    finish(keeper, slot, now_ns);
    return;
  }
  worker__lease_name(slot, name);
  _cleanup_fd_ int leaf = cgroup__find(keeper->cgroup_dirfd, name);
  struct rest rest = {.leaf = leaf, .in_leaf = cgroup__populated(leaf) == 1};
  if (rest.in_leaf && slot->rest_told && now_ns < slot->kill_ns)
    slot->try_ns = now_ns + LEAVING_POLL_NS; /* somebody is still there, and has time */
  else
    look_and_tell(keeper, slot, &rest, now_ns);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "act.h"
#include "board.h"
#include "cgroup.h"
#include "children.h"
#include "clock.h"
#include "confine.h"
#include "control.h"
#include "exits.h"
#include "fault.h"
#include "gate.h"
#include "handover.h"
#include "hold.h"
#include "log.h"
#include "pending.h"
#include "procstat.h"
#include "publish.h"
#include "reload.h"
#include "roll.h"
#include "roster.h"
#include "rundir.h"
#include "selfprotect.h"
#include "spare.h"
#include "stop.h"
#include "succession.h"
#include "summon.h"
#include "watchdog.h"
#include "worker.h"

#define OOM_SCORE_ADJ (-900)

static uint64_t earlier(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

static uint64_t next_deadline(struct keeper *keeper) {
  uint64_t first = gate__deadline(keeper);
  if (keeper->stop == STOP_WAITING)
    first = earlier(first, keeper->stop_ns);
  first = earlier(first, earlier(watchdog__deadline(keeper), pending__deadline(keeper)));
  for_each_slot(slot, keeper) first = earlier(first, worker__deadline(keeper, slot));
  for_each_pool(pool, keeper) first = earlier(first, hold__deadline(pool));
  return first;
}

static void rearm(struct keeper *keeper) {
  uint64_t deadline_ns = next_deadline(keeper);
  if (deadline_ns == UINT64_MAX) {
    (void)sd_event_source_set_enabled(keeper->timer, SD_EVENT_OFF);
    return;
  }
  (void)sd_event_source_set_time(keeper->timer, deadline_ns / NS_PER_US + 1);
  (void)sd_event_source_set_enabled(keeper->timer, SD_EVENT_ONESHOT);
}

static void slots_turn(struct keeper *keeper, uint64_t now_ns) {
  for_each_slot(slot, keeper) {
    /* A slot that has just become empty is filled in the same turn. */
    if (worker__turn(keeper, slot, now_ns) && slot->state == EBB_SLOT_EMPTY)
      (void)worker__turn(keeper, slot, now_ns);
  }
}

/* One turn: do what is to be done now, say so on the board, sleep until something happens. */
static void turn(struct keeper *keeper) {
  uint64_t now_ns = clock__monotonic_ns();
  hold__turn(keeper, now_ns);
  watchdog__turn(keeper, now_ns);
  gate__turn(keeper, now_ns);
  pending__choose(keeper, now_ns);
  slots_turn(keeper, now_ns);
  if (roster__tidy(keeper) && reload__place(keeper, now_ns))
    slots_turn(keeper, now_ns);
  if (succession__turn(keeper, now_ns))
    slots_turn(keeper, now_ns);
  spare__turn(keeper, now_ns);
  if (roll__turn(keeper, now_ns)) {
    slots_turn(keeper, now_ns);
    spare__turn(keeper, now_ns);
  }
  publish__all(keeper); /* who is told that something is done finds it so on the board */
  pending__turn(keeper, now_ns);
  if (keeper->stop == STOP_WAITING && roster__nobody_left(keeper))
    keeper->stop = STOP_DONE;
  else if (keeper->stop == STOP_WAITING && now_ns >= keeper->stop_ns)
    stop__ask(keeper, now_ns);
  board__of(&keeper->board)->ebbd.wake_ups = ++keeper->wake_ups;
  if (publish__turn(keeper))
    watchdog__ring(keeper);
  if (keeper->stop == STOP_DONE)
    (void)sd_event_exit(keeper->event, 0);
  else
    rearm(keeper);
}

static int on_turn(sd_event_source *source, void *arg) {
  (void)source;
  turn(arg);
  return 0;
}

static int on_time(sd_event_source *source, uint64_t usec, void *arg) {
  (void)source, (void)usec, (void)arg; /* the turn follows */
  return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *arg) {
  (void)source;
  struct keeper *keeper = arg;
  uint64_t now_ns = clock__monotonic_ns();
  const char *refusal = NULL;
  switch (info->ssi_signo) {
  case SIGCHLD:
    (void)children__reap_orphans();
    break;
  case SIGHUP:
    refusal = act__do(keeper, &(struct command){.verb = COMMAND_RELOAD, .slot = -1, .by = "signal"}, now_ns);
    if (refusal)
      audit__write(&keeper->audit,
                   &(struct audit_record){.event = AUDIT_REFUSED, .reason = refusal, .by = "signal", .text = "reload"});
    break;
  default:
    (void)sd_notify(0, "STOPPING=1\nSTATUS=waiting for busy workers");
    stop__ask(keeper, now_ns);
  }
  return 0;
}

static int listen_to_signals(struct keeper *keeper) {
  static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
  for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
    int error = sd_event_add_signal(keeper->event, NULL, signals[i] | SD_EVENT_SIGNAL_PROCMASK, on_signal, keeper);
    if (error < 0)
      return error;
  }
  (void)signal(SIGPIPE, SIG_IGN);
  return 0;
}

static int make_loop(struct keeper *keeper) {
  sd_event_source *turns = NULL;
  int error = sd_event_default(&keeper->event);
  if (error >= 0)
    error = listen_to_signals(keeper);
  if (error >= 0)
    error = sd_event_add_time(keeper->event, &keeper->timer, CLOCK_MONOTONIC, 0, 1, on_time, keeper);
  if (error >= 0)
    error = sd_event_add_post(keeper->event, &turns, on_turn, keeper);
  if (error >= 0)
    error = exits__open(keeper);
  if (error >= 0)
    error = sd_event_set_watchdog(keeper->event, true);
  return error < 0 ? error : 0;
}

static int find_group(struct keeper *keeper) {
  const char *name = keeper->config.control_group;
  keeper->gid = getegid();
  if (!name[0])
    return 0;
  const struct group *group = getgrnam(name);
  if (!group) {
    log__error("control_group: there is no group '%s'", name);
    return -ESRCH;
  }
  keeper->gid = group->gr_gid;
  return 0;
}

/* The first thread of an ebbd is its loop: without that it is no more, whatever another thread is still waiting for. */
static bool is_running(pid_t pid) {
  struct procstat status;
  return pid <= 0 ||
         (procstat__read(pid, &status) == 0 && status.state != 'Z' && status.state != 'X' && !status.exiting);
}

/* A worker that an ebbd was about to start when it was killed has that one's files until it comes to exec: also the lock. So
 * has its thread, until it comes back from what it was reading (see gate.h). */
static int lock_run_dir(struct keeper *keeper, pid_t *ret_holder) {
  const struct timespec moment = {.tv_nsec = 5 * (long)NS_PER_MS};
  uint64_t until_ns = clock__monotonic_ns() + (SPAWN_TIMEOUT_S + 1) * NS_PER_SEC;
  for (;;) {
    int fd = rundir__lock(keeper->run_dirfd, ret_holder);
    if (fd != -EBUSY || is_running(*ret_holder) || clock__monotonic_ns() > until_ns)
      return fd;
    (void)nanosleep(&moment, NULL);
  }
}

static int take_run_dir(struct keeper *keeper) {
  const char *path = rundir__path(keeper->options->run_dir);
  keeper->run_dirfd = rundir__make(path);
  if (keeper->run_dirfd < 0) {
    log__error("run directory %s: %s", path, strerror(-keeper->run_dirfd));
    return keeper->run_dirfd;
  }
  pid_t holder;
  keeper->lock_fd = lock_run_dir(keeper, &holder);
  if (keeper->lock_fd == -EBUSY)
    log__error("run directory %s: ebbd is running already (pid %d)", path, holder);
  else if (keeper->lock_fd < 0)
    log__error("run directory %s: lock: %s", path, strerror(-keeper->lock_fd));
  if (keeper->lock_fd < 0)
    return keeper->lock_fd;
  FAULT(LOCK_TAKEN);
  if (!realpath(path, keeper->run_path))
    return -errno;
  keeper->lease_dirfd = openat(keeper->run_dirfd, "lease", O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  return keeper->lease_dirfd < 0 ? -errno : 0;
}

/* What helps against the shortage that we fight; each may be refused to an ordinary user. */
static void protect(struct keeper *keeper) {
  (void)selfprotect__open_files(&keeper->open_files);
  (void)selfprotect__lock_memory();
  selfprotect__touch_stack();
  (void)selfprotect__oom_score_adj(OOM_SCORE_ADJ);
  int error = selfprotect__subreaper();
  if (error)
    log__warning("cannot become a subreaper, ignoring: %s", strerror(-error));
}

/* The filter is first: without no_new_privs it takes CAP_SYS_ADMIN. */
static void confine(void) {
  struct confinement before; /* the unit has a filter of its own, and leaves no CAP_SYS_ADMIN for ours */
  bool filtered = !confine__read(getpid(), &before) && before.filtered;
  int error = confine__ebbd_calls();
  if (error && !filtered && geteuid() == 0)
    log__warning("cannot filter system calls, ignoring: %s", strerror(-error));
  error = confine__ebbd_capabilities();
  if (error)
    log__warning("cannot drop capabilities, ignoring: %s", strerror(-error));
}

static void take_cgroup(struct keeper *keeper) {
  int fd = cgroup__open(keeper->run_dirfd);
  if (fd < 0)
    log__debug("no cgroup for each worker (%s): they are known by their process trees", strerror(-fd));
  keeper->cgroup_dirfd = fd < 0 ? -1 : fd;
}

static int assemble(struct keeper *keeper) {
  int error = find_group(keeper);
  if (!error)
    error = take_run_dir(keeper);
  if (error)
    return error;
  protect(keeper);
  take_cgroup(keeper);
  error = audit__open(&keeper->audit, keeper->run_dirfd, keeper->gid);
  if (!error)
    error = make_loop(keeper);
  if (!error)
    error = handover__run(keeper);
  if (!error)
    error = control__open(keeper);
  if (error) {
    log__error("cannot start: %s", strerror(-error));
    return error;
  }
  if (watchdog__init(keeper) && !keeper->options->no_watch)
    log__warning("ebb-watch is not to be found: pools are kept, memory is not watched");
  confine();
  error = gate__open(keeper); /* its thread is confined as we are */
  if (error)
    log__error("cannot start a thread: %s", strerror(-error));
  return error;
}

static void take_apart(struct keeper *keeper) {
  control__close(keeper);
  watchdog__done(keeper);
  for_each_slot(slot, keeper) summon__forget(slot);
  sd_event_source_unref(keeper->timer);
  sd_event_unref(keeper->event);
  exits__close(keeper);
  seqfile__close(&keeper->board);
  audit__close(&keeper->audit);
  cgroup__close(keeper->cgroup_dirfd, keeper->run_dirfd);
  (void)close(keeper->lease_dirfd);
  (void)close(keeper->lock_fd);
  (void)close(keeper->run_dirfd);
}

int keeper__run(struct keeper *keeper, const struct options *options, const struct config *config) {
  /* The caller's keeper is all zero; a literal of its size would not do the stack good. */
  keeper->options = options;
  keeper->run_dirfd = keeper->lease_dirfd = keeper->lock_fd = keeper->control_fd = keeper->cgroup_dirfd =
      keeper->exits_fd = -1;
  keeper->started_ns = clock__monotonic_ns();
  keeper->config = *config;
  int error = assemble(keeper);
  if (error)
    return error;
  audit__write(&keeper->audit, &(struct audit_record){.event = AUDIT_START, .text = "ebbd " EBB_VERSION});
  turn(keeper);
  (void)sd_notify(0, "READY=1");
  error = sd_event_loop(keeper->event);
  pending__turn(keeper, clock__monotonic_ns());
  FAULT(STOPPED);
  audit__write(&keeper->audit, &(struct audit_record){.event = AUDIT_STOP, .text = "ended"});
  pending__end(keeper);
  (void)publish__turn(keeper);
  take_apart(keeper);
  return error;
}

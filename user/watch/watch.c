/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "confine.h"
#include "log.h"
#include "pindir.h"
#include "rundir.h"
#include "selfprotect.h"

#define OOM_SCORE_ADJ (-900)

static void on_pressure_gone(struct watch *watch) {
  watch->psi_source = sd_event_source_unref(watch->psi_source);
  psi_trigger__close(&watch->trigger);
}

/* How closely the sensor looks follows from what was seen. */
static void look_closely(struct watch *watch, uint64_t now_ns) {
  const struct level_input in = {
      .host = &watch->host,
      .pool_rules = watch->rules,
      .workers = watch->workers,
      .n_workers = watch->n_workers,
      .live = trace__is_live(watch->live_fd),
      .now_ns = now_ns,
  };
  watch->sensor->ops->set_level(watch->sensor, level__decide(&watch->level, &in));
  watch->host.probe_level = watch->sensor->ops->level(watch->sensor);
}

static int on_pressure(sd_event_source *source, int fd, uint32_t revents, void *arg) {
  (void)source, (void)fd;
  struct watch *watch = arg;
  if (revents & EPOLLERR) {
    log__warning("%s is gone: looking for it again", watch->view.ebbd.pressure_source);
    on_pressure_gone(watch);
    return 0;
  }
  uint64_t now_ns = clock__monotonic_ns();
  gather__host(watch, now_ns);
  if (watch->host.stall_some_us == EBB_UNKNOWN || !psi_trigger__believe(&watch->trigger, watch->host.stall_some_us))
    return 0;
  gather__workers(watch, now_ns);
  look_closely(watch, now_ns);
  judge__turn(watch, now_ns);
  return 0;
}

static void listen_to_pressure(struct watch *watch) {
  if (watch->psi_source || psi_trigger__open(&watch->trigger, watch->view.ebbd.pressure_source))
    return;
  if (sd_event_add_io(watch->event, &watch->psi_source, watch->trigger.fd, EPOLLPRI, on_pressure, watch) < 0)
    psi_trigger__close(&watch->trigger);
}

static int on_sensor(sd_event_source *source, int fd, uint32_t revents, void *arg) {
  (void)source, (void)fd, (void)revents;
  struct watch *watch = arg;
  watch->wake_ups++;
  uint64_t now_ns = clock__monotonic_ns();
  if (events__take(watch, now_ns))
    judge__turn(watch, now_ns);
  return 0;
}

/* Who is not on the board any more is not followed either, and what it still had to say would be lost. While nobody listens
 * to the sensor yet, the ring holds what was said before its workers are followed. */
static void take_last_words(struct watch *watch, uint64_t now_ns) {
  if (watch->sensor_source)
    (void)events__take(watch, now_ns);
}

static int on_bell(sd_event_source *source, int fd, uint32_t revents, void *arg) {
  (void)source, (void)revents;
  struct watch *watch = arg;
  uint64_t count;
  (void)!read(fd, &count, sizeof(count));
  watch->wake_ups++;
  uint64_t now_ns = clock__monotonic_ns();
  take_last_words(watch, now_ns);
  if (gather__board(watch, now_ns))
    return 0;
  gather__workers(watch, now_ns);
  look_closely(watch, now_ns);
  (void)events__take(watch, now_ns); /* ends of jobs before the sensor knew that somebody waits for them */
  judge__turn(watch, now_ns);
  return 0;
}

/* Only once the workers are followed: what an earlier watch left in the ring belongs to them. */
static void listen_to_sensor(struct watch *watch) {
  int fd = watch->sensor->ops->fd(watch->sensor);
  if (!watch->sensor_source && fd >= 0)
    (void)sd_event_add_io(watch->event, &watch->sensor_source, fd, EPOLLIN, on_sensor, watch);
}

static void tick(struct watch *watch, uint64_t now_ns) {
  take_last_words(watch, now_ns);
  if (gather__board(watch, now_ns))
    return;
  (void)watch->sensor->ops->sweep(watch->sensor);
  (void)events__take(watch, now_ns);
  gather__host(watch, now_ns);
  gather__workers(watch, now_ns);
  look_closely(watch, now_ns);
  listen_to_sensor(watch);
  listen_to_pressure(watch);
  judge__turn(watch, now_ns);
  act__effects(watch, now_ns);
  record__all(watch, now_ns);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *arg) {
  (void)usec;
  struct watch *watch = arg;
  uint64_t now_ns = clock__monotonic_ns();
  watch->wake_ups++;
  tick(watch, now_ns);
  (void)sd_event_source_set_time(source, (now_ns + turn__wait_ns(&watch->host)) / NS_PER_US);
  return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_end(sd_event_source *source, const struct signalfd_siginfo *info, void *arg) {
  (void)info, (void)arg;
  return sd_event_exit(sd_event_source_get_event(source), 0);
}

/* ebbd asks for this at the start, too, but the kernel forgets it where a program gains capabilities by exec. An ebbd that
 * ended before that is no longer our parent. */
static int die_with_ebbd(const struct watch *watch) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL))
    return -errno;
  return getppid() == watch->board.head->writer_pid ? 0 : -ESRCH;
}

/* ebbd's bell; without it (started by hand) the tick looks at the board. */
static int listen_to_bell(struct watch *watch) {
  char name[64], path[32];
  (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", BELL_FD);
  ssize_t n = readlink(path, name, sizeof(name) - 1);
  if (n < 0)
    return 0;
  name[n] = 0;
  if (!strstr(name, "eventfd"))
    return 0;
  (void)fcntl(BELL_FD, F_SETFD, FD_CLOEXEC);
  int error = die_with_ebbd(watch);
  if (error)
    return error;
  return sd_event_add_io(watch->event, NULL, BELL_FD, EPOLLIN, on_bell, watch);
}

static int make_loop(struct watch *watch) {
  (void)signal(SIGPIPE, SIG_IGN); /* ebbd may end while we write into its FIFO */
  int error = sd_event_default(&watch->event);
  if (error >= 0)
    error = sd_event_add_signal(watch->event, NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK, on_end, NULL);
  if (error >= 0)
    error = sd_event_add_signal(watch->event, NULL, SIGINT | SD_EVENT_SIGNAL_PROCMASK, on_end, NULL);
  if (error >= 0)
    error = sd_event_add_time(watch->event, &watch->timer, CLOCK_MONOTONIC, 0, 1, on_tick, watch);
  if (error >= 0)
    error = listen_to_bell(watch);
  return error < 0 ? error : 0;
}

static int open_files(struct watch *watch) {
  struct stat status;
  bool kept;
  const char *path = rundir__path(watch->options->run_dir);
  watch->run_dirfd = rundir__open(path);
  int error = watch->run_dirfd < 0 ? watch->run_dirfd : 0;
  if (!error && !realpath(path, watch->run_path))
    error = -errno;
  if (!error)
    error = board__open(&watch->board, watch->run_dirfd);
  if (!error && fstatat(watch->run_dirfd, BOARD_NAME, &status, AT_SYMLINK_NOFOLLOW))
    error = -errno;
  if (!error)
    error = trace__create(&watch->trace, watch->run_dirfd, status.st_gid, &kept);
  if (!error)
    watch->live_fd = trace__open_live(watch->run_dirfd);
  if (error == -EPROTONOSUPPORT)
    log__error("%s: the board is of another version of ebb: waiting for its ebbd to be replaced", path);
  else if (error)
    log__error("%s: %s", path, strerror(-error));
  return error;
}

static void open_recorder(struct watch *watch) {
  const struct options *options = watch->options;
  int error = options->record ? recorder__open(&watch->recorder, options->record, options->record_bytes) : 0;
  if (error)
    log__warning("%s: nothing is recorded: %s", options->record, strerror(-error));
}

static int open_sensor(struct watch *watch) {
  char why[256] = "", pins[PINDIR_PATH_BYTES];
  bool kept = !pindir__make(watch->run_dirfd, sensor__version(), pins);
  int error = sensor__open_kept(watch->options->sensor, watch->options->verbose, kept ? pins : NULL, &watch->sensor,
                                why, sizeof(why));
  pindir__remove(watch->run_dirfd, !error && !strcmp(watch->sensor->ops->name, "bpf") ? sensor__version() : 0);
  if (error) {
    log__error("no sensor: %s", why[0] ? why : strerror(-error));
    return error;
  }
  if (why[0])
    log__warning("%s", why);
  return 0;
}

static void say_what_it_sees(struct watch *watch) {
  static const char *const tiers[] = {
#define X(id, name) name,
      EBB_TIERS(X)
#undef X
  };
  char text[64];
  enum ebb_tier tier = watch->sensor->ops->tier(watch->sensor);
  (void)snprintf(text, sizeof(text), "sensor:%s,tier:%s", watch->sensor->ops->name, tiers[tier]);
  act__note(watch, "watch", NULL, -1, 0, NULL, EBB_UNKNOWN, text);
}

static void protect(void) {
  unsigned long before;
  (void)selfprotect__open_files(&before);
  (void)selfprotect__lock_memory();
  selfprotect__touch_stack();
  (void)selfprotect__oom_score_adj(OOM_SCORE_ADJ);
  (void)selfprotect__run_soon();
}

/* All that takes more is open by now. Capabilities go first: without them no filter can be had unless by no_new_privs. */
static void confine(void) {
  int error = confine__watch_capabilities();
  if (error)
    log__warning("cannot drop capabilities, ignoring: %s", strerror(-error));
  error = confine__watch_calls();
  if (error)
    log__warning("cannot filter system calls, ignoring: %s", strerror(-error));
}

int watch__run(struct watch *watch, const struct options *options) {
  watch->options = options;
  watch->recorder.fd = -1;
  watch->run_dirfd = watch->fifo_fd = watch->live_fd = watch->trigger.fd = -1;
  for (uint32_t i = 0; i < EBB_SLOTS_MAX; i++)
    watch->follows[i].lease_fd = -1;
  pressure__init(&watch->pressure);
  contribution__init(&watch->contribution, (uint32_t)sysconf(_SC_PAGESIZE));
  int error = open_files(watch);
  if (!error)
    error = open_sensor(watch);
  if (!error)
    error = make_loop(watch);
  if (error)
    return error;
  open_recorder(watch);
  protect();
  confine();
  (void)memcg__find(&watch->memcg); /* without one, the host's memory is ours */
  jobs__restore(watch);
  say_what_it_sees(watch);
  error = sd_event_loop(watch->event);
  watch->sensor->ops->close(watch->sensor);
  recorder__close(&watch->recorder);
  seqfile__close(&watch->trace);
  seqfile__close(&watch->board);
  return error;
}

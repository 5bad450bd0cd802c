/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "watchdog.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "children.h"
#include "clock.h"
#include "exits.h"
#include "log.h"
#include "pidfd.h"
#include "pindir.h"

#define RESTART_FIRST_NS (100 * NS_PER_MS)
#define RESTART_MOST_NS (10 * NS_PER_SEC)
#define STEADY_NS (30 * NS_PER_SEC) /* having run that long, it is not in a crash loop */
#define END_TIMEOUT_MS 2000

static bool runnable(char *to, size_t size, const char *directory, const char *name) {
  int n = snprintf(to, size, "%s/%s", directory, name);
  return n > 0 && (size_t)n < size && access(to, X_OK) == 0;
}

int watchdog__init(struct keeper *keeper) {
  struct watchdog *watchdog = &keeper->watchdog;
  *watchdog = (struct watchdog){.pidfd = -1, .bell_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  if (watchdog->bell_fd < 0)
    return -errno;
  const char *given = secure_getenv("EBB_WATCH");
  if (given) {
    (void)snprintf(watchdog->path, sizeof(watchdog->path), "%s", given);
    return access(given, X_OK) ? -errno : 0;
  }
  char self[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
  if (n <= 0)
    return -ENOENT;
  self[n] = 0;
  *strrchr(self, '/') = 0;
  if (runnable(watchdog->path, sizeof(watchdog->path), self, "ebb-watch") ||
      runnable(watchdog->path, sizeof(watchdog->path), self, "../libexec/ebb/ebb-watch"))
    return 0;
  watchdog->path[0] = 0;
  return -ENOENT;
}

static void record(struct keeper *keeper, const char *text, const struct audit_end *end) {
  audit__write(&keeper->audit, &(struct audit_record){.event = AUDIT_WATCH, .text = text, .end = end});
}

void watchdog__exited(struct keeper *keeper) {
  struct watchdog *watchdog = &keeper->watchdog;
  struct audit_end end = {-1, -1};
  if (pidfd__wait(watchdog->pidfd, false, &end.code, &end.signal) == 0)
    return;
  uint64_t now_ns = clock__monotonic_ns();
  exits__leave(keeper, watchdog->pidfd);
  children__forget(watchdog->pid);
  (void)close(watchdog->pidfd);
  watchdog->pidfd = -1;
  watchdog->pid = 0;
  if (now_ns - watchdog->started_ns >= STEADY_NS)
    watchdog->failures = 0;
  uint64_t wait_ns = RESTART_FIRST_NS << (watchdog->failures < 7 ? watchdog->failures : 7);
  watchdog->failures++;
  watchdog->retry_ns = now_ns + (wait_ns < RESTART_MOST_NS ? wait_ns : RESTART_MOST_NS);
  record(keeper, "ebb-watch has ended", &end);
  log__warning("ebb-watch has ended; it is started again");
}

static void start(struct keeper *keeper, uint64_t now_ns) {
  struct watchdog *watchdog = &keeper->watchdog;
  const char *argv[] = {watchdog->path, "--run-dir", keeper->run_path, keeper->options->verbose ? "--verbose" : NULL,
                        NULL};
  const struct identity self = {0};
  const struct spawn spawn = {
      .argv = argv,
      .envp = (const char *const *)environ,
      .identity = &self,
      .oom_score_adj = INT_MIN,
      .new_group = true, /* a Ctrl-C at ebbd's terminal is for ebbd */
      .die_with_parent = true,
      .keep_fd = watchdog->bell_fd,
  };
  struct spawn_error error;
  if (spawn__run(&spawn, &watchdog->pid, &watchdog->pidfd, &error)) {
    if (watchdog->failures++ == 0)
      log__error("cannot start %s: %s: %s", watchdog->path, error.step, strerror(error.error));
    watchdog->pid = 0;
    watchdog->pidfd = -1;
    watchdog->retry_ns = now_ns + RESTART_MOST_NS;
    return;
  }
  children__know(watchdog->pid);
  watchdog->starts++;
  watchdog->started_ns = now_ns;
  (void)exits__follow(keeper, watchdog->pidfd, EXITS_WATCHDOG);
  record(keeper, "ebb-watch was started", NULL);
}

static bool wanted(const struct keeper *keeper) {
  return !keeper->options->no_watch && keeper->watchdog.path[0] && keeper->watchdog.pid == 0;
}

void watchdog__turn(struct keeper *keeper, uint64_t now_ns) {
  if (wanted(keeper) && now_ns >= keeper->watchdog.retry_ns)
    start(keeper, now_ns);
}

uint64_t watchdog__deadline(const struct keeper *keeper) {
  return wanted(keeper) ? keeper->watchdog.retry_ns : UINT64_MAX;
}

void watchdog__ring(struct keeper *keeper) {
  const uint64_t one = 1;
  if (keeper->watchdog.bell_fd >= 0)
    (void)!write(keeper->watchdog.bell_fd, &one, sizeof(one));
}

void watchdog__done(struct keeper *keeper) {
  struct watchdog *watchdog = &keeper->watchdog;
  int code, signal;
  if (watchdog->pidfd >= 0) {
    struct pollfd ended = {.fd = watchdog->pidfd, .events = POLLIN};
    (void)pidfd__signal(watchdog->pidfd, SIGTERM);
    if (poll(&ended, 1, END_TIMEOUT_MS) == 0)
      (void)pidfd__signal(watchdog->pidfd, SIGKILL);
    (void)poll(&ended, 1, END_TIMEOUT_MS);
    (void)pidfd__wait(watchdog->pidfd, false, &code, &signal);
    (void)close(watchdog->pidfd);
  }
  pindir__remove(keeper->run_dirfd, 0); /* for the next watch of this ebbd, not for that of another one */
  if (watchdog->bell_fd >= 0)
    (void)close(watchdog->bell_fd);
  watchdog->bell_fd = watchdog->pidfd = -1;
  watchdog->pid = 0;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "exits.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "summon.h"
#include "watchdog.h"
#include "worker.h"

/* At one turn; the rest is told at the next. */
#define AT_ONCE 64

static int on_exits(sd_event_source *source, int fd, uint32_t revents, void *arg) {
  (void)source, (void)revents;
  struct keeper *keeper = arg;
  struct epoll_event ended[AT_ONCE];
  int n = epoll_wait(fd, ended, AT_ONCE, 0);
  for (int i = 0; i < n; i++) {
    uint32_t index = ended[i].data.u32;
    if (index == EXITS_WATCHDOG)
      watchdog__exited(keeper);
    else if (index & EXITS_SUMMON)
      summon__exited(keeper, &keeper->slots[index & ~EXITS_SUMMON]);
    else
      worker__exited(keeper, &keeper->slots[index]);
  }
  return 0;
}

int exits__open(struct keeper *keeper) {
  sd_event_source *source;
  keeper->exits_fd = epoll_create1(EPOLL_CLOEXEC);
  if (keeper->exits_fd < 0)
    return -errno;
  int error = sd_event_add_io(keeper->event, &source, keeper->exits_fd, EPOLLIN, on_exits, keeper);
  if (error < 0)
    return error;
  error = sd_event_source_set_floating(source, true);
  return error < 0 ? error : sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IMPORTANT);
}

void exits__close(struct keeper *keeper) {
  if (keeper->exits_fd >= 0)
    (void)close(keeper->exits_fd);
  keeper->exits_fd = -1;
}

int exits__follow(const struct keeper *keeper, int pidfd, uint32_t index) {
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
  return epoll_ctl(keeper->exits_fd, EPOLL_CTL_ADD, pidfd, &event) ? -errno : 0;
}

void exits__leave(const struct keeper *keeper, int pidfd) {
  (void)epoll_ctl(keeper->exits_fd, EPOLL_CTL_DEL, pidfd, NULL);
}

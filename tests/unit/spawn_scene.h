/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What tests of user/os/spawn share: requests, runs of them, and what must be so when they fail. */
#ifndef UNIT_SPAWN_SCENE_H
#define UNIT_SPAWN_SCENE_H

#include "scene.h"

#include <limits.h>

#include "cleanup.h"
#include "spawn.h"

static const char *const environment[] = {"PATH=/usr/bin:/bin", "COLOUR=red", NULL};

__attribute__((unused)) static struct spawn plain(const char *const *argv) {
  return (struct spawn){.argv = argv, .envp = environment, .oom_score_adj = INT_MIN, .keep_fd = -1};
}

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})
#define SHELL(script) ARGV("/bin/sh", "-c", script)

__attribute__((unused)) static struct identity somebody(void) {
  struct identity identity = {.set = true, .uid = NOBODY, .gid = NOBODY, .groups = {NOBODY, 12}, .n_groups = 2};

  return identity;
}

/* Run it to its end: exit code, or 1000 and the signal. */
__attribute__((unused)) static int run(const struct spawn *spawn) {
  struct spawn_error error = {0};
  _cleanup_fd_ int pidfd = -1;
  pid_t pid;

  assert_int_equal(spawn__run(spawn, &pid, &pidfd, &error), 0);
  assert_null(error.step);
  assert_true(fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
  return reap_child(pid);
}

/* What it wrote to descriptor 3. */
__attribute__((unused)) static const char *said(struct spawn spawn) {
  static char text[16 * 1024];
  size_t used = 0;
  int ends[2];
  ssize_t got;

  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  assert_int_equal(fcntl(ends[1], F_SETPIPE_SZ, 65536) > 0, 1);
  spawn.keep_fd = ends[1];
  assert_int_equal(run(&spawn), 0);
  (void)close(ends[1]);
  while ((got = read(ends[0], text + used, sizeof(text) - 1 - used)) > 0)
    used += (size_t)got;
  (void)close(ends[0]);
  text[used] = '\0';
  return text;
}

__attribute__((unused)) static void assert_fails(const struct spawn *spawn, const char *step, int error_number) {
  struct spawn_error error = {0};
  int pidfd = -7;
  pid_t pid = -7;

  assert_int_equal(spawn__run(spawn, &pid, &pidfd, &error), -error_number);
  assert_string_equal(error.step, step);
  assert_int_equal(error.error, error_number);
  assert_int_equal(pid, -7);
  assert_int_equal(pidfd, -7);
  assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
  assert_int_equal(errno, ECHILD);
}

#endif

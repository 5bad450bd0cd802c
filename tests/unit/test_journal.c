/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Does an entry reach the journal as it expects it, and does a journal that does not read hold nobody up? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "journal.h"

/* More than the queue of a socket ever holds. */
#define TOO_MANY 100000

struct scene {
  char directory[64], path[80];
  int reader;
};

static int listen_at(const char *path) {
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
  (void)unlink(path);
  assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
  return fd;
}

static int begin(void **state) {
  static struct scene scene;
  (void)snprintf(scene.directory, sizeof(scene.directory), "/tmp/ebbt-journal.XXXXXX");
  if (!mkdtemp(scene.directory))
    return -1;
  (void)snprintf(scene.path, sizeof(scene.path), "%s/socket", scene.directory);
  scene.reader = listen_at(scene.path);
  *state = &scene;
  return 0;
}

static int end(void **state) {
  struct scene *scene = *state;
  (void)close(scene->reader);
  (void)unlink(scene->path);
  return rmdir(scene->directory);
}

static const char *taken(int reader) {
  static char entry[8192];
  ssize_t n = recv(reader, entry, sizeof(entry) - 1, MSG_DONTWAIT);
  entry[n < 0 ? 0 : n] = 0;
  return entry;
}

static void an_entry(void **state) {
  const struct scene *scene = *state;
  struct journal journal;
  journal__open(&journal, scene->path);
  journal__send(&journal, "{\"ev\":\"ready\"}", 14, "ready");
  assert_string_equal(taken(scene->reader),
                      "MESSAGE={\"ev\":\"ready\"}\nPRIORITY=6\nSYSLOG_IDENTIFIER=ebbd\nEBB_EVENT=ready\n");
  journal__close(&journal);
}

static void one_that_does_not_read(void **state) {
  const struct scene *scene = *state;
  struct journal journal;
  unsigned sent = 0, read = 0;
  char said[128];
  journal__open(&journal, scene->path);
  while (!journal.lost && sent < TOO_MANY) {
    journal__send(&journal, "x", 1, "note");
    sent += !journal.lost;
  }
  assert_int_equal(journal.lost, 1);
  journal__send(&journal, "x", 1, "note");
  assert_int_equal(journal.lost, 2);
  while (*taken(scene->reader))
    read++;
  assert_int_equal(read, sent);
  journal__send(&journal, "y", 1, "note");
  (void)snprintf(said, sizeof(said), "MESSAGE=y\nPRIORITY=6\nSYSLOG_IDENTIFIER=ebbd\nEBB_EVENT=note\nEBB_LOST=2\n");
  assert_string_equal(taken(scene->reader), said);
  assert_int_equal(journal.lost, 0);
  journal__close(&journal);
}

static void one_that_is_started_anew(void **state) {
  struct scene *scene = *state;
  struct journal journal;
  journal__open(&journal, scene->path);
  (void)close(scene->reader);
  journal__send(&journal, "x", 1, "note");
  assert_int_equal(journal.lost, 1);
  scene->reader = listen_at(scene->path);
  journal__send(&journal, "y", 1, "note");
  assert_non_null(strstr(taken(scene->reader), "EBB_LOST=1\n"));
  journal__close(&journal);
}

static void none(void **state) {
  (void)state;
  struct journal journal;
  journal__open(&journal, "/nowhere/socket");
  assert_int_equal(journal.fd, -1);
  journal__send(&journal, "x", 1, "note");
  assert_int_equal(journal.lost, 0);
  journal__close(&journal);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {TEST(an_entry), TEST(one_that_does_not_read), TEST(one_that_is_started_anew),
                                     TEST(none)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Is each message one line in one write, with the journal's prefix only for the journal? */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "cleanup.h"
#include "log.h"

/* Standard error is a socket that keeps the bounds of writes, as the journal's does not; so each read is one write. */
struct capture {
  int saved, reader;
};

static int begin(void **state) {
  static struct capture capture;
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
    return -1;
  (void)unsetenv("JOURNAL_STREAM");
  capture = (struct capture){.saved = dup(STDERR_FILENO), .reader = pair[0]};
  if (dup2(pair[1], STDERR_FILENO) < 0)
    return -1;
  (void)close(pair[1]);
  *state = &capture;
  return 0;
}

static int end(void **state) {
  struct capture *capture = *state;
  (void)dup2(capture->saved, STDERR_FILENO);
  (void)close(capture->saved);
  (void)close(capture->reader);
  return 0;
}

static const char *written(void **state) {
  static char line[8192];
  ssize_t n = recv(((struct capture *)*state)->reader, line, sizeof(line) - 1, 0);
  line[n < 0 ? 0 : n] = 0;
  return line;
}

static void name_journal(int more) {
  struct stat st;
  char stream[64];
  assert_int_equal(fstat(STDERR_FILENO, &st), 0);
  (void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
                 (unsigned long long)st.st_ino + (unsigned)more);
  assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
}

static void program_prefix(void **state) {
  log__init("ebbd", true);
  log__error("disk %s, %d%%", "full", 99);
  assert_string_equal(written(state), "ebbd: disk full, 99%\n");
  log__warning("w");
  assert_string_equal(written(state), "ebbd: w\n");
  log__info("i");
  assert_string_equal(written(state), "ebbd: i\n");
  log__debug("d");
  assert_string_equal(written(state), "ebbd: d\n");
  assert_string_equal(written(state), "");
}

static void journal_prefix(void **state) {
  name_journal(0);
  log__init("ebbd", true);
  log__error("e");
  assert_string_equal(written(state), "<3>e\n");
  log__warning("w");
  assert_string_equal(written(state), "<4>w\n");
  log__info("i");
  assert_string_equal(written(state), "<6>i\n");
  log__debug("d");
  assert_string_equal(written(state), "<7>d\n");
}

/* A child of a service inherits the variable though its standard error goes elsewhere. */
static void journal_of_somebody_else(void **state) {
  name_journal(1);
  log__init("ebbd", false);
  log__error("e");
  assert_string_equal(written(state), "ebbd: e\n");
  assert_int_equal(setenv("JOURNAL_STREAM", "nonsense", 1), 0);
  log__init("ebbd", false);
  log__error("e");
  assert_string_equal(written(state), "ebbd: e\n");
}

static void debug_only_when_verbose(void **state) {
  log__init("ebb", false);
  log__debug("d");
  log__info("i");
  assert_string_equal(written(state), "ebb: i\n");
}

static void foreign_bytes(void **state) {
  log__init("ebb", false);
  log__error("worker says %s", "ok\n<0>forged \x1b[2J");
  assert_string_equal(written(state), "ebb: worker says ok\\x0a<0>forged \\x1b[2J\n");
}

static void long_messages(void **state) {
  char message[4096];
  log__init("ebb", false);
  for (int round = 0; round < 2; round++) { /* the second time, each byte grows to four */
    memset(message, round ? '\n' : 'm', sizeof(message) - 1);
    message[sizeof(message) - 1] = 0;
    log__error("%s", message);
    const char *line = written(state);
    size_t n = strlen(line);
    assert_true(n > 500 && n < sizeof(message));
    assert_ptr_equal(strchr(line, '\n'), line + n - 1);
  }
}

static void errno_is_kept(void **state) {
  struct capture *capture = *state;
  log__init("ebb", false);
  errno = EXDEV;
  log__error("e");
  assert_int_equal(errno, EXDEV);
  (void)shutdown(capture->reader, SHUT_RDWR);
  (void)signal(SIGPIPE, SIG_IGN);
  log__error("nobody reads this");
  assert_int_equal(errno, EXDEV);
}

/* A pipe that nobody reads takes what there is room for. */
static void never_waits(void **state) {
  int pipes[2], written_lines = 0, saved = dup(STDERR_FILENO);
  char text[1 << 17];
  (void)state;
  assert_int_equal(pipe(pipes), 0);
  assert_true(dup2(pipes[1], STDERR_FILENO) >= 0);
  log__init("ebbd", false);
  log__never_wait();
  for (int i = 0; i < 10000; i++)
    log__info("message %d", i);
  ssize_t n = read(pipes[0], text, sizeof(text) - 1);
  assert_true(n > 4096);
  text[n] = 0;
  for (const char *at = text; (at = strstr(at, "ebbd: message ")); at++)
    written_lines++;
  log__info("again");
  n = read(pipes[0], text, sizeof(text) - 1);
  text[n < 0 ? 0 : n] = 0;
  assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
  char expected[128];
  (void)snprintf(expected, sizeof(expected), "ebbd: %d messages were dropped: nobody read them\nebbd: again\n",
                 10000 - written_lines);
  assert_string_equal(text, expected);
  (void)close(saved);
  (void)close(pipes[0]);
  (void)close(pipes[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(program_prefix),          TEST(journal_prefix),          TEST(journal_of_somebody_else),
      TEST(debug_only_when_verbose), TEST(foreign_bytes),           TEST(long_messages),
      TEST(errno_is_kept),           cmocka_unit_test(never_waits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

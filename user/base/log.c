/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "text.h"

static char program[32] = "ebb";
static bool verbose;
static bool to_journal;
static bool waits = true;
static unsigned long dropped;

/* $JOURNAL_STREAM is inherited by programs whose standard error goes elsewhere, so it names the stream it means. */
static bool stderr_is_journal(void) {
  const char *stream = getenv("JOURNAL_STREAM");
  unsigned long long device, inode;
  struct stat st;
  if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2 || fstat(STDERR_FILENO, &st) < 0)
    return false;
  return st.st_dev == device && st.st_ino == inode;
}

void log__init(const char *name, bool talkative) {
  (void)text__copy(program, sizeof(program), name);
  verbose = talkative;
  to_journal = stderr_is_journal();
}

void log__never_wait(void) {
  waits = false;
}

/* A pipe or socket that poll(2) calls writable has room for more than a line. */
static void put(const char *line, size_t n) {
  struct pollfd there = {.fd = STDERR_FILENO, .events = POLLOUT};
  char told[96];
  if (!waits && (poll(&there, 1, 0) != 1 || !(there.revents & POLLOUT))) {
    dropped++;
    return;
  }
  if (dropped) {
    int told_bytes = snprintf(told, sizeof(told), "%s%s%lu messages were dropped: nobody read them\n",
                              to_journal ? "<4>" : program, to_journal ? "" : ": ", dropped);
    dropped = 0;
    (void)!write(STDERR_FILENO, told, (size_t)told_bytes);
  }
  (void)!write(STDERR_FILENO, line, n);
}

/* One write, so that lines of several processes do not mix; foreign bytes in a message cannot begin a line of their own. */
static void log_line(int level, const char *format, va_list arguments) {
  int saved_errno = errno;
  char message[1024] = "", line[2048];
  struct text text = TEXT(line);
  if (to_journal)
    text__addf(&text, "<%d>", level);
  else
    text__addf(&text, "%s: ", program);
  (void)vsnprintf(message, sizeof(message), format, arguments);
  text__add_visible(&text, message, strlen(message));
  line[text.used++] = '\n'; /* in place of the NUL */
  put(line, text.used);
  errno = saved_errno;
}

void log__error(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  log_line(LOG_ERR, format, arguments);
  va_end(arguments);
}

void log__warning(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  log_line(LOG_WARNING, format, arguments);
  va_end(arguments);
}

void log__info(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  log_line(LOG_INFO, format, arguments);
  va_end(arguments);
}

void log__debug(const char *format, ...) {
  if (!verbose)
    return;
  va_list arguments;
  va_start(arguments, format);
  log_line(LOG_DEBUG, format, arguments);
  va_end(arguments);
}

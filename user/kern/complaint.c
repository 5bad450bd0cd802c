/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "complaint.h"

#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_BEGINS ": -- BEGIN PROG LOAD LOG --\n"
#define LOG_ENDS "-- END PROG LOAD LOG --"
/* Behind the verdict the verifier counts what it has done. */
#define STATISTICS "processed "

static struct {
  bool verbose, refused;
  libbpf_print_fn_t before;
  char reason[160];
} complaint;

static bool is_verdict(const char *line, size_t n) {
  return n && strncmp(line, STATISTICS, strlen(STATISTICS)) != 0 && strncmp(line, LOG_ENDS, strlen(LOG_ENDS)) != 0;
}

/* The last line of the log that says something. */
static void keep_verdict(char *message, char *log) {
  const char *verdict = log;
  size_t n_verdict = 0;
  for (char *line = log; *line;) {
    size_t n = strcspn(line, "\n");
    if (is_verdict(line, n)) {
      verdict = line;
      n_verdict = n;
    }
    line += n + (line[n] == '\n');
  }
  *strstr(message, LOG_BEGINS) = 0;
  (void)snprintf(complaint.reason, sizeof(complaint.reason), "%s: %.*s", message, (int)n_verdict, verdict);
  complaint.refused = true;
}

static void keep(char *message) {
  if (!strncmp(message, "libbpf: ", 8))
    message += 8;
  char *log = strstr(message, LOG_BEGINS);
  if (log && !complaint.refused)
    keep_verdict(message, log + strlen(LOG_BEGINS));
  else if (!complaint.reason[0])
    (void)snprintf(complaint.reason, sizeof(complaint.reason), "%.*s", (int)strcspn(message, "\n"), message);
}

static int take(enum libbpf_print_level level, const char *format, va_list arguments) {
  char *message = NULL;
  if (level == LIBBPF_DEBUG || vasprintf(&message, format, arguments) < 0)
    return 0;
  if (complaint.verbose)
    (void)fputs(message, stderr);
  if (level == LIBBPF_WARN)
    keep(message);
  free(message);
  return 0;
}

void complaint__begin(bool verbose) {
  complaint.verbose = verbose;
  complaint.refused = false;
  complaint.reason[0] = 0;
  complaint.before = libbpf_set_print(take);
}

void complaint__end(void) {
  (void)libbpf_set_print(complaint.before);
}

const char *complaint__reason(void) {
  return complaint.reason;
}

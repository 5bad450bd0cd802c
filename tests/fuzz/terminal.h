/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* For targets that run subcommands of `ebb`: what one prints, and is that fit for a terminal, and its JSON JSON? */
#ifndef FUZZ_TERMINAL_H
#define FUZZ_TERMINAL_H

#include <stdarg.h>

#include "../../user/cli/cli.h"
#include "../../user/cli/json.h"
#include "fuzz.h"
#include "log.h"

/* In place of base/log.c: what is complained about is composed and thrown away. */
#define QUIET(name)                                                                                                    \
  void name(const char *format, ...) {                                                                                 \
    char message[1024];                                                                                                \
    va_list arguments;                                                                                                 \
    va_start(arguments, format);                                                                                       \
    MUST(vsnprintf(message, sizeof(message), format, arguments) > 0);                                                  \
    va_end(arguments);                                                                                                 \
  }
QUIET(log__error)
QUIET(log__warning)
#undef QUIET

/* How many lines. RFC 8259 wants control bytes escaped, and json-c does not mind; a terminal does. */
static inline size_t check_lines(char *printed, bool json) {
  size_t n = 0;
  for (char *line = printed, *end; (end = strchr(line, '\n')); line = end + 1, n++) {
    *end = 0;
    MUST(is_printable(line));
    struct json_object *object = json ? json__parse_line(line, strlen(line)) : NULL;
    struct json_object *array = json && !object ? json_tokener_parse(line) : NULL;
    MUST(!json || object || array);
    (void)json_object_put(object);
    (void)json_object_put(array);
    *end = '\n';
  }
  return n;
}

/* Runs it and checks what it printed, which is returned, to be freed. `argv` begins with its name and ends with NULL. */
static inline char *run_command(int (*command)(struct cli *, int, char **), const char *run_dir,
                                const char *const argv[], bool json, size_t *ret_lines) {
  struct cli cli = {.run_dir = run_dir, .json = json};
  char *printed = NULL;
  size_t n, argc = 0;
  FILE *terminal = stdout, *memory = open_memstream(&printed, &n);
  MUST(memory);
  while (argv[argc])
    argc++;
  stdout = memory;
  int code = command(&cli, (int)argc, (char **)argv);
  stdout = terminal;
  MUST(!fclose(memory) && strlen(printed) == n && (n == 0 || printed[n - 1] == '\n'));
  MUST(code == CLI_DONE || code == CLI_REFUSED);
  *ret_lines = check_lines(printed, json);
  return printed;
}

#endif

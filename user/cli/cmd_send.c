/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ebb send: one command into ebbd's FIFO; with --wait, until its outcome is in the audit log. */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "board.h"
#include "cleanup.h"
#include "cli.h"
#include "clock.h"
#include "command.h"
#include "fifo.h"
#include "json.h"
#include "log.h"
#include "parse.h"
#include "pidfd.h"
#include "rundir.h"
#include "tail.h"
#include "text.h"

#define CONTROL_NAME "control"
#define AUDIT_NAME "audit"
#define TIMEOUT_DEFAULT_NS (30 * NS_PER_SEC)

struct options {
  struct cli *cli;
  bool wait;
  uint64_t timeout_ns;
  struct text line;
  char bytes[EBB_LINE_BYTES];
};

/* What a waiting sender listens to. */
struct wait {
  struct tail tail;
  int ebbd; /* pidfd; -1: not known */
  const char *id;
  bool note; /* a note has no outcome but its own record */
  bool json;
  uint64_t deadline_ns;
};

static error_t parse_timeout(const char *arg, struct options *options, struct argp_state *state) {
  if (parse__time(arg, &options->timeout_ns))
    argp_error(state, "--timeout: expected a time such as 30s, got `%s`", arg);
  return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
  struct options *options = state->input;
  switch (key) {
  case ARGP_KEY_INIT:
    state->child_inputs[0] = options->cli;
    return 0;
  case 'w':
    options->wait = true;
    return 0;
  case 't':
    return parse_timeout(arg, options, state);
  case ARGP_KEY_ARG:
    text__addf(&options->line, "%s%s", options->line.used ? " " : "", arg);
    return 0;
  case ARGP_KEY_NO_ARGS:
    argp_error(state, "which command? expected words such as: retire reports/2");
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_option option_table[] = {
    {"wait", 'w', NULL, 0, "Wait for the outcome: exit code 0 when it is done, 1 when it is refused", 0},
    {"timeout", 't', "TIME", 0, "Give up after this long, with exit code 4 (default 30s)", 0},
    {0},
};

static const struct argp argp = {
    .options = option_table,
    .parser = parse,
    .args_doc = "WORD...",
    .doc = "Sends a command to ebbd.\v"
           "Commands:\n"
           "  retire POOL[/SLOT] [gen=N] [refill=after|no]\n"
           "  trim   POOL/SLOT [gen=N]\n"
           "  adopt  POOL PID\n"
           "  limit  POOL footprint=SIZE|off retained=SIZE|off, or default\n"
           "  refill POOL[/SLOT]\n"
           "  scale  POOL N|+N|-N\n"
           "  drain  POOL|all\n"
           "  resume POOL|all\n"
           "  hold   POOL|all [what=retire|refill|all] [for=10m]\n"
           "  reload\n"
           "  stop\n"
           "Any command may carry id=TOKEN, which its records in the audit log then bear.",
    .children = cli__common,
};

/* `scale reports -1`: a number is no option. A blank in front hides it from the option parser, and means nothing to the
 * grammar. The copies live as long as the program. */
static void hide_numbers(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    char *hidden;
    if (argv[i][0] == '-' && isdigit((unsigned char)argv[i][1]) && asprintf(&hidden, " %s", argv[i]) > 0)
      argv[i] = hidden;
  }
}

static bool good(const struct options *options, struct command *ret) {
  struct command_error error;
  int r = options->line.cut || options->line.used + 1 >= EBB_LINE_BYTES
              ? -E2BIG
              : command__parse(options->line.data, options->line.used, ret, &error);
  if (r == -E2BIG)
    log__error("the command is too long: at most %d bytes", EBB_LINE_BYTES - 1);
  else if (r == 0)
    log__error("there is no command in `%s`", options->line.data);
  else if (r < 0)
    log__error("%s: %s", error.code, error.text);
  return r > 0;
}

/* The outcome is found by its id. */
static bool give_id(struct options *options, struct command *command) {
  uint64_t token = clock__realtime_us();
  if (command->id[0])
    return true;
  (void)!getrandom(&token, sizeof(token), 0);
  text__addf(&options->line, " id=send-%016llx", (unsigned long long)token);
  if (!good(options, command))
    return false;
  if (!command->id[0])
    log__error("a command that ends with a comment cannot be waited for");
  return command->id[0];
}

/* Its end is worth knowing: what it has not answered by then it never will. */
static int find_ebbd(int dirfd) {
  struct seqfile file = {0};
  int pidfd = -1;
  if (board__open(&file, dirfd) < 0)
    return -1;
  pidfd = pidfd__open(file.head->writer_pid);
  /* Asked after the opening, so that the descriptor is of that very process. */
  if (pidfd >= 0 && !seqfile__writer_alive(&file)) {
    (void)close(pidfd);
    pidfd = -1;
  }
  seqfile__close(&file);
  return pidfd < 0 ? -1 : pidfd;
}

static int remaining_ms(uint64_t deadline_ns) {
  uint64_t now_ns = clock__monotonic_ns();
  uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
  return left_ns >= INT32_MAX * NS_PER_MS ? INT32_MAX : (int)((left_ns + NS_PER_MS - 1) / NS_PER_MS);
}

static int not_sent(const struct cli *cli, int error) {
  const char *path = rundir__path(cli->run_dir);
  switch (-error) {
  case ENOENT:
  case ENXIO:
  case EPIPE:
    log__error("ebbd is not running in %s", path);
    return CLI_NOT_RUNNING;
  case EACCES:
  case EPERM:
    log__error("not permitted to write to %s/" CONTROL_NAME ": only its owner and the control group are", path);
    return CLI_NOT_PERMITTED;
  case ENOTSUP:
    log__error("%s/" CONTROL_NAME " is not a FIFO", path);
    return CLI_REFUSED;
  case ETIMEDOUT:
    log__error("timed out: ebbd has not emptied %s/" CONTROL_NAME, path);
    return CLI_TIMED_OUT;
  default:
    log__error("cannot write to %s/" CONTROL_NAME ": %s", path, strerror(-error));
    return CLI_REFUSED;
  }
}

static int send_line(const struct cli *cli, int dirfd, const char *line, size_t n, uint64_t deadline_ns) {
  _cleanup_fd_ int fd = fifo__open(dirfd, CONTROL_NAME);
  int r = fd;
  while (fd >= 0) {
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    r = fifo__send(fd, line, n);
    if (r != -EAGAIN)
      break;
    if (poll(&wait, 1, remaining_ms(deadline_ns)) == 0) {
      r = -ETIMEDOUT;
      break;
    }
  }
  return r < 0 ? not_sent(cli, r) : CLI_DONE;
}

/* -1: this line is not the outcome. */
static int judge_line(const struct wait *wait, const char *line, size_t n) {
  struct json_object *record = json__parse_line(line, n);
  const char *id = record ? json__get_string(record, "id") : NULL, *event = NULL;
  int code = -1;
  if (id && !strcmp(id, wait->id))
    event = json__get_string(record, "ev");
  if (event && !strcmp(event, "refused"))
    code = CLI_REFUSED;
  else if (event && (wait->note || !strcmp(event, "done")))
    code = CLI_DONE;
  if (code >= 0 && wait->json)
    (void)printf("%.*s\n", (int)n, line);
  else if (code == CLI_REFUSED)
    log__error("refused: %s", json__get_string(record, "reason") ?: "no reason given");
  (void)json_object_put(record);
  return code;
}

/* Exit code once the outcome is known; -1: not yet. */
static int judge(struct wait *wait, const struct cli *cli) {
  char *line;
  size_t n;
  int r, code = -1;
  while (code < 0 && (r = tail__next(&wait->tail, &line, &n)) > 0)
    code = judge_line(wait, line, n);
  return code < 0 && r < 0 ? cli__cannot_read(cli, AUDIT_NAME, r) : code;
}

static int await(struct wait *wait, const struct cli *cli) {
  for (;;) {
    struct pollfd fds[2] = {{.fd = tail__fd(&wait->tail), .events = POLLIN}, {.fd = wait->ebbd, .events = POLLIN}};
    int left_ms = remaining_ms(wait->deadline_ns);
    int n = poll(fds, 2, left_ms);
    tail__drain(&wait->tail);
    int code = judge(wait, cli);
    if (code >= 0)
      return code;
    if (n > 0 && fds[1].revents) {
      log__error("ebbd has ended without an answer");
      return CLI_NOT_RUNNING;
    }
    if (left_ms == 0) {
      log__error("timed out: no outcome yet of id=%s", wait->id);
      return CLI_TIMED_OUT;
    }
  }
}

/* The log is opened at its end before the command is sent, so that no outcome can come too early to be seen. */
static int send_and_wait(const struct options *options, int dirfd, const struct command *command,
                         uint64_t deadline_ns) {
  const struct cli *cli = options->cli;
  struct wait wait = {
      .id = command->id, .note = command->verb == COMMAND_NOTE, .json = cli->json, .deadline_ns = deadline_ns};
  int r = tail__open(&wait.tail, dirfd, AUDIT_NAME, true);
  if (r < 0)
    return cli__cannot_read(cli, AUDIT_NAME, r);
  wait.ebbd = find_ebbd(dirfd);
  int code = send_line(cli, dirfd, options->line.data, options->line.used, deadline_ns);
  if (code == CLI_DONE)
    code = await(&wait, cli);
  if (wait.ebbd >= 0)
    (void)close(wait.ebbd);
  tail__close(&wait.tail);
  return code;
}

int cmd_send(struct cli *cli, int argc, char **argv) {
  struct options options = {.cli = cli, .timeout_ns = TIMEOUT_DEFAULT_NS};
  struct command command;
  text__init(&options.line, options.bytes, sizeof(options.bytes));
  hide_numbers(argc, argv);
  (void)argp_parse(&argp, argc, argv, 0, NULL, &options);
  if (!good(&options, &command) || (options.wait && !give_id(&options, &command)))
    return CLI_USAGE;
  (void)signal(SIGPIPE, SIG_IGN); /* ebbd may go between opening and writing */
  _cleanup_fd_ int dirfd = cli__open_run_dir(cli);
  if (dirfd < 0)
    return -dirfd;
  text__add(&options.line, "\n");
  uint64_t deadline_ns = clock__monotonic_ns() + options.timeout_ns;
  if (options.wait)
    return send_and_wait(&options, dirfd, &command, deadline_ns);
  return send_line(cli, dirfd, options.line.data, options.line.used, deadline_ns);
}

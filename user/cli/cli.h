/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the subcommands of `ebb` share: exit codes, the common options, the table that main dispatches by. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

enum cli_exit {
  CLI_DONE = 0,
  CLI_REFUSED = 1, /* also: what was asked for is not there, or cannot be read */
  CLI_USAGE = 2,
  CLI_NOT_RUNNING = 3,
  CLI_TIMED_OUT = 4,
  CLI_NOT_PERMITTED = 5,
};

/* Of every subcommand; may also stand before its name. */
struct cli {
  const char *run_dir;
  bool json;
};

/* name, summary for `ebb --help` */
#define CLI_COMMANDS(X)                                                                                                \
  X(status, "Pools and workers, with their memory")                                                                    \
  X(top, "The same, live")                                                                                             \
  X(trace, "A slot's memory over time, as a plot, CSV or JSON")                                                        \
  X(jobs, "Which job takes, and which keeps, the memory")                                                              \
  X(why, "Every rule and guard for one worker, with numbers and verdict")                                              \
  X(events, "What ebbd did: its audit log")                                                                            \
  X(send, "Send a command to ebbd")                                                                                    \
  X(check, "Check a configuration without starting anything")                                                          \
  X(doctor, "What this kernel lets ebb see, and how to see more")

/* Each takes the arguments after its name, its own full name ("ebb status") as argv[0], and returns an exit code. */
#define X(name, summary) int cmd_##name(struct cli *cli, int argc, char **argv);
CLI_COMMANDS(X)
#undef X

/* --run-dir and --json, as the children of a subcommand's argp. Their input is the struct cli. */
extern const struct argp_child cli__common[];
/* For a subcommand that has no options of its own and takes no arguments. Usage errors end the program. */
void cli__parse_plain(struct cli *cli, int argc, char **argv, const char *doc);

/* Descriptor of the run directory; or, after a message, the exit code as a negative number. */
int cli__open_run_dir(const struct cli *cli);
/* Exit code for a file of the run directory that could not be opened or read, after a message that says which. */
int cli__cannot_read(const struct cli *cli, const char *file, int error);

/* What is there now, with a note on standard error when it is old. CLI_DONE (then the caller closes it), or the exit
 * code after a message. */
struct snapshot;
int cli__snapshot(const struct cli *cli, struct snapshot *ret);

/* "reports/2": a pool's name (EBB_NAME_BYTES) and a slot. false: not of that form. */
bool cli__parse_slot(const char *text, char *to_pool, uint32_t *ret_slot);

#endif

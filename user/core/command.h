/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The grammar of the control FIFO: one line, one command. The same parser serves ebbd, `ebb send` and the fuzzer.
 *
 *   retire  <pool>[/<slot>] [gen=N] [refill=after|first|no]  scale  <pool> <n>|+n|-n
 *   refill  <pool>[/<slot>]                                  drain  <pool>|all       resume <pool>|all
 *   hold    <pool>|all [what=retire|refill|all] [for=10m]    roll   <pool> [batch=N]
 *   limit   <pool> footprint=<size>|off retained=<size>|off  or  limit <pool> default
 *   adopt   <pool> <pid>                                     trim   <pool>/<slot> [gen=N]
 *   reload                                                   stop
 *   note    effect|pressure|warning|watch|dry-run [<pool>[/<slot>]]  (a remark for the audit; changes nothing)
 *
 * Any line may carry id=<token> (1 to 39 of A-Z a-z 0-9 . _ : -) and by=<word> (who sent it). A retire, trim or
 * note of the watch also carries what it judged by: reason=<word> footprint=<bytes> limit=<bytes> private=<bytes>
 * freed=<bytes>; a note also gen=N (with a slot) and text=<word>. Words are separated by blanks or tabs; one with a `=` is an option;
 * options may stand anywhere behind the verb. A word that begins with `#` starts a comment. Nothing is unescaped.
 *
 * Two verbs mean more when they are by=watch. A hold is kept up by being sent again: it makes one that is there longer, never
 * shorter, and only its beginning is a record. A refill of a slot that waits (board) lets its next piece start, in spite of
 * such a hold of the pool's refills.
 */
#ifndef CORE_COMMAND_H
#define CORE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ebb/bounds.h"

/* verb, name, what it is aimed at: N nothing, P pool, Z pool and size, L pool and maybe "default", G pool and pid, A pool
 * or all, S pool or slot, T slot, E event then maybe a slot */
#define COMMAND_VERBS(X)                                                                                               \
  X(RETIRE, "retire", 'S')                                                                                             \
  X(REFILL, "refill", 'S')                                                                                             \
  X(SCALE, "scale", 'Z')                                                                                               \
  X(DRAIN, "drain", 'A')                                                                                               \
  X(RESUME, "resume", 'A')                                                                                             \
  X(HOLD, "hold", 'A')                                                                                                 \
  X(ROLL, "roll", 'P')                                                                                                 \
  X(LIMIT, "limit", 'L')                                                                                               \
  X(ADOPT, "adopt", 'G')                                                                                               \
  X(TRIM, "trim", 'T')                                                                                                 \
  X(NOTE, "note", 'E')                                                                                                 \
  X(RELOAD, "reload", 'N')                                                                                             \
  X(STOP, "stop", 'N')

enum command_verb {
#define X(id, name, aim) COMMAND_##id,
  COMMAND_VERBS(X)
#undef X
      COMMAND_N
};

/* When a retired worker's slot is filled again: when it has gone, before it goes, or not at all. */
enum command_refill { COMMAND_REFILL_AFTER, COMMAND_REFILL_FIRST, COMMAND_REFILL_NO };
enum command_hold { COMMAND_HOLD_RETIRE = 1, COMMAND_HOLD_REFILL = 2, COMMAND_HOLD_ALL = 3 };

struct command {
  enum command_verb verb;
  char id[EBB_ID_BYTES];     /* empty: none */
  char pool[EBB_NAME_BYTES]; /* empty with `all` set, and for verbs without an aim */
  bool all;
  int32_t slot;        /* -1: none named */
  uint32_t generation; /* 0: any */
  enum command_refill refill;
  enum command_hold what;
  uint64_t for_ns;
  int scale_sign; /* 0: absolute, else +1 or -1 */
  uint32_t scale_n;
  uint32_t batch;                                       /* of roll; 1 when not given */
  int32_t pid;                                          /* of adopt */
  bool defaults;                                        /* of limit: back to what the file says */
  uint64_t footprint_limit_bytes, retained_limit_bytes; /* of limit: EBB_UNKNOWN is off */
  bool footprint_limited, retained_limited;             /* … given */
  char by[16];                                          /* empty: a script */
  char reason[24]; /* of a retire: a name of core/reason.h; "request" when not given */
  char event[16];  /* of a note */
  char text[64];   /* of a note */
  uint64_t footprint_bytes, limit_bytes, private_bytes, freed_bytes; /* EBB_UNKNOWN: not given */
};

struct command_error {
  char code[24];  /* stable, for machines: unknown-verb, bad-pool, bad-slot, bad-option, bad-value, missing-word,
                     extra-word, bad-id, too-long, binary */
  char text[160]; /* for people: what was expected */
};

/* 1: *ret is filled in. 0: blank or comment. -EINVAL: refused, see *error; ret->id is set when the line had a good
 * one, so that even a refusal is answered. `line` has no newline; any bytes may be in it. */
int command__parse(const char *line, size_t n, struct command *ret, struct command_error *error);

const char *command__verb_name(enum command_verb verb);
/* Has it bytes that a line must not have: anything but printable ASCII and tabs? */
bool command__is_binary(const char *line, size_t n);

/*
 * Lines out of a byte stream that comes in any pieces. A line longer than EBB_LINE_BYTES, or with a NUL or another
 * control byte, is dropped whole up to its newline, and reported once.
 */
struct command_reader {
  char line[EBB_LINE_BYTES];
  size_t used;
  bool dropping; /* overlong: skip to the newline */
};

enum command_piece { COMMAND_PIECE_MORE, COMMAND_PIECE_LINE, COMMAND_PIECE_TOO_LONG, COMMAND_PIECE_BINARY };

void command_reader__init(struct command_reader *reader);
/*
 * Take bytes from *bytes (advanced past what was consumed). MORE: all consumed, no whole line yet. Otherwise one line
 * (its bytes at reader->line, its length in *ret_n; for TOO_LONG the first bytes of it) ended within the input.
 */
enum command_piece command_reader__next(struct command_reader *reader, const char **bytes, size_t *n, size_t *ret_n);

#endif

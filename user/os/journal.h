/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The journal's native socket: a datagram an entry, fields a line each. Not by sd_journal_send(3), which allocates, and waits
 * for a journal that does not read: on a host that is short of memory it may be the journal that waits. Here an entry that
 * finds no room is lost, and the next one that does says how many were (EBB_LOST).
 */
#ifndef OS_JOURNAL_H
#define OS_JOURNAL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

struct journal {
  int fd; /* -1: there is no journal */
  struct sockaddr_un at;
  uint64_t lost; /* since the last entry */
};

/* Where there is a journal at that path; else nothing is ever sent. */
void journal__open(struct journal *ret, const char *path);
void journal__close(struct journal *journal);
/* One line of text, of priority `info`, and which event it is. Never waits for the journal. */
void journal__send(struct journal *journal, const char *line, size_t n, const char *event);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "journal.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

void journal__open(struct journal *ret, const char *path) {
  *ret = (struct journal){.fd = -1, .at.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof(ret->at.sun_path) || access(path, W_OK))
    return;
  memcpy(ret->at.sun_path, path, strlen(path) + 1);
  ret->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

void journal__close(struct journal *journal) {
  if (journal->fd >= 0)
    (void)close(journal->fd);
  journal->fd = -1;
}

static struct iovec part(const char *bytes, size_t n) {
  return (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = n};
}

/* By its path each time: a journal that was started anew is another socket. */
void journal__send(struct journal *journal, const char *line, size_t n, const char *event) {
  static const char message[] = "MESSAGE=", fields[] = "\nPRIORITY=6\nSYSLOG_IDENTIFIER=ebbd\nEBB_EVENT=";
  char end[64] = "\n";
  if (journal->fd < 0)
    return;
  if (journal->lost)
    (void)snprintf(end, sizeof(end), "\nEBB_LOST=%llu\n", (unsigned long long)journal->lost);
  struct iovec parts[] = {part(message, sizeof(message) - 1), part(line, n), part(fields, sizeof(fields) - 1),
                          part(event, strlen(event)), part(end, strlen(end))};
  const struct msghdr entry = {.msg_name = &journal->at,
                               .msg_namelen = sizeof(journal->at),
                               .msg_iov = parts,
                               .msg_iovlen = sizeof(parts) / sizeof(*parts)};
  journal->lost = sendmsg(journal->fd, &entry, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? journal->lost + 1 : 0;
}

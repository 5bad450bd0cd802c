/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The control FIFO. */
#ifndef OS_FIFO_H
#define OS_FIFO_H

#include <stddef.h>
#include <sys/types.h>

/* Make it (mode 0620, group gid unless (gid_t)-1) or take the one that is there when it is a FIFO of ours; anything
 * else under that name is -EEXIST. Opened read-write and non-blocking, so that EOF cannot happen. Descriptor or
 * negative errno. */
int fifo__serve(int dirfd, const char *name, gid_t gid);
/* For writing, never blocking. -ENOENT, -ENXIO: nobody serves it; -EACCES; -ENOTSUP: not a FIFO. */
int fifo__open(int dirfd, const char *name);
/* All of the line in one write (n <= PIPE_BUF, else -EMSGSIZE). 0, -EAGAIN: the pipe is full; -EPIPE: nobody reads it
 * any more (with SIGPIPE ignored, else that is sent). */
int fifo__send(int fd, const char *line, size_t n);

#endif

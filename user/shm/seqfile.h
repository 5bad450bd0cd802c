/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A shared file of fixed-size records: one writer, any readers, no locks. Each record begins with a __u32 sequence
 * number, odd while it is written; a reader copies, checks, and tries again. A reader trusts nothing: magic, version
 * and sizes are compared with its own at open, indexes by the caller.
 *
 * One thing is not defended against: a file that is made shorter while it is mapped kills its readers with SIGBUS.
 * Only its owner, a daemon that never does so, could.
 */
#ifndef SHM_SEQFILE_H
#define SHM_SEQFILE_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct seqfile_head {
  char magic[8];
  __u32 version;
  __u32 head_bytes;
  __u64 file_bytes;
  __u32 layout;       /* sum of the record sizes; tells apart builds that forgot to raise the version */
  __s32 writer_pid;   /* in the writer's pid namespace */
  __u64 writer_start; /* its start time, clock ticks since boot (field 22 of /proc/<pid>/stat) */
  __u64 changes;      /* raised by each finished write; lets a reader see that nothing happened */
};

/* Where records are. */
struct seqfile_part {
  size_t at; /* offset of the first one, a multiple of 8 */
  size_t record_bytes;
  size_t n;
};

struct seqfile_format {
  char magic[8];
  __u32 version;
  __u64 file_bytes;
  const struct seqfile_part *parts; /* all records there are, by offset; behind them the file is sparse */
  size_t n_parts;
};

struct seqfile {
  struct seqfile_head *head; /* the mapping; NULL: not open */
  __u64 bytes;
  bool writable;
  int fd; /* of a writer: to ask for room */
};

/*
 * Open for writing, mode 0640, group `gid` (or (gid_t)-1). A file of the same format and owner is kept as it is (records
 * left odd by a dead writer are made even and thereby zeroed by nobody: their content is what it is); any other is
 * replaced by a new one, all zero, which readers see only when its head is whole. *ret_kept says which. All records have
 * their room on the file system from the start (-ENOSPC): neither to read nor to store one can hit a hole that cannot be
 * filled, which is SIGBUS. Symbolic links are refused (-ELOOP), as is anything else that is no regular file (-EEXIST).
 * 0 or negative errno.
 */
int seqfile__open_write(struct seqfile *file, int dirfd, const char *name, const struct seqfile_format *format,
                        gid_t gid, bool *ret_kept);
/* 0, -ENOENT, -EACCES, -EPROTO (not such a file, or shorter than it says), -EPROTONOSUPPORT (one of another version, or
 * with records of other sizes) … */
int seqfile__open_read(struct seqfile *file, int dirfd, const char *name, const struct seqfile_format *format);
/* NULL-safe. */
void seqfile__close(struct seqfile *file);

/* Copy `record` (whose first member is the sequence number, n bytes in all) to *to. -EAGAIN: it kept changing, or its
 * writer died in the middle of it; *to then holds anything. */
int seqfile__copy(void *to, const void *record, size_t n);
/* The same for a part of a record: `look` copies what it wants, trusts nothing of it, and may be called many times. */
int seqfile__read(const void *record, void (*look)(const void *record, void *arg), void *arg);

/* Replace the record by *from, from[0..4) (the sequence number) ignored. */
void seqfile__store(struct seqfile *file, void *record, const void *from, size_t n);
/* The same in pieces: the caller changes the record between the two. */
void seqfile__begin(struct seqfile *file, void *record);
void seqfile__end(struct seqfile *file, void *record);
/* Have the file system give room to n bytes of the sparse end, before they are touched. 0 or -ENOSPC, -EINTR. */
int seqfile__reserve(struct seqfile *file, const void *at, size_t n);

/* Is the process that wrote the file still the one it was? A zombie is not. */
bool seqfile__writer_alive(const struct seqfile *file);

#endif

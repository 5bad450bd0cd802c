/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "seqfile.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "fault.h"

/* About half a millisecond: far longer than any record takes, unless its writer was preempted or died in it. */
#define TRIES 1000
#define NAME_BYTES 64

/* Field 22 of /proc/<pid>/stat; only of a process that can still write. */
static int start_time(pid_t pid, uint64_t *ret_ticks) {
  char path[32], text[1024];
  (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
  _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return -errno;
  ssize_t n = read(fd, text, sizeof(text) - 1);
  if (n < 0)
    return -errno;
  text[n] = 0;
  /* The command, field 2, may hold blanks and parentheses; what follows its last one may not. */
  const char *rest = strrchr(text, ')');
  char state;
  unsigned long long ticks;
  if (!rest || sscanf(rest, ") %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu", &state,
                      &ticks) != 2)
    return -EPROTO;
  if (state == 'Z' || state == 'X')
    return -ESRCH;
  *ret_ticks = ticks;
  return 0;
}

static __u32 layout_of(const struct seqfile_format *format) {
  size_t sum = 0;
  for (size_t i = 0; i < format->n_parts; i++)
    sum += format->parts[i].record_bytes;
  return (__u32)sum;
}

/* Who writes is not part of it. */
static struct seqfile_head head_of(const struct seqfile_format *format) {
  struct seqfile_head head = {
      .version = format->version,
      .head_bytes = sizeof(head),
      .file_bytes = format->file_bytes,
      .layout = layout_of(format),
  };
  memcpy(head.magic, format->magic, sizeof(head.magic));
  return head;
}

static int check_format(int fd, const struct stat *st, const struct seqfile_format *format) {
  struct seqfile_head head, expected = head_of(format);
  if (pread(fd, &head, sizeof(head), 0) != sizeof(head) || memcmp(head.magic, expected.magic, sizeof(head.magic)) != 0)
    return -EPROTO;
  if (memcmp(&head, &expected, offsetof(struct seqfile_head, writer_pid)) != 0)
    return -EPROTONOSUPPORT;
  return (__u64)st->st_size < format->file_bytes ? -EPROTO : 0;
}

/* Never blocks on a FIFO, never follows a link; -EEXIST when it is no regular file. */
static int open_regular(int dirfd, const char *name, int flags, struct stat *ret_stat) {
  _cleanup_fd_ int fd = openat(dirfd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0)
    return errno == EISDIR || errno == ENXIO ? -EEXIST : -errno;
  if (fstat(fd, ret_stat) < 0)
    return -errno;
  if (!S_ISREG(ret_stat->st_mode))
    return -EEXIST;
  return steal_fd(&fd);
}

/* Takes the descriptor of a writer. */
static int map(struct seqfile *file, int *fd, const struct seqfile_format *format, bool writable) {
  void *at = mmap(NULL, format->file_bytes, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, *fd, 0);
  if (at == MAP_FAILED)
    return -errno;
  *file = (struct seqfile){.head = at, .bytes = format->file_bytes, .writable = writable, .fd = -1};
  if (writable)
    file->fd = steal_fd(fd);
  return 0;
}

/* File systems that do not know fallocate(2) are no worse off than without it. */
static int reserve(int fd, size_t at, size_t n) {
  if (fallocate(fd, 0, (off_t)at, (off_t)n) == 0 || errno == EOPNOTSUPP)
    return 0;
  return -errno;
}

static int reserve_records(int fd, const struct seqfile_format *format) {
  const struct seqfile_part *last = &format->parts[format->n_parts - 1];
  int r;
  do
    r = reserve(fd, 0, last->at + last->record_bytes * last->n);
  while (r == -EINTR);
  return r;
}

/* The group before the mode, so that no other group may read it even for a moment. */
static int give(int fd, gid_t gid) {
  if (gid != (gid_t)-1 && fchown(fd, (uid_t)-1, gid) < 0)
    return -errno;
  return fchmod(fd, 0640) < 0 ? -errno : 0;
}

/* By read(2), so that records which nobody needs stay out of our memory. */
static void settle(const struct seqfile *file, const struct seqfile_part *part) {
  for (size_t i = 0; i < part->n; i++) {
    size_t at = part->at + i * part->record_bytes;
    __u32 seq;
    if (pread(file->fd, &seq, sizeof(seq), (off_t)at) == sizeof(seq) && (seq & 1))
      __atomic_store_n((__u32 *)(void *)((char *)file->head + at), seq + 1, __ATOMIC_RELEASE);
  }
}

/* Takes the descriptor. */
static int keep(struct seqfile *file, int *fd, const struct seqfile_format *format, gid_t gid) {
  int r = give(*fd, gid);
  if (r == 0)
    r = map(file, fd, format, true);
  for (size_t i = 0; r == 0 && i < format->n_parts; i++)
    settle(file, &format->parts[i]);
  return r;
}

/* The head goes in by write(2), which, unlike a mapping, can say that there is no room. */
static int fill(int fd, const struct seqfile_format *format, gid_t gid) {
  struct seqfile_head head = head_of(format);
  if (ftruncate(fd, (off_t)format->file_bytes) < 0)
    return -errno;
  int r = reserve_records(fd, format);
  if (r < 0)
    return r;
  ssize_t n = pwrite(fd, &head, sizeof(head), 0);
  if (n != sizeof(head))
    return n < 0 ? -errno : -ENOSPC;
  return give(fd, gid);
}

static int replace(struct seqfile *file, int dirfd, const char *name, const struct seqfile_format *format, gid_t gid) {
  char fresh[NAME_BYTES];
  if (snprintf(fresh, sizeof(fresh), "%s.new", name) >= (int)sizeof(fresh))
    return -ENAMETOOLONG;
  if (unlinkat(dirfd, fresh, 0) < 0 && errno != ENOENT)
    return -errno;
  _cleanup_fd_ int fd = openat(dirfd, fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0)
    return -errno;
  int r = fill(fd, format, gid);
  if (r == 0)
    r = map(file, &fd, format, true);
  if (r == 0 && renameat(dirfd, fresh, dirfd, name) < 0) {
    r = -errno;
    seqfile__close(file);
  }
  if (r < 0)
    (void)unlinkat(dirfd, fresh, 0);
  return r;
}

int seqfile__open_write(struct seqfile *file, int dirfd, const char *name, const struct seqfile_format *format,
                        gid_t gid, bool *ret_kept) {
  uint64_t start;
  int r = start_time(getpid(), &start);
  if (r < 0)
    return r;
  struct stat st;
  _cleanup_fd_ int fd = open_regular(dirfd, name, O_RDWR, &st);
  if (fd < 0 && fd != -ENOENT)
    return fd;
  bool kept = fd >= 0 && st.st_uid == geteuid() && check_format(fd, &st, format) == 0;
  struct seqfile opened = {0};
  r = kept ? keep(&opened, &fd, format, gid) : replace(&opened, dirfd, name, format, gid);
  if (r < 0)
    return r;
  opened.head->writer_pid = getpid();
  opened.head->writer_start = start;
  *file = opened;
  *ret_kept = kept;
  return 0;
}

int seqfile__open_read(struct seqfile *file, int dirfd, const char *name, const struct seqfile_format *format) {
  struct stat st;
  _cleanup_fd_ int fd = open_regular(dirfd, name, O_RDONLY, &st);
  if (fd < 0)
    return fd == -EEXIST ? -EPROTO : fd;
  int r = check_format(fd, &st, format);
  return r < 0 ? r : map(file, &fd, format, false);
}

void seqfile__close(struct seqfile *file) {
  if (!file || !file->head)
    return;
  (void)munmap(file->head, file->bytes);
  if (file->fd >= 0)
    (void)close(file->fd);
  *file = (struct seqfile){0};
}

int seqfile__read(const void *record, void (*look)(const void *record, void *arg), void *arg) {
  const __u32 *seq = record;
  for (int i = 0; i < TRIES; i++) {
    __u32 before = __atomic_load_n(seq, __ATOMIC_ACQUIRE);
    if (!(before & 1)) {
      look(record, arg);
      /* What was looked at comes before the second look at the number. */
      __atomic_thread_fence(__ATOMIC_ACQUIRE);
      if (__atomic_load_n(seq, __ATOMIC_RELAXED) == before)
        return 0;
    }
    (void)sched_yield();
  }
  return -EAGAIN;
}

struct copy {
  void *to;
  size_t n;
};

static void copy_whole(const void *record, void *arg) {
  const struct copy *copy = arg;
  memcpy(copy->to, record, copy->n);
}

int seqfile__copy(void *to, const void *record, size_t n) {
  return seqfile__read(record, copy_whole, &(struct copy){.to = to, .n = n});
}

void seqfile__begin(struct seqfile *file, void *record) {
  assert(file->writable);
  __u32 *seq = record;
  __atomic_store_n(seq, (*seq + 1) | 1, __ATOMIC_RELAXED);
  /* The odd number comes before what is written next. */
  __atomic_thread_fence(__ATOMIC_RELEASE);
}

void seqfile__end(struct seqfile *file, void *record) {
  __u32 *seq = record;
  __atomic_store_n(seq, (*seq | 1) + 1, __ATOMIC_RELEASE);
  __atomic_store_n(&file->head->changes, file->head->changes + 1, __ATOMIC_RELEASE);
}

void seqfile__store(struct seqfile *file, void *record, const void *from, size_t n) {
  const size_t head = sizeof(__u32);
  seqfile__begin(file, record);
  if (FAULT_IS_NEXT(RECORD_TORN))
    memcpy((char *)record + head, (const char *)from + head, n / 2 - head);
  FAULT(RECORD_TORN);
  memcpy((char *)record + head, (const char *)from + head, n - head);
  seqfile__end(file, record);
}

int seqfile__reserve(struct seqfile *file, const void *at, size_t n) {
  return reserve(file->fd, (size_t)((const char *)at - (const char *)file->head), n);
}

bool seqfile__writer_alive(const struct seqfile *file) {
  uint64_t start;
  pid_t pid = __atomic_load_n(&file->head->writer_pid, __ATOMIC_RELAXED);
  return start_time(pid, &start) == 0 && start == file->head->writer_start;
}

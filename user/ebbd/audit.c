/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "ebb/bounds.h"
#include "fault.h"
#include "log.h"
#include "text.h"

/* A record with a whole FIFO line in it, each byte escaped as \u00XX, and everything else. */
#define RECORD_BYTES (6 * EBB_LINE_BYTES + 1024)

static const char *const names[] = {
#define X(id, name) name,
    AUDIT_EVENTS(X)
#undef X
};

enum audit_event audit__find(const char *name) {
  for (unsigned i = 0; i < AUDIT_N; i++)
    if (!strcmp(names[i], name))
      return (enum audit_event)i;
  return AUDIT_N;
}

static bool ends_in_a_line(int fd, off_t size) {
  char last = '\n';
  return size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

static void close_file(struct audit *audit) {
  if (audit->fd >= 0)
    (void)close(audit->fd);
  audit->fd = -1;
}

/* On failure the old one stays open. */
static int open_file(struct audit *audit) {
  _cleanup_fd_ int fd = -1;
  struct stat status;
  if (!FAULT_FAILS(NO_AUDIT_FILE))
    fd = openat(audit->dirfd, AUDIT_NAME, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (fd < 0)
    return -errno;
  if (fstat(fd, &status) || !S_ISREG(status.st_mode))
    return -EPROTO;
  (void)fchmod(fd, 0640);
  if (audit->gid != (gid_t)-1)
    (void)fchown(fd, (uid_t)-1, audit->gid);
  close_file(audit);
  audit->bytes = (uint64_t)status.st_size;
  audit->rotate_at = audit->bytes < AUDIT_BYTES_MAX ? AUDIT_BYTES_MAX : audit->bytes + AUDIT_RETRY_BYTES;
  audit->torn = ends_in_a_line(fd, status.st_size);
  audit->fd = steal_fd(&fd);
  return 0;
}

int audit__open(struct audit *audit, int dirfd, gid_t gid) {
  *audit = (struct audit){.fd = -1, .dirfd = dirfd, .gid = gid};
  journal__open(&audit->journal, JOURNAL_SOCKET);
  return open_file(audit);
}

void audit__close(struct audit *audit) {
  close_file(audit);
  journal__close(&audit->journal);
}

/* A reader that follows the file sees it renamed, and goes on with the new one. */
static int shift(const struct audit *audit) {
  char from[32], to[32];
  int r = 0;
  for (int i = AUDIT_FILES - 1; i > 0; i--) {
    (void)snprintf(to, sizeof(to), AUDIT_NAME ".%d", i);
    (void)snprintf(from, sizeof(from), i > 1 ? AUDIT_NAME ".%d" : AUDIT_NAME, i - 1);
    r = renameat(audit->dirfd, from, audit->dirfd, to) ? -errno : 0;
  }
  return r;
}

/* Where there is no new file since the last rotation, another one would only push the old ones out. */
static void rotate(struct audit *audit) {
  int error = faccessat(audit->dirfd, AUDIT_NAME, F_OK, 0) ? 0 : shift(audit);
  if (!error)
    error = open_file(audit);
  if (!error)
    return;
  audit->rotate_at = audit->bytes + AUDIT_RETRY_BYTES;
  log__error("audit: cannot begin a new file, going on with the old one: %s", strerror(-error));
}

static void add_string(struct text *line, const char *key, const char *value) {
  if (!value || !*value)
    return;
  text__addf(line, ",\"%s\":\"", key);
  text__add_json(line, value, strlen(value));
  text__add(line, "\"");
}

static void add_bytes(struct text *line, const char *key, uint64_t bytes) {
  if (bytes != EBB_UNKNOWN)
    text__addf(line, ",\"%s\":%llu", key, (unsigned long long)bytes);
}

static void add_worker(struct text *line, const struct audit_worker *worker) {
  add_string(line, "pool", worker->pool);
  if (worker->slot >= 0)
    text__addf(line, ",\"slot\":%lld", (long long)worker->slot);
  if (worker->generation)
    text__addf(line, ",\"generation\":%u", worker->generation);
  if (worker->pid)
    text__addf(line, ",\"pid\":%d", worker->pid);
}

static void add_memory(struct text *line, const struct audit_memory *memory) {
  add_bytes(line, "footprint_bytes", memory->footprint_bytes);
  add_bytes(line, "limit_bytes", memory->limit_bytes);
  add_bytes(line, "private_bytes", memory->private_bytes);
  add_bytes(line, "freed_bytes", memory->freed_bytes);
}

static void add_end(struct text *line, const struct audit_end *end) {
  if (end->code >= 0)
    text__addf(line, ",\"exit_code\":%d", end->code);
  if (end->signal >= 0)
    text__addf(line, ",\"signal\":%d", end->signal);
}

static void compose(struct text *line, const struct audit_record *record) {
  char at[32];
  text__addf(line, "{\"t\":\"%s\",\"ev\":\"%s\"", text__timestamp(at, sizeof(at), clock__realtime_us()),
             names[record->event]);
  add_string(line, "id", record->id);
  if (record->worker)
    add_worker(line, record->worker);
  add_string(line, "reason", record->reason);
  add_string(line, "by", record->by);
  if (record->memory)
    add_memory(line, record->memory);
  if (record->end)
    add_end(line, record->end);
  if (record->signal)
    text__addf(line, ",\"signal\":%d", record->signal);
  if (record->text && record->text_bytes) {
    text__add(line, ",\"text\":\"");
    text__add_json(line, record->text, record->text_bytes);
    text__add(line, "\"");
  } else {
    add_string(line, "text", record->text);
  }
  text__add(line, "}\n");
}

static ssize_t append(const struct audit *audit, const struct text *line) {
  if (FAULT_FAILS(NO_AUDIT_ROOM))
    return -1;
  return write(audit->fd, line->data, FAULT_FAILS(HALF_AUDIT_ROOM) ? line->used / 2 : line->used);
}

static void store(struct audit *audit, const struct text *line) {
  if (audit->bytes + line->used > audit->rotate_at)
    rotate(audit);
  ssize_t n = append(audit, line);
  bool failed = n != (ssize_t)line->used;
  if (failed && !audit->failing)
    log__error("audit: a record could not be written: %s", n < 0 ? strerror(errno) : "disk full");
  audit->failing = failed;
  if (n <= 0)
    return;
  audit->bytes += (uint64_t)n;
  audit->torn = line->data[n - 1] != '\n';
}

void audit__write(struct audit *audit, const struct audit_record *record) {
  char data[RECORD_BYTES];
  struct text line = TEXT(data);
  const char *end_of_last = audit->torn ? "\n" : "";
  text__add(&line, end_of_last);
  compose(&line, record);
  if (line.cut) { /* cannot happen with what ebbd writes; a half record would be worse than a short one */
    line = TEXT(data);
    text__add(&line, end_of_last);
    compose(&line, &(struct audit_record){.event = record->event, .id = record->id, .text = "(record too long)"});
  }
  store(audit, &line);
  size_t skip = strlen(end_of_last);
  journal__send(&audit->journal, line.data + skip, line.used - skip - 1, names[record->event]);
}

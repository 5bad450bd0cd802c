/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "clock.h"
#include "ebb/bounds.h"
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

static int open_file(struct audit *audit) {
  int fd = openat(audit->dirfd, AUDIT_NAME, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (fd < 0)
    return -errno;
  struct stat status;
  if (fstat(fd, &status) || !S_ISREG(status.st_mode)) {
    (void)close(fd);
    return -EPROTO;
  }
  (void)fchmod(fd, 0640);
  if (audit->gid != (gid_t)-1)
    (void)fchown(fd, (uid_t)-1, audit->gid);
  audit->fd = fd;
  audit->bytes = (uint64_t)status.st_size;
  return 0;
}

int audit__open(struct audit *audit, int dirfd, gid_t gid) {
  *audit = (struct audit){.fd = -1, .dirfd = dirfd, .gid = gid};
  audit->journal = access("/run/systemd/journal/socket", W_OK) == 0;
  return open_file(audit);
}

void audit__close(struct audit *audit) {
  if (audit->fd >= 0)
    (void)close(audit->fd);
  audit->fd = -1;
}

/* A reader that follows the file sees it renamed, and goes on with the new one. */
static void rotate(struct audit *audit) {
  char from[32], to[32];
  for (int i = AUDIT_FILES - 1; i > 0; i--) {
    (void)snprintf(to, sizeof(to), AUDIT_NAME ".%d", i);
    (void)snprintf(from, sizeof(from), i > 1 ? AUDIT_NAME ".%d" : AUDIT_NAME, i - 1);
    (void)renameat(audit->dirfd, from, audit->dirfd, to);
  }
  audit__close(audit);
  int error = open_file(audit);
  if (error)
    log__error("audit: cannot open a new file: %s", strerror(-error));
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

static void store(struct audit *audit, const struct text *line) {
  if (audit->bytes + line->used > AUDIT_BYTES_MAX)
    rotate(audit);
  ssize_t n = audit->fd < 0 ? -1 : write(audit->fd, line->data, line->used);
  bool failed = n != (ssize_t)line->used;
  if (failed && !audit->failing)
    log__error("audit: a record could not be written: %s", n < 0 ? strerror(errno) : "disk full");
  audit->failing = failed;
  if (n > 0)
    audit->bytes += (uint64_t)n;
}

void audit__write(struct audit *audit, const struct audit_record *record) {
  char data[RECORD_BYTES];
  struct text line = TEXT(data);
  compose(&line, record);
  if (line.cut) { /* cannot happen with what ebbd writes; a half record would be worse than a short one */
    line = TEXT(data);
    compose(&line, &(struct audit_record){.event = record->event, .id = record->id, .text = "(record too long)"});
  }
  store(audit, &line);
  if (audit->journal)
    (void)sd_journal_send("MESSAGE=%.*s", (int)line.used - 1, data, "PRIORITY=6", "EBB_EVENT=%s", names[record->event],
                          NULL);
}

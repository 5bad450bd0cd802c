/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Any bytes as the audit log and the one before it: is each line shown once and in order, fit for a terminal, or called
 * damaged? And any bytes as the text of a record: do they come out of JSON as they went in?
 */
#include "fuzz.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "../../user/cli/tail.h"
#include "terminal.h"
#include "text.h"

#define BETWEEN_FILES '\f'

static char directory[256];
static int dirfd_of_log, older_fd = -1, newer_fd;

/* Nothing is waited for here, and to give an inotify instance back takes the kernel a long time. */
int inotify_init1(int flags) {
  (void)flags;
  return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int inotify_add_watch(int fd, const char *path, uint32_t mask) {
  (void)fd;
  (void)path;
  (void)mask;
  return 1;
}

static void remove_files(void) {
  (void)unlinkat(dirfd_of_log, "audit.1", 0);
  (void)unlinkat(dirfd_of_log, "audit", 0);
  (void)rmdir(directory);
}

static void make_files(void) {
  make_directory(directory, sizeof(directory));
  dirfd_of_log = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  older_fd = openat(dirfd_of_log, "audit.1", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  newer_fd = openat(dirfd_of_log, "audit", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  MUST(dirfd_of_log >= 0 && older_fd >= 0 && newer_fd >= 0);
  (void)atexit(remove_files);
}

static void put(int fd, const uint8_t *data, size_t n) {
  MUST(!ftruncate(fd, 0) && pwrite(fd, data, n, 0) == (ssize_t)n);
}

/* The lines that there are, told by looking at all bytes. What is cut off by a rotation is a line, too. */
struct expected {
  const uint8_t *at, *end;
};

static bool next_expected(struct expected *from, const uint8_t **ret_line, size_t *ret_n) {
  if (from->at == from->end)
    return false;
  size_t left = (size_t)(from->end - from->at);
  const uint8_t *newline = memchr(from->at, '\n', left);
  *ret_line = from->at;
  *ret_n = newline ? (size_t)(newline - from->at) : left;
  from->at += *ret_n + (newline != NULL);
  return true;
}

static size_t check_tail(struct expected files[2]) {
  struct tail tail;
  const uint8_t *line;
  char *read;
  size_t n, got, lines = 0;
  MUST(!tail__open(&tail, dirfd_of_log, "audit", false));
  for (int i = 0; i < 2; i++)
    for (; next_expected(&files[i], &line, &n); lines++) {
      int r = tail__next(&tail, &read, &got);
      if (r == 0) {
        MUST(i == 1 && files[i].at == files[i].end); /* the last one, not ended yet */
        got = tail__rest(&tail, &read);
      }
      MUST(r >= 0 && got == n && !memcmp(read, line, n));
    }
  MUST(tail__next(&tail, &read, &got) == 0 && tail__rest(&tail, &read) == 0);
  tail__close(&tail);
  return lines;
}

static char *events(const char *option, const char *value, bool json, size_t *ret_lines) {
  return run_command(cmd_events, directory, (const char *[]){"ebb events", option, value, NULL}, json, ret_lines);
}

/* In JSON, damaged lines are complained about elsewhere. */
static void check_events(size_t lines, bool json) {
  size_t shown, last_shown, of_pool, kept = lines < 2 ? lines : 2;
  char *all = events(NULL, NULL, json, &shown);
  char *last = events("-n", "2", json, &last_shown);
  MUST(json ? shown <= lines && last_shown <= kept : shown == lines && last_shown == kept);
  MUST(!strcmp(all + strlen(all) - strlen(last), last));
  free(last);
  free(all);
  free(events("--pool", "reports", json, &of_pool));
  MUST(of_pool <= shown);
}

static void check_escape(const uint8_t *data, size_t n) {
  char record[2048];
  struct text text = TEXT(record);
  bool plain = !memchr(data, 0, n);
  text__add(&text, "{\"text\":\"");
  text__add_json(&text, (const char *)data, n < 300 ? n : 300);
  text__add(&text, "\"}");
  struct json_object *object = json__parse_line(record, text.used);
  MUST(!text.cut && is_printable(record) && object);
  const char *read = json__get_string(object, "text");
  MUST(read);
  for (size_t i = 0; plain && i < n && i < 300; i++)
    plain = data[i] < 0x80;
  MUST(!plain || (strlen(read) == (n < 300 ? n : 300) && !memcmp(read, data, strlen(read))));
  (void)json_object_put(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  if (older_fd < 0)
    make_files();
  const uint8_t *end = data + n, *older_end = n ? memchr(data, BETWEEN_FILES, n) : NULL;
  const uint8_t *newer = older_end ? older_end + 1 : end;
  older_end = older_end ?: end;
  put(older_fd, data, (size_t)(older_end - data));
  put(newer_fd, newer, (size_t)(end - newer));
  size_t lines = check_tail((struct expected[2]){{data, older_end}, {newer, end}});
  check_events(lines, n & 1);
  check_escape(data, n);
  return 0;
}

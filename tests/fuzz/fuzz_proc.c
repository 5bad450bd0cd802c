/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Any text in place of what the kernel says in /proc and in PSI files: are numbers within bounds, is the answer untouched
 * by what cannot be read, and are lines handed over whole whatever the file holds?
 */
#include "fuzz.h"

#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernfile.h"
#include "lease.h"
#include "meminfo.h"
#include "procstat.h"
#include "psi.h"

#define UNTOUCHED 0x5a

#define CHECK_PARSER(parse, type)                                                                                      \
  static bool try_##parse(const char *text, struct type *ret) {                                                        \
    struct type before;                                                                                                \
    memset(ret, UNTOUCHED, sizeof(*ret));                                                                              \
    memset(&before, UNTOUCHED, sizeof(before));                                                                        \
    int r = parse(text, ret);                                                                                          \
    MUST(r == 0 || (r == -EPROTO && !memcmp(ret, &before, sizeof(before))));                                           \
    return r == 0;                                                                                                     \
  }
CHECK_PARSER(psi__parse, psi_totals)
CHECK_PARSER(meminfo__parse, meminfo)
CHECK_PARSER(procstat__parse, procstat)
CHECK_PARSER(procmem__parse, procmem)
CHECK_PARSER(procrollup__parse, procrollup)

static void parse_all(const char *text) {
  struct psi_totals totals;
  struct meminfo memory;
  struct procstat stat;
  struct procmem used;
  struct procrollup rollup;
  (void)try_psi__parse(text, &totals);
  if (try_meminfo__parse(text, &memory))
    MUST(memory.total_bytes % 1024 == 0 && memory.available_bytes % 1024 == 0);
  if (try_procmem__parse(text, &used))
    MUST(used.anon_bytes % 1024 == 0 && used.shmem_bytes % 1024 == 0 && used.swap_bytes % 1024 == 0);
  if (try_procrollup__parse(text, &rollup))
    MUST(rollup.own_bytes % 1024 == 0 && rollup.share_bytes % 1024 == 0);
  if (try_procstat__parse(text, &stat))
    MUST(stat.pid > 0 && stat.ppid >= -1 && stat.pgid >= -1 && stat.session >= -1 && stat.state != 0);
  (void)vmstat__moved(text);
}

/* Text that is written as the kernel writes it, with numbers of the input's, says those numbers. */
static void parse_told(struct bytes *bytes) {
  char text[512];
  uint64_t number[4];
  int64_t pid[4];
  struct psi_totals totals;
  struct meminfo memory;
  struct procstat stat;
  char name[16];
  take_bytes(bytes, number, sizeof(number));
  take_bytes(bytes, pid, sizeof(pid));
  take_bytes(bytes, name, sizeof(name));
  name[15] = 0;
  (void)snprintf(text, sizeof(text), "some avg10=0.00 total=%llu\nfull avg10=1.00 total=%llu\n",
                 (unsigned long long)number[0], (unsigned long long)number[1]);
  MUST(try_psi__parse(text, &totals) && totals.some_us == number[0] && totals.full_us == number[1]);
  (void)snprintf(text, sizeof(text), "MemTotal: %llu kB\nMemFree: 1 kB\nMemAvailable:    %llu kB\n",
                 (unsigned long long)number[0], (unsigned long long)number[1]);
  bool fits = number[0] <= UINT64_MAX / 1024 && number[1] <= UINT64_MAX / 1024;
  MUST(try_meminfo__parse(text, &memory) == fits);
  MUST(!fits || (memory.total_bytes == number[0] * 1024 && memory.available_bytes == number[1] * 1024));
  (void)snprintf(text, sizeof(text), "%lld (%s) S %lld %lld %lld 0 -1 4 %lld 0 %lld 0 0 0 0 0 20 0 1 0 %lld 0\n",
                 (long long)pid[0], name, (long long)pid[1], (long long)pid[2], (long long)pid[3], (long long)number[0],
                 (long long)number[1], (long long)number[2]);
  fits = pid[0] > 0 && pid[0] <= INT_MAX;
  for (int i = 1; i < 4; i++)
    fits &= pid[i] >= -1 && pid[i] <= INT_MAX;
  MUST(try_procstat__parse(text, &stat) == fits);
  MUST(!fits || (stat.pid == pid[0] && stat.ppid == pid[1] && stat.pgid == pid[2] && stat.session == pid[3] &&
                 stat.state == 'S' && stat.exiting && stat.minor_faults == number[0] &&
                 stat.major_faults == number[1] && stat.start_time == number[2]));
}

static void check_locks(const char *text) {
  static const struct lease_key keys[] = {{0, 1, 1}, {8, 1, 77}, {0xfe, 0, 10952753}};
  struct lease_use uses[3], again[3];
  memset(uses, 0xff, sizeof(uses));
  locks__parse(text, keys, 3, uses);
  memcpy(again, uses, sizeof(uses));
  locks__parse(text, keys, 3, uses);
  MUST(!memcmp(again, uses, sizeof(uses)));
  if (!strstr(text, "FLOCK"))
    for (int i = 0; i < 3; i++)
      MUST(!uses[i].held && !uses[i].awaited);
}

/* Lines of a file. */

#define LONGEST (16 * 1024) /* with its newline */

struct lines {
  const char *at, *end;
};

/* The next one that is to be handed over; NULL: none. */
static const char *next_line(struct lines *lines, size_t *ret_n) {
  while (lines->at < lines->end) {
    const char *line = lines->at, *newline = memchr(line, '\n', (size_t)(lines->end - line));
    lines->at = newline ? newline + 1 : lines->end;
    *ret_n = newline ? (size_t)(newline - line) : LONGEST;
    if (*ret_n < LONGEST)
      return line;
  }
  return NULL;
}

static bool take_line(const char *line, void *arg) {
  size_t n;
  const char *expected = next_line(arg, &n);
  MUST(expected && strlen(line) == strnlen(expected, n) && !memcmp(expected, line, strlen(line)));
  return true;
}

static void check_file(const char *data, size_t n, size_t lengthen) {
  static int fd = -1;
  static char path[64];
  if (fd < 0) {
    fd = memfd_create("kernfile", MFD_CLOEXEC);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
  }
  /* A long line between the input's two halves, which the fuzzer would not write. */
  size_t half = n / 2, whole = n + lengthen;
  char *file = malloc(whole + 1), *read = malloc(whole + 1);
  MUST(file && read);
  memcpy(file, data, half);
  memset(file + half, 'x', lengthen);
  memcpy(file + half + lengthen, data + half, n - half);
  MUST(!ftruncate(fd, 0) && pwrite(fd, file, whole, 0) == (ssize_t)whole);
  struct lines lines = {file, file + whole};
  MUST(!kernfile__each_line(path, take_line, &lines));
  MUST(!next_line(&lines, &(size_t){0}));
  MUST(kernfile__read(path, read, whole) == -EFBIG);
  MUST(!kernfile__read(path, read, whole + 1) && !memcmp(read, file, whole) && read[whole] == 0);
  free(read);
  free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  struct bytes bytes = {data, n};
  char *text = text_of(data, n);
  parse_all(text);
  check_locks(text);
  parse_told(&bytes);
  check_file(text, n, n && data[0] >= 0x80 ? (size_t)data[0] * 150 : 0);
  free(text);
  return 0;
}

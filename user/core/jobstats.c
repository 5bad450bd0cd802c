/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "jobstats.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "ebb/lease.h"
#include "parse.h"
#include "text.h"

static const char unlabelled[] = "-";
static const char other[] = "(other)";

/* Records come from a shared file: their strings may lack the NUL, and longer names were cut when they went in. */
static bool same(const char *kept, const char *name, size_t size) {
  return strncmp(kept, name, size - 1) == 0;
}

static bool of_pool(const struct ebb_job_kind *kind, const char *pool) {
  return same(kind->pool, pool, sizeof(kind->pool));
}

static bool is(const struct ebb_job_kind *kind, const char *pool, const char *label) {
  return of_pool(kind, pool) && same(kind->label, label, sizeof(kind->label));
}

static const char *label_or_dash(const char *label) {
  return label && *label ? label : unlabelled;
}

/* Of a full table: the pool's "(other)", or the record that becomes it. One of the pool's own if any, since its
 * sums stay true under that name; never the "(other)" of another pool, or two pools would rob each other in turn. */
static uint32_t find_other(const struct ebb_job_kind *kinds, uint32_t n, const char *pool) {
  uint32_t own = n, any = n;
  for (uint32_t i = 0; i < n; i++) {
    if (is(&kinds[i], pool, other))
      return i;
    if (of_pool(&kinds[i], pool))
      own = i;
    else if (!same(kinds[i].label, other, sizeof(kinds[i].label)))
      any = i;
  }
  return own < n ? own : any < n ? any : n - 1;
}

uint32_t jobstats__find(const struct ebb_job_kind *kinds, uint32_t n, const char *pool, const char *label) {
  uint32_t unused = n;
  for (uint32_t i = 0; i < n; i++) {
    if (is(&kinds[i], pool, label_or_dash(label)))
      return i;
    if (!kinds[i].pool[0] && unused == n)
      unused = i;
  }
  return unused < n ? unused : find_other(kinds, n, pool);
}

/* Make the record one that this run may be counted in. */
static void claim(struct ebb_job_kind *kind, const char *pool, const char *label) {
  bool fresh = !kind->pool[0];
  if (!fresh && is(kind, pool, label))
    return;
  if (!of_pool(kind, pool))
    *kind = (struct ebb_job_kind){0};
  if (!kind->pool[0])
    kind->minor_faults = kind->major_faults = kind->stall_us = EBB_UNKNOWN;
  (void)text__copy(kind->pool, sizeof(kind->pool), pool);
  (void)text__copy(kind->label, sizeof(kind->label), fresh ? label : other);
}

static uint64_t larger(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

static uint64_t sum(uint64_t a, uint64_t b) {
  uint64_t total;
  return __builtin_add_overflow(a, b, &total) ? EBB_UNKNOWN - 1 : total;
}

static void add_known(__u64 *to, uint64_t value) {
  if (value != EBB_UNKNOWN)
    *to = *to == EBB_UNKNOWN ? value : sum(*to, value);
}

void jobstats__count(struct ebb_job_kind *kind, const struct jobstats_run *run) {
  claim(kind, run->pool, label_or_dash(run->label));
  kind->runs++;
  kind->total_ns = sum(kind->total_ns, run->lasted_ns);
  kind->longest_ns = larger(kind->longest_ns, run->lasted_ns);
  add_known(&kind->minor_faults, run->minor_faults);
  add_known(&kind->major_faults, run->major_faults);
  add_known(&kind->stall_us, run->stall_us);
  if (run->peak_bytes != EBB_UNKNOWN)
    kind->peak_bytes = larger(kind->peak_bytes, run->peak_bytes);
  if (run->before_bytes == EBB_UNKNOWN || run->after_bytes == EBB_UNKNOWN || run->after_bytes <= run->before_bytes)
    return;
  uint64_t retained = run->after_bytes - run->before_bytes;
  kind->retained_bytes = sum(kind->retained_bytes, retained);
  kind->retained_most_bytes = larger(kind->retained_most_bytes, retained);
}

struct label {
  const char *text; /* n bytes, not terminated */
  size_t n;
  uint64_t sequence;
};

/* "<sequence> <label>\n" at the beginning of n bytes. Without its newline it is not whole. */
static bool parse_line(const char *line, size_t n, struct label *ret) {
  const char *end = memchr(line, '\n', n);
  const char *blank = end ? memchr(line, ' ', (size_t)(end - line)) : NULL;
  char digits[24] = {0};
  uint64_t sequence;
  if (!blank || (size_t)(blank - line) >= sizeof(digits))
    return false;
  memcpy(digits, line, (size_t)(blank - line));
  if (strlen(digits) != (size_t)(blank - line) || parse__number(digits, UINT64_MAX, &sequence) < 0)
    return false;
  *ret = (struct label){.text = blank + 1, .n = (size_t)(end - blank - 1), .sequence = sequence};
  return true;
}

/* The labels of a lease, the older one first; how many there are. */
static int parse_labels(const char *lease, struct label labels[2]) {
  int n = 0;
  for (uint64_t parity = 0; parity < 2; parity++)
    if (parse_line(lease + EBB_LEASE_LABEL_OFFSET(parity), EBB_LEASE_LABEL_FIELD, &labels[n]) &&
        (labels[n].sequence & 1) == parity)
      n++;
  if (n == 2 && labels[0].sequence > labels[1].sequence) {
    struct label newer = labels[0];
    labels[0] = labels[1];
    labels[1] = newer;
  }
  return n;
}

static void put(const struct label *label, char *to, uint32_t size) {
  struct text text;
  text__init(&text, to, size);
  text__add_visible(&text, label->text, label->n);
}

int jobstats__label(const char *lease, char *to, uint32_t size, uint64_t *ret_sequence) {
  struct label labels[2];
  int n = parse_labels(lease, labels);
  if (!n)
    return -ENOENT;
  put(&labels[n - 1], to, size);
  *ret_sequence = labels[n - 1].sequence;
  return 0;
}

static bool names_nothing(const struct label *label) {
  return label->n == 1 && label->text[0] == unlabelled[0];
}

int jobstats__next_label(const char *lease, uint64_t after, char *to, uint32_t size, uint64_t *ret_sequence) {
  struct label labels[2];
  int n = parse_labels(lease, labels);
  const struct label *next = NULL;
  for (int i = 0; i < n; i++)
    if (labels[i].sequence > after && (!next || names_nothing(next)))
      next = &labels[i];
  if (!next)
    return -ENOENT;
  put(next, to, size);
  *ret_sequence = next->sequence;
  return 0;
}

int jobstats__label_line(const char *line, uint32_t n, char *to, uint32_t size, uint64_t *ret_sequence) {
  struct label label;
  if (!parse_line(line, n, &label))
    return -ENOENT;
  put(&label, to, size);
  *ret_sequence = label.sequence;
  return 0;
}

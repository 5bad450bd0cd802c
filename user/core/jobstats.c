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

void jobstats__count(struct ebb_job_kind *kind, const struct jobstats_run *run) {
  claim(kind, run->pool, label_or_dash(run->label));
  kind->runs++;
  kind->total_ns = sum(kind->total_ns, run->lasted_ns);
  kind->longest_ns = larger(kind->longest_ns, run->lasted_ns);
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

/* "<sequence> <label>\n" in the field for sequences of that parity. Without its newline it is not whole. */
static bool parse_field(const char *lease, uint64_t parity, struct label *ret) {
  const char *field = lease + EBB_LEASE_LABEL_OFFSET(parity);
  const char *end = memchr(field, '\n', EBB_LEASE_LABEL_FIELD);
  const char *blank = end ? memchr(field, ' ', (size_t)(end - field)) : NULL;
  char digits[24] = {0};
  uint64_t sequence;
  if (!blank || (size_t)(blank - field) >= sizeof(digits))
    return false;
  memcpy(digits, field, (size_t)(blank - field));
  if (strlen(digits) != (size_t)(blank - field) || parse__number(digits, UINT64_MAX, &sequence) < 0)
    return false;
  if ((sequence & 1) != parity)
    return false;
  *ret = (struct label){.text = blank + 1, .n = (size_t)(end - blank - 1), .sequence = sequence};
  return true;
}

int jobstats__label(const char *lease, char *to, uint32_t size, uint64_t *ret_sequence) {
  struct label even, odd;
  bool has_even = parse_field(lease, 0, &even), has_odd = parse_field(lease, 1, &odd);
  if (!has_even && !has_odd)
    return -ENOENT;
  const struct label *newest = !has_odd || (has_even && even.sequence > odd.sequence) ? &even : &odd;
  struct text text;
  text__init(&text, to, size);
  text__add_visible(&text, newest->text, newest->n);
  *ret_sequence = newest->sequence;
  return 0;
}

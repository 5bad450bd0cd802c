/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A lease with anything in it, and job records with anything in them: are labels printable and within their room, is the
 * right one taken, and is what a worker's SDK writes read back?
 */
#include "fuzz.h"

#include <sys/mman.h>

#include "ebb/worker.h"
#include "jobstats.h"
#include "text.h"

#define KINDS 4

static void check_text(const char *text, size_t size) {
  MUST(memchr(text, 0, size));
  MUST(is_printable(text));
}

/* The number stands where numbers of its parity belong. */
static bool stands_there(const char *lease, uint64_t sequence) {
  char field[EBB_LEASE_LABEL_FIELD + 1] = "";
  memcpy(field, lease + EBB_LEASE_LABEL_OFFSET(sequence), EBB_LEASE_LABEL_FIELD);
  return strtoull(field, NULL, 10) == sequence;
}

static void read_labels(const char *lease, uint64_t after) {
  char label[EBB_LABEL_BYTES], next[EBB_LABEL_BYTES], small[4];
  uint64_t newest, sequence;
  int r = jobstats__label(lease, label, sizeof(label), &newest);
  MUST(r == 0 || r == -ENOENT);
  MUST(jobstats__next_label(lease, after, next, sizeof(next), &sequence) == (r || newest <= after ? -ENOENT : 0));
  if (r)
    return;
  check_text(label, sizeof(label));
  MUST(!jobstats__label(lease, small, sizeof(small), &sequence) && strlen(small) < sizeof(small));
  MUST(sequence == newest && stands_there(lease, newest));
  if (newest <= after)
    return;
  MUST(!jobstats__next_label(lease, after, next, sizeof(next), &sequence));
  check_text(next, sizeof(next));
  MUST(sequence > after && sequence <= newest);
  MUST(sequence == newest || strcmp(next, "-") != 0);
  MUST(sequence != newest || !strcmp(next, label));
}

/* By the SDK, over whatever there was. */
static void write_label(const char *lease, const char *text) {
  static int fd = -1;
  char after[EBB_LEASE_BYTES], label[EBB_LABEL_BYTES], copied[EBB_LABEL_BYTES], own[EBB_LEASE_BYTES];
  uint64_t sequence, own_sequence;
  if (fd < 0)
    fd = memfd_create("lease", MFD_CLOEXEC);
  MUST(pwrite(fd, lease, EBB_LEASE_BYTES, 0) == EBB_LEASE_BYTES);
  struct ebb_worker worker = {.fd = fd, .operation = EBB_WORKER_SHARED, .own = own};
  unsigned long before = ebb_worker_newest(fd);
  memcpy(own, lease, sizeof(own));
  MUST(!ebb_worker_label(&worker, text));
  MUST(pread(fd, after, sizeof(after), 0) == sizeof(after));
  MUST(!memcmp(after, lease, EBB_LEASE_LABEL_OFFSET(0)) && !memcmp(after + 240, lease + 240, 16));
  if (before == UINT64_MAX)
    return; /* a worker that writes such a number into its own lease loses only its own labels */
  MUST(!jobstats__label(after, label, sizeof(label), &sequence));
  check_text(label, sizeof(label));
  char *own_line = own + EBB_LEASE_LABEL_OFFSET(0);
  MUST(!jobstats__label_line(own_line, EBB_LEASE_LABEL_FIELD, copied, sizeof(copied), &own_sequence));
  MUST(sequence == before + 1 && own_sequence == sequence && !strcmp(label, copied));
}

static void count(struct bytes *bytes, const char *label) {
  struct ebb_job_kind kinds[KINDS];
  struct jobstats_run run = {.label = label, .pool = "reports"};
  uint64_t figures[7];
  take_bytes(bytes, figures, sizeof(figures));
  take_bytes(bytes, kinds, sizeof(kinds));
  for (int i = 0; i < KINDS; i++) { /* as trace__job hands them over */
    kinds[i].pool[EBB_NAME_BYTES - 1] = 0;
    kinds[i].label[EBB_LABEL_BYTES - 1] = 0;
  }
  memcpy(&run.lasted_ns, figures, sizeof(figures));
  uint32_t index = jobstats__find(kinds, KINDS, run.pool, label);
  MUST(index < KINDS);
  struct ebb_job_kind before = kinds[index];
  jobstats__count(&kinds[index], &run);
  MUST(!strcmp(kinds[index].pool, "reports"));
  MUST(jobstats__find(kinds, KINDS, run.pool, kinds[index].label) <= index);
  if (!strcmp(before.pool, "reports"))
    MUST(kinds[index].total_ns >= before.total_ns || before.total_ns == EBB_UNKNOWN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  struct bytes bytes = {data, n};
  uint64_t after;
  char *lease = malloc(EBB_LEASE_BYTES), label[EBB_LABEL_BYTES];
  MUST(lease);
  take_bytes(&bytes, lease, EBB_LEASE_BYTES);
  take_bytes(&bytes, &after, sizeof(after));
  read_labels(lease, after);
  read_labels(lease, 0);
  char *text = text_of(bytes.at, bytes.left);
  write_label(lease, text);
  if (!jobstats__label_line(text, (uint32_t)bytes.left, label, sizeof(label), &after))
    check_text(label, sizeof(label));
  count(&bytes, label[0] ? text : "-");
  free(text);
  free(lease);
  return 0;
}

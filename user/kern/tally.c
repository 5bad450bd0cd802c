/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "tally.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

static void take_process(struct tally *tally, const struct ebb_sweep *record) {
  if (record->tid != record->tgid || tally->n_processes == TALLY_PROCESSES_MAX)
    return;
  tally->processes[tally->n_processes++] = (struct tally_process){
      .pid = (pid_t)record->tgid,
      .ppid = (pid_t)record->ppid,
      .pgid = (pid_t)record->pgid,
      .session = (pid_t)record->session,
      .worker = record->worker,
  };
}

static void take_member(struct tally *tally, const struct ebb_sweep *record) {
  struct tally_worker *worker = &tally->workers[record->worker];
  worker->minor_faults += record->minor_faults;
  worker->major_faults += record->major_faults;
  if (!(record->flags & EBB_SWEEP_MEMORY) || !roster__note(&tally->roster, record->worker, (pid_t)record->tgid))
    return;
  worker->anon_pages += record->anon_pages;
  worker->shmem_pages += record->shmem_pages;
  worker->swap_pages += record->swap_pages;
  worker->processes++;
}

/* Whole records from the bytes; returns how many bytes those were. */
static size_t take_records(struct tally *tally, const char *bytes, size_t n, bool all) {
  struct ebb_sweep record;
  size_t at = 0;
  for (; n - at >= sizeof(record); at += sizeof(record)) {
    memcpy(&record, bytes + at, sizeof(record));
    if (all)
      take_process(tally, &record);
    if (record.worker < tally->n_workers)
      take_member(tally, &record);
  }
  return at;
}

static int read_records(struct tally *tally, int fd, bool all) {
  char bytes[448 * sizeof(struct ebb_sweep)]; /* about what the kernel hands over in one piece: 8 pages */
  size_t used = 0;
  for (;;) {
    ssize_t n = read(fd, bytes + used, sizeof(bytes) - used);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
      continue;
    if (n <= 0)
      return n < 0 ? -errno : 0;
    used += (size_t)n;
    size_t taken = take_records(tally, bytes, used, all);
    memmove(bytes, bytes + taken, used - taken);
    used -= taken;
  }
}

int tally__sweep(struct tally *tally, struct loader *loader, bool all) {
  memset(tally->workers, 0, tally->n_workers * sizeof(tally->workers[0]));
  roster__clear(&tally->roster, tally->n_workers);
  tally->n_processes = 0;
  _cleanup_fd_ int fd = loader__sweep(loader, all);
  if (fd < 0)
    return fd;
  int r = read_records(tally, fd, all);
  roster__sort(&tally->roster, tally->n_workers);
  return r;
}

struct tally_process *tally__process(struct tally *tally, pid_t pid) {
  uint32_t low = 0, high = tally->n_processes;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (tally->processes[middle].pid < pid)
      low = middle + 1;
    else
      high = middle;
  }
  return low < tally->n_processes && tally->processes[low].pid == pid ? &tally->processes[low] : NULL;
}

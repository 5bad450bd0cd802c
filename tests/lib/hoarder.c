/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A worker in C, by ebb/worker.h, whose allocator keeps what its jobs have freed. A job is a file in the folder that it is
 * given: `hoard` takes 64 MiB in small pieces and frees all but the last one, which keeps the heap from shrinking;
 * anything else does nothing. A file is removed when its job is done.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ebb/worker.h"

#define PIECE_BYTES 1024
#define PIECES (64 * 1024)

static void hoard(void) {
  static char *pieces[PIECES];
  for (int i = 0; i < PIECES; i++) {
    pieces[i] = malloc(PIECE_BYTES);
    if (!pieces[i])
      abort();
    memset(pieces[i], i, PIECE_BYTES);
  }
  for (int i = 0; i < PIECES - 1; i++)
    free(pieces[i]);
}

/* false: there is none. */
static int fetch(char *to, size_t size) {
  DIR *folder = opendir(".");
  const struct dirent *entry;
  int found = 0;
  while (folder && !found && (entry = readdir(folder)))
    found = entry->d_name[0] != '.' && snprintf(to, size, "%s", entry->d_name) > 0;
  if (folder)
    (void)closedir(folder);
  return found;
}

int main(int argc, char **argv) {
  struct ebb_worker worker;
  char job[256];
  if (argc != 2 || chdir(argv[1]) || ebb_worker_open(&worker, EBB_WORKER_ALONE) ||
      ebb_worker_ready(&worker) != EBB_WORKER_RUN)
    return 1;
  for (;;) {
    if (!fetch(job, sizeof(job))) {
      (void)usleep(10000);
      continue;
    }
    if (ebb_worker_begin(&worker, job) != EBB_WORKER_RUN)
      return 0;
    if (!strcmp(job, "hoard"))
      hoard();
    (void)unlink(job);
    (void)ebb_worker_end(&worker);
  }
}

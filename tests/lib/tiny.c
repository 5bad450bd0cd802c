/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The smallest worker that uses its lease: it comes up, does one job of no length, and waits to be told to go. */
#include <unistd.h>

#include "ebb/worker.h"

int main(void) {
  struct ebb_worker worker;
  if (ebb_worker_open(&worker, EBB_WORKER_ALONE) < 0 || ebb_worker_ready(&worker) != EBB_WORKER_RUN)
    return 2;
  if (ebb_worker_begin(&worker, "tiny") != EBB_WORKER_RUN)
    return 0;
  (void)ebb_worker_end(&worker);
  for (;;)
    (void)pause();
}

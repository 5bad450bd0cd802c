/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "selfprotect.h"

#include <errno.h>
#include <link.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernfile.h"

/* Of one program or library: what is only read and run. */
static int lock_code(struct dl_phdr_info *object, size_t size, void *unused) {
  (void)size, (void)unused;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &object->dlpi_phdr[i];

    if (part->p_type == PT_LOAD && !(part->p_flags & PF_W))
      (void)mlock((const void *)(object->dlpi_addr + part->p_vaddr), part->p_memsz);
  }
  return 0;
}

int selfprotect__lock_memory(void) {
  if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
    return -errno;
  (void)dl_iterate_phdr(lock_code, NULL);
  return 0;
}

void selfprotect__touch_stack(void) {
  volatile char space[SELFPROTECT_STACK_BYTES];

  for (size_t at = 0; at < sizeof(space); at += 4096)
    space[at] = 0;
}

static int write_score(const char *path, int value) {
  char text[16];

  (void)snprintf(text, sizeof(text), "%d", value);
  return kernfile__write(path, text);
}

int selfprotect__oom_score_adj(int value) {
  return write_score("/proc/self/oom_score_adj", value);
}

int selfprotect__oom_score_adj_of(int pid, int value) {
  struct stat status;
  char path[64];
  int err, before;

  (void)snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
  if (stat(path, &status))
    return errno == ENOENT ? -ESRCH : -errno;
  before = setfsuid(status.st_uid); /* without CAP_DAC_OVERRIDE only its owner may */
  err = write_score(path, value);
  (void)setfsuid((uid_t)before);
  return err == -ENOENT ? -ESRCH : err;
}

int selfprotect__open_files(unsigned long *ret_before) {
  struct rlimit limit;

  if (getrlimit(RLIMIT_NOFILE, &limit))
    return -errno;
  *ret_before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  return setrlimit(RLIMIT_NOFILE, &limit) ? -errno : 0;
}

/* sched_setattr(2) in its first version; libraries that have it, and headers that may not be included together, differ. */
struct turns {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime_ns, deadline_ns, period_ns;
};

#define RESET_ON_FORK 1
/* Without a sleep in between: longer than any walk of page tables takes. */
#define MOST_RUN_US 5000000
#define SHORT_TURN_NS 100000

static int short_turns(void) {
  struct turns turns = {.size = sizeof(turns)};

  if (syscall(SYS_sched_getattr, 0, &turns, sizeof(turns), 0))
    return -errno;
  turns.size = sizeof(turns);
  turns.runtime_ns = SHORT_TURN_NS;
  return syscall(SYS_sched_setattr, 0, &turns, 0) ? -errno : 0;
}

int selfprotect__run_soon(void) {
  const struct turns first = {.size = sizeof(first), .policy = SCHED_FIFO, .flags = RESET_ON_FORK, .priority = 1};

  const struct rlimit limit = {MOST_RUN_US, MOST_RUN_US};

  /* The limit comes first: who cannot be stopped must not be let in. */
  if (setrlimit(RLIMIT_RTTIME, &limit) || syscall(SYS_sched_setattr, 0, &first, 0))
    return short_turns();
  return 0;
}

int selfprotect__subreaper(void) {
  return prctl(PR_SET_CHILD_SUBREAPER, 1) ? -errno : 0;
}

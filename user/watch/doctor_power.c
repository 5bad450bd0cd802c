/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the two daemons of the run directory may do, as the kernel says. */
#include <cap-ng.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "board.h"
#include "confine.h"
#include "rundir.h"
#include "trace.h"
#include "watch.h"

#define BIT(name) | (1ULL << CAP_##name)

struct daemon {
  const char *name;
  uint64_t wanted;
  int (*open)(struct seqfile *file, int run_dirfd); /* the file that it writes */
};

static const struct daemon daemons[] = {
    {"ebbd", 0 CONFINE_EBBD(BIT), board__open},
    {"ebb-watch", 0 CONFINE_WATCH(BIT), trace__open},
};

static pid_t pid_of(const struct daemon *daemon, int run_dirfd) {
  struct seqfile file;
  pid_t pid = 0;
  if (run_dirfd < 0 || daemon->open(&file, run_dirfd))
    return 0;
  if (seqfile__writer_alive(&file))
    pid = file.head->writer_pid;
  seqfile__close(&file);
  return pid;
}

/* Names of the bits, with `between` between them. */
static void print_names(uint64_t bits, const char *quote, const char *between) {
  const char *before = "";
  for (unsigned i = 0; i <= CAP_LAST_CAP; i++) {
    if (!(bits >> i & 1))
      continue;
    printf("%s%s%s%s", before, quote, capng_capability_to_name(i), quote);
    before = between;
  }
}

static void print_text(const struct daemon *daemon, pid_t pid, const struct confinement *is) {
  printf("%s (%d): ", daemon->name, (int)pid);
  print_names(is->effective, "", ", ");
  printf("%s", is->effective ? "" : "no capabilities");
  if (daemon->wanted & ~is->effective) {
    printf("; without ");
    print_names(daemon->wanted & ~is->effective, "", ", ");
  }
  printf("; no_new_privs %s; system calls %s\n", is->no_new_privs ? "yes" : "no", is->filtered ? "filtered" : "free");
}

static void print_json(const struct daemon *daemon, pid_t pid, const struct confinement *is) {
  printf("{\"program\":\"%s\",\"pid\":%d,\"capabilities\":[", daemon->name, (int)pid);
  print_names(is->effective, "\"", ",");
  printf("],\"missing\":[");
  print_names(daemon->wanted & ~is->effective, "\"", ",");
  printf("],\"no_new_privs\":%s,\"filtered\":%s}", is->no_new_privs ? "true" : "false",
         is->filtered ? "true" : "false");
}

void doctor__power(const struct options *options) {
  int run_dirfd = rundir__open(rundir__path(options->run_dir));
  const char *before = "";
  for (size_t i = 0; i < sizeof(daemons) / sizeof(*daemons); i++) {
    struct confinement is;
    pid_t pid = pid_of(&daemons[i], run_dirfd);
    if (!pid || confine__read(pid, &is))
      continue;
    if (options->json) {
      printf("%s", before);
      print_json(&daemons[i], pid, &is);
    } else {
      print_text(&daemons[i], pid, &is);
    }
    before = ",";
  }
  if (run_dirfd >= 0)
    (void)close(run_dirfd);
}

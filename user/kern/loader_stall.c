/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The programs that measure stalls: loaded where this kernel has what they look at, attached while they are wanted. */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ebb.skel.h"
#include "loader_stall.h"

/* Without pressure figures (psi=0 when it booted) the kernel marks no thread, and all stalls would look like none. */
#define PSI_PATH "/proc/pressure/memory"

/* By their names in the skeleton. They are loaded by pairs, or not at all: what begins must end. */
#define STALL_PROGRAMS(X)                                                                                              \
  X(stall_switch)                                                                                                      \
  X(stall_exit)                                                                                                        \
  X(stall_memcg_begin)                                                                                                 \
  X(stall_memcg_end)                                                                                                   \
  X(stall_direct_begin)                                                                                                \
  X(stall_direct_end)                                                                                                  \
  X(stall_compaction_begin)                                                                                            \
  X(stall_compaction_end)                                                                                              \
  X(stall_submit)                                                                                                      \
  X(stall_submitted)

enum {
#define X(name) N_##name,
  STALL_PROGRAMS(X)
#undef X
      N_STALL_PROGRAMS
};

_Static_assert(N_STALL_PROGRAMS == LOADER_STALL_PROGRAMS, "a descriptor each");

static void list(struct ebb *skel, struct bpf_program *to[N_STALL_PROGRAMS]) {
  struct bpf_program *const all[N_STALL_PROGRAMS] = {
#define X(name) skel->progs.name,
      STALL_PROGRAMS(X)
#undef X
  };
  memcpy(to, all, sizeof(all));
}

static bool has_tracepoint(const struct btf *btf, const struct bpf_program *program) {
  char type[80];
  const char *slash = strchr(bpf_program__section_name(program), '/');
  (void)snprintf(type, sizeof(type), "btf_trace_%s", slash ? slash + 1 : "");
  return btf__find_by_name_kind(btf, type, BTF_KIND_TYPEDEF) > 0;
}

/* Kernels without memory cgroups, or without compaction, do not have these tracepoints, and do not stall there. */
void stall__choose(struct ebb *skel, const struct btf *btf) {
  struct bpf_program *all[N_STALL_PROGRAMS];
  list(skel, all);
  for (int i = 0; i < N_STALL_PROGRAMS; i += 2) {
    bool here = btf && has_tracepoint(btf, all[i]) && has_tracepoint(btf, all[i + 1]);
    (void)bpf_program__set_autoload(all[i], here);
    (void)bpf_program__set_autoload(all[i + 1], here);
  }
}

static void detach(struct loader *loader) {
  for (int i = 0; i < N_STALL_PROGRAMS; i++)
    loader__detach(&loader->stall_fds[i]);
  loader->skel->bss->stall_on = false;
  loader->stall = false;
}

/* Waits that were going on when it was last switched off, and whose end nobody saw. */
static void forget(struct loader *loader) {
  int fd = bpf_map__fd(loader->skel->maps.stalls);
  uint32_t tid;
  while (!bpf_map_get_next_key(fd, NULL, &tid))
    if (bpf_map_delete_elem(fd, &tid))
      break;
}

int loader__stall(struct loader *loader, bool on) {
  struct bpf_program *all[N_STALL_PROGRAMS];
  if (on == loader->stall)
    return 0;
  if (!on) {
    detach(loader);
    return 0;
  }
  if (bpf_program__fd(loader->skel->progs.stall_switch) < 0 || access(PSI_PATH, F_OK))
    return -EOPNOTSUPP;
  forget(loader);
  loader->skel->bss->stall_on = true;
  list(loader->skel, all);
  for (int i = 0; i < N_STALL_PROGRAMS; i++) {
    int r = bpf_program__fd(all[i]) < 0 ? 0 : loader__attach(all[i], &loader->stall_fds[i]);
    if (r) {
      detach(loader);
      return r;
    }
  }
  loader->stall = true;
  return 0;
}

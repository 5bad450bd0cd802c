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

/* A name in the skeleton each. Both halves of a pair, or none: what begins must end. */
#define STALL_PAIRS(X)                                                                                                 \
  X(memcg)                                                                                                             \
  X(direct)                                                                                                            \
  X(compaction)

#define N_STALL_PROGRAMS 9

struct stall_program {
  struct bpf_program *program;
  struct bpf_link **link;
};

static void list(struct ebb *skel, struct stall_program to[N_STALL_PROGRAMS]) {
  const struct stall_program all[N_STALL_PROGRAMS] = {{skel->progs.stall_switch, &skel->links.stall_switch},
                                                      {skel->progs.stall_submit, &skel->links.stall_submit},
                                                      {skel->progs.stall_submitted, &skel->links.stall_submitted},
#define X(name)                                                                                                        \
  {skel->progs.stall_##name##_begin, &skel->links.stall_##name##_begin},                                               \
      {skel->progs.stall_##name##_end, &skel->links.stall_##name##_end},
                                                      STALL_PAIRS(X)
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
  struct stall_program all[N_STALL_PROGRAMS];
  list(skel, all);
  bool needed = btf && has_tracepoint(btf, skel->progs.stall_switch);
  (void)bpf_program__set_autoload(all[0].program, needed);
  for (int i = 1; i < N_STALL_PROGRAMS; i += 2) {
    bool here = needed && has_tracepoint(btf, all[i].program) && has_tracepoint(btf, all[i + 1].program);
    (void)bpf_program__set_autoload(all[i].program, here);
    (void)bpf_program__set_autoload(all[i + 1].program, here);
  }
}

static int attach(const struct stall_program *one) {
  if (bpf_program__fd(one->program) < 0 || *one->link)
    return 0;
  struct bpf_link *link = bpf_program__attach(one->program);
  if (!link)
    return -errno;
  *one->link = link;
  return 0;
}

static void detach(struct loader *loader) {
  struct stall_program all[N_STALL_PROGRAMS];
  list(loader->skel, all);
  for (int i = 0; i < N_STALL_PROGRAMS; i++) {
    (void)bpf_link__destroy(*all[i].link);
    *all[i].link = NULL;
  }
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
  struct stall_program all[N_STALL_PROGRAMS];
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
    int r = attach(&all[i]);
    if (r) {
      detach(loader);
      return r;
    }
  }
  loader->stall = true;
  return 0;
}

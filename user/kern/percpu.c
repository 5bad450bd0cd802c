/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "percpu.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "ebb/kernel.h"
#include "probe.h"
#include "probe.skel.h"

/* The iterator runs once for each map, when it is read. */
static int visit_maps(struct probe *skel) {
  char byte;
  struct bpf_link *link = bpf_program__attach_iter(skel->progs.probe_percpu, NULL);
  if (!link)
    return -errno;
  _cleanup_fd_ int fd = bpf_iter_create(bpf_link__fd(link));
  int r = fd < 0 || read(fd, &byte, sizeof(byte)) < 0 ? -errno : 0;
  (void)bpf_link__destroy(link);
  return r;
}

static int find(struct probe *skel, uint64_t *to, int max) {
  struct bpf_map_info info = {0};
  __u32 n_info = sizeof(info);
  if (bpf_obj_get_info_by_fd(bpf_map__fd(skel->maps.here), &info, &n_info))
    return -errno;
  skel->bss->here_id = info.id;
  int n = 0, r = visit_maps(skel);
  if (r)
    return r;
  for (; n < max && n < EBB_CPUS_MAX && skel->bss->addresses[n]; n++)
    to[n] = skel->bss->addresses[n] - skel->bss->base;
  return n;
}

int percpu__offsets(uint64_t *to, int max) {
  struct probe *skel = probe__only("probe_percpu");
  if (!skel)
    return -errno;
  int r = find(skel, to, max);
  probe__destroy(skel);
  return r;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "pins.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ebb.skel.h"

struct kept {
  struct bpf_program *program;
  struct bpf_link **link;
};

#define KEPT_N 4

static void kept_of(struct ebb *skel, struct kept kept[KEPT_N]) {
  kept[0] = (struct kept){skel->progs.family_fork, &skel->links.family_fork};
  kept[1] = (struct kept){skel->progs.family_exec, &skel->links.family_exec};
  kept[2] = (struct kept){skel->progs.family_exit, &skel->links.family_exit};
  kept[3] = (struct kept){skel->progs.lease_lock, &skel->links.lease_lock};
}

/* Names in bpffs hold no dots, those of the maps of global variables begin with one. */
static void path_of(char to[PATH_MAX], const char *directory, const char *kind, const char *name) {
  int n = snprintf(to, PATH_MAX, "%s/%s-%s", directory, kind, name);
  for (char *at = to + strlen(directory); n > 0 && *at; at++)
    if (*at == '.')
      *at = '_';
}

uint64_t pins__version(void) {
  size_t n = 0;
  const unsigned char *bytes = ebb__elf_bytes(&n);
  uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
  for (size_t i = 0; i < n; i++)
    hash = (hash ^ bytes[i]) * 0x100000001b3;
  return hash;
}

static int take_map(struct bpf_map *map, const char *path) {
  int fd = bpf_obj_get(path);
  if (fd < 0)
    return -errno;
  int r = bpf_map__reuse_fd(map, fd);
  (void)close(fd);
  return r;
}

int pins__take(struct ebb *skel, const char *directory) {
  char path[PATH_MAX];
  struct kept kept[KEPT_N];
  struct bpf_map *map;
  int r = 0;
  bpf_object__for_each_map(map, skel->obj) {
    path_of(path, directory, "map", bpf_map__name(map));
    if (!r)
      r = take_map(map, path);
  }
  kept_of(skel, kept);
  for (int i = 0; !r && i < KEPT_N; i++) {
    path_of(path, directory, "link", bpf_program__name(kept[i].program));
    *kept[i].link = bpf_link__open(path);
    r = *kept[i].link ? bpf_program__set_autoload(kept[i].program, false) : -errno;
  }
  return r;
}

int pins__keep(struct ebb *skel, const char *directory) {
  char path[PATH_MAX];
  struct kept kept[KEPT_N];
  struct bpf_map *map;
  int r = 0;
  bpf_object__for_each_map(map, skel->obj) {
    path_of(path, directory, "map", bpf_map__name(map));
    if (!r && bpf_obj_pin(bpf_map__fd(map), path))
      r = -errno;
  }
  kept_of(skel, kept);
  for (int i = 0; !r && i < KEPT_N; i++) {
    path_of(path, directory, "link", bpf_program__name(kept[i].program));
    if (bpf_obj_pin(bpf_link__fd(*kept[i].link), path))
      r = -errno;
  }
  if (r)
    pins__drop(skel, directory);
  return r;
}

void pins__drop(struct ebb *skel, const char *directory) {
  char path[PATH_MAX];
  struct kept kept[KEPT_N];
  struct bpf_map *map;
  bpf_object__for_each_map(map, skel->obj) {
    path_of(path, directory, "map", bpf_map__name(map));
    (void)unlink(path);
  }
  kept_of(skel, kept);
  for (int i = 0; i < KEPT_N; i++) {
    path_of(path, directory, "link", bpf_program__name(kept[i].program));
    (void)unlink(path);
  }
}

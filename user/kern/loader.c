/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "loader.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "complaint.h"
#include "ebb.skel.h"
#include "loader_stall.h"
#include "percpu.h"
#include "pins.h"

#define BTF_PATH "/sys/kernel/btf/vmlinux"
/* PROC_PID_INIT_INO. */
#define FIRST_PID_NAMESPACE "pid:[4026531836]"

static int explain(int error, const char *what, char *why, size_t why_bytes) {
  const char *reason = complaint__reason();
  if (error == -EPERM || (error == -EACCES && !reason[0]))
    (void)snprintf(why, why_bytes, "%s: not permitted, CAP_BPF and CAP_PERFMON are needed", what);
  else
    (void)snprintf(why, why_bytes, "%s: %s%s%s", what, strerror(-error), reason[0] ? "; " : "", reason);
  return error;
}

bool loader__sees_pids(void) {
  char link[64] = "";
  return readlink("/proc/self/ns/pid", link, sizeof(link) - 1) > 0 && !strcmp(link, FIRST_PID_NAMESPACE);
}

static int look_around(char *why, size_t why_bytes) {
  if (access(BTF_PATH, R_OK)) {
    int error = -errno;
    (void)snprintf(why, why_bytes, "no type information of the running kernel: " BTF_PATH ": %s", strerror(-error));
    return error;
  }
  if (!loader__sees_pids()) {
    (void)snprintf(why, why_bytes, "not in the host's pid namespace, whose numbers the kernel programs see");
    return -EXDEV;
  }
  return 0;
}

static void forget(struct loader *loader) {
  ebb__destroy(loader->skel);
  loader->skel = NULL;
}

static int resize(struct ebb *skel, const struct loader_options *options) {
  const struct {
    struct bpf_map *map;
    uint32_t entries;
  } sizes[] = {
      {skel->maps.events, options->ring_bytes},
      {skel->maps.procs, options->procs_max},
      {skel->maps.mms, options->procs_max},
      {skel->maps.held, options->held_max},
  };
  int r = 0;
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && !r; i++)
    if (sizes[i].entries)
      r = bpf_map__set_max_entries(sizes[i].map, sizes[i].entries);
  if (options->ring_bytes)
    skel->rodata->ring_bytes = options->ring_bytes;
  return r;
}

/* A program that reaches beyond the values of its map is one that every verifier refuses. */
static void spoil(struct ebb *skel, const char *name) {
  struct bpf_map *map = name ? bpf_object__find_map_by_name(skel->obj, name) : NULL;
  if (map)
    (void)bpf_map__set_value_size(map, 8);
}

static int load(struct loader *loader, const struct loader_options *options, const char *pins, bool growth,
                const struct btf *stall) {
  loader->skel = ebb__open();
  if (!loader->skel)
    return -errno;
  (void)bpf_program__set_autoload(loader->skel->progs.memory_rss, growth);
  stall__choose(loader->skel, stall);
  spoil(loader->skel, options->spoil);
  int r = pins ? pins__take(loader->skel, pins) : resize(loader->skel, options);
  if (!r)
    r = ebb__load(loader->skel);
  if (r)
    forget(loader);
  return r;
}

/* One refused program makes libbpf drop the whole object, so what we can do without is left out step by step. */
static int load_some(struct loader *loader, const struct loader_options *options, const char *pins,
                     const struct btf *stall) {
  int r = -ENOENT;
  if (!options->no_growth)
    r = load(loader, options, pins, true, stall);
  if (r && r != -EPERM)
    r = load(loader, options, pins, false, stall);
  return r;
}

static int load_most(struct loader *loader, const struct loader_options *options, const char *pins) {
  struct btf *btf = btf__load_vmlinux_btf();
  int r = btf ? load_some(loader, options, pins, btf) : -ENOENT;
  btf__free(btf);
  return r && r != -EPERM ? load_some(loader, options, pins, NULL) : r;
}

int loader__attach(const struct bpf_program *program, int *ret_fd) {
  int fd = bpf_raw_tracepoint_open(NULL, bpf_program__fd(program));
  if (fd < 0)
    return fd;
  *ret_fd = fd;
  return 0;
}

void loader__detach(int *fd) {
  if (*fd >= 0)
    (void)close(*fd);
  *fd = -1;
}

static int attach(struct bpf_program *program, struct bpf_link **ret_link) {
  struct bpf_link *link = bpf_program__attach(program);
  if (!link)
    return -errno;
  *ret_link = link;
  return 0;
}

static int attach_needed(struct loader *loader, const char **ret_what) {
  struct ebb *skel = loader->skel;
  struct {
    struct bpf_program *program;
    struct bpf_link **link;
  } needed[] = {
      {skel->progs.family_fork, &skel->links.family_fork}, {skel->progs.family_exec, &skel->links.family_exec},
      {skel->progs.family_exit, &skel->links.family_exit}, {skel->progs.lease_lock, &skel->links.lease_lock},
      {skel->progs.sweep_tasks, &skel->links.sweep_tasks},
  };
  for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
    if (*needed[i].link)
      continue; /* taken from the pins */
    int r = attach(needed[i].program, needed[i].link);
    if (r) {
      *ret_what = bpf_program__name(needed[i].program);
      return r;
    }
  }
  return 0;
}

static void set_growth(struct loader *loader, bool on) {
  if (on && !loader->growth)
    (void)loader__attach(loader->skel->progs.memory_rss, &loader->growth_fd);
  else if (!on)
    loader__detach(&loader->growth_fd);
  loader->growth = loader->growth_fd >= 0;
}

void loader__set_level(struct loader *loader, uint32_t level) {
  set_growth(loader, level >= 1 && loader->has_growth);
  (void)loader__stall(loader, level >= 2);
}

uint32_t loader__level(const struct loader *loader) {
  return loader->stall ? 2 : loader->growth;
}

static int map_workers(struct loader *loader) {
  void *at = mmap(NULL, EBB_SLOTS_MAX * sizeof(struct ebb_kworker), PROT_READ | PROT_WRITE, MAP_SHARED,
                  bpf_map__fd(loader->skel->maps.workers), 0);
  if (at == MAP_FAILED)
    return -errno;
  loader->workers = at;
  return 0;
}

/* What could be left out was, and somebody should know why. What this kernel has no tracepoints for is no news. */
static void say_what_lacks(const struct loader *loader, const struct loader_options *options, char *why,
                           size_t why_bytes) {
  const char *reason = complaint__reason(), *what = NULL;
  if (!loader->has_growth && !options->no_growth)
    what = "growth is seen by sweeps only";
  else if (!loader->has_stall)
    what = "stalls are not measured";
  if (what && reason[0])
    (void)snprintf(why, why_bytes, "%s: %s", what, reason);
}

static int open_all(struct loader *loader, const struct loader_options *options, char *why, size_t why_bytes) {
  const char *what = "kernel programs";
  int r = options->pins ? load_most(loader, options, options->pins) : -ENOENT;
  loader->resumed = !r;
  if (r)
    r = load_most(loader, options, NULL);
  if (r)
    return explain(r, what, why, why_bytes);
  r = attach_needed(loader, &what);
  if (r)
    return explain(r, what, why, why_bytes);
  r = map_workers(loader);
  if (r)
    return explain(r, "map of workers", why, why_bytes);
  if (options->pins && !loader->resumed) {
    pins__drop(loader->skel, options->pins); /* less than what is needed, then */
    (void)pins__keep(loader->skel, options->pins);
  }
  loader->has_growth = bpf_program__fd(loader->skel->progs.memory_rss) >= 0;
  loader->has_stall = bpf_program__fd(loader->skel->progs.stall_switch) >= 0;
  say_what_lacks(loader, options, why, why_bytes);
  loader__set_level(loader, 1);
  loader->has_growth = loader->growth;
  loader->skel->bss->look_tgid = (__u32)getpid();
  int cpus = percpu__offsets((uint64_t *)loader->skel->bss->cpu_offsets, EBB_CPUS_MAX);
  loader->skel->bss->n_cpus = cpus > 0 ? (__u32)cpus : 0;
  return 0;
}

int loader__open(struct loader *ret, const struct loader_options *options, char *why, size_t why_bytes) {
  struct loader loader = {.growth_fd = -1};
  for (size_t i = 0; i < LOADER_STALL_PROGRAMS; i++)
    loader.stall_fds[i] = -1;
  int r = look_around(why, why_bytes);
  if (r)
    return r;
  complaint__begin(options->verbose);
  r = open_all(&loader, options, why, why_bytes);
  complaint__end();
  if (r) {
    loader__close(&loader);
    return r;
  }
  /* libbpf had the type information of the whole kernel in memory. */
  (void)malloc_trim(0);
  *ret = loader;
  return 0;
}

void loader__close(struct loader *loader) {
  if (!loader)
    return;
  if (loader->workers)
    (void)munmap(loader->workers, EBB_SLOTS_MAX * sizeof(struct ebb_kworker));
  if (loader->skel) {
    loader__set_level(loader, 0);
    ebb__destroy(loader->skel);
  }
  *loader = (struct loader){0};
}

int loader__sweep(struct loader *loader, bool all) {
  loader->skel->bss->sweep_all = all;
  loader->skel->bss->sweep_number++;
  int fd = bpf_iter_create(bpf_link__fd(loader->skel->links.sweep_tasks));
  return fd < 0 ? -errno : fd;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "probe.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "probe.skel.h"

static int quiet(enum libbpf_print_level level, const char *format, va_list arguments) {
  (void)level, (void)format, (void)arguments;
  return 0;
}

static struct probe *load(const char *name) {
  struct probe *skel = probe__open();
  struct bpf_program *program;
  if (!skel)
    return NULL;
  bpf_object__for_each_program(program, skel->obj)(void)
      bpf_program__set_autoload(program, !strcmp(bpf_program__name(program), name));
  int r = probe__load(skel);
  if (r) {
    probe__destroy(skel);
    errno = -r;
    return NULL;
  }
  return skel;
}

struct probe *probe__only(const char *program) {
  libbpf_print_fn_t before = libbpf_set_print(quiet);
  struct probe *skel = load(program);
  int error = errno;
  (void)libbpf_set_print(before);
  errno = error;
  return skel;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Would this object's relocations be resolved on that kernel? The kernel need not run, nor be of this architecture.
 *
 *   relocate OBJECT TYPES
 *
 * libbpf is asked to load the object against the given type information (BTF, raw). Where a type or member is not there
 * it puts an invalid instruction into the program, which is right where a test for its existence guards it; so what is
 * asked of the result is that no such instruction can be reached. Before the first program would go to the kernel that
 * runs here, the load is called off. And each program's tracepoint has to be among the types.
 *
 * Exit code: 0 resolved, 1 not, 2 wrong usage or not readable, 77 not permitted here.
 */
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reach.h"

#define NOT_RESOLVED 0xbad2310 /* libbpf's mark, as the number of the helper that is called */
#define NAME_BYTES 128

struct check {
  struct bpf_object *object;
  struct btf *types;
  int programs, relocations, bad;
  bool got_there;
};

/* libbpf's callbacks have no argument of ours. */
static struct check check;
static char last[512];     /* what it said last of a relocation */
static char missing[2048]; /* relocations that it could not resolve, guarded or not */

/* Of a relocation it tells first what it is about, and then what has become of it. */
static int take_message(enum libbpf_print_level level, const char *format, va_list arguments) {
  char text[512];
  (void)vsnprintf(text, sizeof(text), format, arguments);
  if (level == LIBBPF_WARN && !check.got_there)
    (void)fputs(text, stderr);
  if (strstr(text, ": relo #") && strchr(text, '<')) {
    check.relocations += !strstr(text, "matching candidate");
    if (!strstr(text, "matching candidate"))
      (void)snprintf(last, sizeof(last), "%s", text);
  }
  if (strstr(text, "substituting insn") && strlen(missing) + strlen(last) + 1 < sizeof(missing))
    (void)strcat(missing, last);
  return 0;
}

static void check_program(struct bpf_program *program) {
  size_t n = bpf_program__insn_cnt(program);
  const struct bpf_insn *insns = bpf_program__insns(program);
  bool *reached = calloc(n, sizeof(*reached));
  int r = reached ? reach__find(insns, n, reached) : -ENOMEM;
  if (r) {
    (void)printf("%s: %s\n", bpf_program__name(program), strerror(-r));
    check.bad++;
  }
  for (size_t i = 0; !r && i < n; i++) {
    if (!reached[i] || insns[i].code != (BPF_JMP | BPF_CALL) || insns[i].imm != NOT_RESOLVED)
      continue;
    (void)printf("%s: instruction %zu is reached, and what it needs is not there\n", bpf_program__name(program), i);
    check.bad++;
  }
  free(reached);
}

/* "tp_btf/NAME" and "iter/NAME": the kernel has a typedef, or a function, for what can be attached to. */
static void check_target(struct bpf_program *program) {
  const char *section = bpf_program__section_name(program), *name = strchr(section, '/');
  bool iterator = !strncmp(section, "iter", 4);
  char wanted[NAME_BYTES];
  if (!name)
    return;
  (void)snprintf(wanted, sizeof(wanted), "%s%s", iterator ? "bpf_iter_" : "btf_trace_", name + 1);
  if (btf__find_by_name_kind(check.types, wanted, iterator ? BTF_KIND_FUNC : BTF_KIND_TYPEDEF) > 0)
    return;
  (void)printf("%s: no %s\n", bpf_program__name(program), section);
  check.bad++;
}

/* By the time that the first program is to be loaded, all have been relocated. */
static int before_load(struct bpf_program *program, struct bpf_prog_load_opts *opts, long cookie) {
  (void)program, (void)opts, (void)cookie;
  check.got_there = true;
  bpf_object__for_each_program(program, check.object) {
    check.programs++;
    check_program(program);
    check_target(program);
  }
  return -ECANCELED;
}

static int load(const char *object, const char *types) {
  LIBBPF_OPTS(bpf_object_open_opts, open_opts, .btf_custom_path = types);
  check.object = bpf_object__open_file(object, &open_opts);
  if (!check.object)
    return -errno;
  int r = bpf_object__load(check.object);
  bpf_object__close(check.object);
  return check.got_there ? 0 : r;
}

static int report(int r) {
  if (r == -EPERM || r == -EACCES) {
    (void)printf("libbpf may not load here: %s\n", strerror(-r));
    return 77;
  }
  if (r) {
    (void)printf("not loaded: %s\n", strerror(-r));
    return 2;
  }
  if (check.bad)
    (void)printf("not there, guarded or not:\n%s", missing);
  (void)printf("%d programs, %d relocations\n", check.programs, check.relocations);
  return check.bad ? 1 : 0;
}

int main(int argc, char **argv) {
  LIBBPF_OPTS(libbpf_prog_handler_opts, handler, .prog_prepare_load_fn = before_load);
  if (argc != 3) {
    (void)fprintf(stderr, "usage: relocate OBJECT TYPES\n");
    return 2;
  }
  check.types = btf__parse(argv[2], NULL);
  if (!check.types)
    return report(-errno);
  (void)libbpf_set_print(take_message);
  (void)libbpf_register_prog_handler("tp_btf+", BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, &handler);
  (void)libbpf_register_prog_handler("iter+", BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, &handler);
  int code = report(load(argv[1], argv[2]));
  btf__free(check.types);
  return code;
}

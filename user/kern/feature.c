/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "feature.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "ebb/kernel.h"
#include "kernfile.h"
#include "loader.h"
#include "percpu.h"
#include "probe.h"
#include "probe.skel.h"
#include "psi.h"

#define SIGNAL_GROUP 4u /* PIDFD_SIGNAL_PROCESS_GROUP */
#define BPFFS_MAGIC 0xcafe4a11

static void note(struct feature *row, int error) {
  row->ok = !error;
  if (error)
    (void)snprintf(row->detail, sizeof(row->detail), "%s", strerror(-error));
}

static int quiet(enum libbpf_print_level level, const char *format, va_list arguments) {
  (void)level, (void)format, (void)arguments;
  return 0;
}

static int try_program(const char *name) {
  struct probe *skel = probe__only(name);
  if (!skel)
    return -errno;
  struct bpf_program *program = bpf_object__find_program_by_name(skel->obj, name);
  struct bpf_link *link = bpf_program__attach(program);
  int r = link ? 0 : -errno;
  (void)bpf_link__destroy(link);
  probe__destroy(skel);
  return r;
}

/* The iterator has to run to see the layout of mm_struct. */
static int run_iterator(struct probe *skel, enum ebb_rss_layout *ret) {
  char bytes[64];
  struct bpf_link *link = bpf_program__attach_iter(skel->progs.probe_iter, NULL);
  if (!link)
    return -errno;
  _cleanup_fd_ int fd = bpf_iter_create(bpf_link__fd(link));
  int r = fd < 0 || read(fd, bytes, sizeof(bytes)) < 0 ? -errno : 0;
  if (!r)
    *ret = skel->bss->layout;
  (void)bpf_link__destroy(link);
  return r;
}

static int try_iterator(enum ebb_rss_layout *ret) {
  struct probe *skel = probe__only("probe_iter");
  if (!skel)
    return -errno;
  int r = run_iterator(skel, ret);
  probe__destroy(skel);
  return r;
}

static void probe_layout(struct feature *rows) {
  static const char *const names[] = {"unknown", "plain counters", "per-CPU counters"};
  enum ebb_rss_layout layout = EBB_RSS_UNKNOWN;
  uint64_t offsets[EBB_CPUS_MAX];
  int cpus = percpu__offsets(offsets, EBB_CPUS_MAX);
  note(&rows[FEATURE_SWEEP], try_iterator(&layout));
  rows[FEATURE_LAYOUT].ok = layout != EBB_RSS_UNKNOWN;
  (void)snprintf(rows[FEATURE_LAYOUT].detail, sizeof(rows[0].detail), "%s", names[layout]);
  /* Plain counters have no parts that they would have to be summed of. */
  note(&rows[FEATURE_EXACT], layout == EBB_RSS_SPLIT || cpus > 0 ? 0 : cpus ? cpus : -ENODATA);
  rows[FEATURE_RSS_EACH].ok = rows[FEATURE_RSS].ok && layout == EBB_RSS_PERCPU;
}

/* What is missing beside the two makes the figure smaller, not useless: they are named. */
static void probe_stall(struct feature *rows) {
  struct feature *row = &rows[FEATURE_STALL];
  size_t n = 0;
  row->ok = rows[FEATURE_SWITCH].ok && rows[FEATURE_PSI].ok;
  for (int id = FEATURE_SWITCH; id < FEATURE_STALL; id++)
    if (!rows[id].ok && n < sizeof(row->detail))
      n += (size_t)snprintf(row->detail + n, sizeof(row->detail) - n, "%s%s", n ? ", " : "without ", rows[id].name);
}

static void probe_programs(struct feature *rows) {
  static const struct {
    enum feature_id id;
    const char *program;
  } tries[] = {
      {FEATURE_FORK, "probe_fork"},
      {FEATURE_EXEC, "probe_exec"},
      {FEATURE_EXIT, "probe_exit"},
      {FEATURE_FLOCK, "probe_flock"},
      {FEATURE_RING, "probe_ring"},
      {FEATURE_RSS, "probe_rss"},
      {FEATURE_SWITCH, "probe_switch"},
      {FEATURE_MEMCG_BEGIN, "probe_memcg_begin"},
      {FEATURE_MEMCG_END, "probe_memcg_end"},
      {FEATURE_DIRECT_BEGIN, "probe_direct_begin"},
      {FEATURE_DIRECT_END, "probe_direct_end"},
      {FEATURE_COMPACTION_BEGIN, "probe_compaction_begin"},
      {FEATURE_COMPACTION_END, "probe_compaction_end"},
      {FEATURE_SUBMIT, "probe_submit"},
      {FEATURE_SUBMITTED, "probe_submitted"},
  };
  libbpf_print_fn_t before = libbpf_set_print(quiet);
  for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
    note(&rows[tries[i].id], try_program(tries[i].program));
  probe_layout(rows);
  probe_stall(rows);
  int storage = libbpf_probe_bpf_map_type(BPF_MAP_TYPE_TASK_STORAGE, NULL);
  note(&rows[FEATURE_TASK_STORAGE], storage == 1 ? 0 : storage ? storage : -EOPNOTSUPP);
  (void)libbpf_set_print(before);
}

static void probe_capabilities(struct feature *rows) {
  char status[8192];
  unsigned long long have = 0;
  const char *line = kernfile__read("/proc/self/status", status, sizeof(status)) ? NULL : strstr(status, "\nCapEff:");
  if (line)
    (void)sscanf(line, "\nCapEff: %llx", &have);
#define HAVE(cap) ((have >> (cap)) & 1)
  rows[FEATURE_CAP_BPF].ok = HAVE(CAP_BPF) || HAVE(CAP_SYS_ADMIN);
  rows[FEATURE_CAP_PERFMON].ok = HAVE(CAP_PERFMON) || HAVE(CAP_SYS_ADMIN);
  rows[FEATURE_CAP_SYS_PTRACE].ok = HAVE(CAP_SYS_PTRACE);
  rows[FEATURE_CAP_SYS_RESOURCE].ok = HAVE(CAP_SYS_RESOURCE);
#undef HAVE
}

static int try_pidfd_group(void) {
  _cleanup_fd_ int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
  if (fd < 0)
    return -errno;
  /* ESRCH means understood: we lead no process group. */
  if (syscall(SYS_pidfd_send_signal, fd, 0, NULL, SIGNAL_GROUP) && errno != ESRCH)
    return -errno;
  return 0;
}

static int try_bpffs(void) {
  struct statfs fs;
  if (statfs("/sys/fs/bpf", &fs))
    return -errno;
  return (uint32_t)fs.f_type == BPFFS_MAGIC ? 0 : -ENOENT;
}

static void probe_proc(struct feature *rows) {
  struct psi_totals totals;
  char path[64], text[8192];
  uint64_t swap = 0;
  note(&rows[FEATURE_BTF], access("/sys/kernel/btf/vmlinux", R_OK) ? -errno : 0);
  rows[FEATURE_PID_NAMESPACE].ok = loader__sees_pids();
  note(&rows[FEATURE_PSI], psi__read("/proc/pressure/memory", &totals));
  (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
  note(&rows[FEATURE_CHILDREN], access(path, R_OK) ? -errno : 0);
  note(&rows[FEATURE_PIDFD_GROUP], try_pidfd_group());
  note(&rows[FEATURE_BPFFS], try_bpffs());
  if (!kernfile__read("/proc/meminfo", text, sizeof(text)))
    (void)kernfile__kib(text, "SwapTotal:", &swap);
  rows[FEATURE_SWAP].ok = swap > 0;
  (void)snprintf(rows[FEATURE_SWAP].detail, sizeof(rows[0].detail), "%llu MiB", (unsigned long long)swap >> 20);
}

int features__probe(struct feature *to, int max) {
  struct feature rows[FEATURE_N] = {
#define X(id_, name_, use_, remedy_) {.id = FEATURE_##id_, .name = name_, .use = use_, .remedy = remedy_},
      FEATURES(X)
#undef X
  };
  int n = max < FEATURE_N ? max : FEATURE_N;
  probe_proc(rows);
  probe_capabilities(rows);
  probe_programs(rows);
  if (n <= 0)
    return 0;
  memcpy(to, rows, (size_t)n * sizeof(rows[0]));
  return n;
}

static bool has(const struct feature *rows, int n, enum feature_id id) {
  for (int i = 0; i < n; i++)
    if (rows[i].id == id)
      return rows[i].ok;
  return false;
}

enum ebb_tier features__tier(const struct feature *rows, int n) {
  static const enum feature_id needed[] = {FEATURE_PID_NAMESPACE, FEATURE_FORK, FEATURE_EXEC,  FEATURE_EXIT,
                                           FEATURE_FLOCK,         FEATURE_RING, FEATURE_SWEEP, FEATURE_LAYOUT};
  for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
    if (!has(rows, n, needed[i]))
      return EBB_TIER_PROC;
  if (!has(rows, n, FEATURE_RSS))
    return EBB_TIER_BASIC;
  if (has(rows, n, FEATURE_RSS_EACH))
    return EBB_TIER_FULL;
  return has(rows, n, FEATURE_TASK_STORAGE) ? EBB_TIER_GOOD : EBB_TIER_BASIC;
}

uint32_t features__level(const struct feature *rows, int n) {
  if (features__tier(rows, n) == EBB_TIER_PROC)
    return 0;
  return has(rows, n, FEATURE_STALL) ? 2 : has(rows, n, FEATURE_RSS);
}

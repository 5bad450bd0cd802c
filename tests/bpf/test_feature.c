/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Does what the probe says of this kernel hold when the real programs are started, with all rights and with none? */
#include "puppet.h"

#include <bpf/libbpf.h>
#include <linux/capability.h>
#include <sys/prctl.h>

#include "ebb.skel.h"
#include "feature.h"
#include "feed.h"

static const struct feature *find(const struct feature *rows, int n, const char *name) {
  for (int i = 0; i < n; i++)
    if (!strcmp(rows[i].name, name))
      return &rows[i];
  return NULL;
}

static void test_every_row_is_filled_in(void **state) {
  (void)state;
  struct feature rows[FEATURE_N + 3];
  assert_int_equal(features__probe(rows, FEATURE_N + 3), FEATURE_N);
  for (int i = 0; i < FEATURE_N; i++) {
    assert_int_equal(rows[i].id, i);
    assert_true(rows[i].name[0] && rows[i].use[0] && rows[i].remedy[0]);
    assert_non_null(memchr(rows[i].detail, 0, sizeof(rows[i].detail)));
    assert_ptr_equal(find(rows, i + 1, rows[i].name), &rows[i]); /* names are unique */
  }
  assert_int_equal(features__probe(rows, 2), 2);
  assert_int_equal(features__probe(rows, 0), 0);
}

static void test_tier_is_that_of_the_sensor(void **state) {
  (void)state;
  struct feature rows[FEATURE_N];
  int n = features__probe(rows, FEATURE_N);
  struct sensor *sensor;
  char why[200];
  assert_int_equal(sensor__open("auto", false, &sensor, why, sizeof(why)), 0);
  assert_int_equal(features__tier(rows, n), sensor->ops->tier(sensor));
  sensor->ops->close(sensor);
}

static void test_tiers_from_rows(void **state) {
  (void)state;
  struct feature rows[FEATURE_N];
  for (int i = 0; i < FEATURE_N; i++)
    rows[i] = (struct feature){.id = i, .ok = true};
  assert_int_equal(features__tier(rows, FEATURE_N), EBB_TIER_FULL);
  assert_int_equal(features__level(rows, FEATURE_N), 2);
  rows[FEATURE_STALL].ok = false;
  assert_int_equal(features__level(rows, FEATURE_N), 1);
  rows[FEATURE_RSS_EACH].ok = false;
  assert_int_equal(features__tier(rows, FEATURE_N), EBB_TIER_GOOD);
  rows[FEATURE_TASK_STORAGE].ok = false;
  assert_int_equal(features__tier(rows, FEATURE_N), EBB_TIER_BASIC);
  rows[FEATURE_TASK_STORAGE].ok = rows[FEATURE_RSS_EACH].ok = true;
  rows[FEATURE_RSS].ok = false;
  assert_int_equal(features__tier(rows, FEATURE_N), EBB_TIER_BASIC);
  assert_int_equal(features__level(rows, FEATURE_N), 0);
  rows[FEATURE_RSS].ok = true;
  rows[FEATURE_PSI].ok = rows[FEATURE_SWAP].ok = false;
  assert_int_equal(features__tier(rows, FEATURE_N), EBB_TIER_FULL);
  rows[FEATURE_FLOCK].ok = false;
  assert_int_equal(features__tier(rows, FEATURE_N), EBB_TIER_PROC);
  assert_int_equal(features__tier(rows, 0), EBB_TIER_PROC);
}

/* Run in a child that gives up all rights; its exit status tells. */
static int without_rights(int (*check)(void)) {
  int status = -1;
  pid_t pid = fork();
  if (!pid) {
    if (!geteuid() && (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534) || prctl(PR_SET_DUMPABLE, 1)))
      _exit(100);
    _exit(check());
  }
  return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 101;
}

static int probe_says_proc(void) {
  struct feature rows[FEATURE_N];
  int n = features__probe(rows, FEATURE_N);
  return find(rows, n, "cap-bpf")->ok || find(rows, n, "sched_process_fork")->ok || !find(rows, n, "children")->name ||
         features__tier(rows, n) != EBB_TIER_PROC;
}

static int auto_gives_proc_and_says_why(void) {
  struct sensor *sensor;
  char why[200];
  if (sensor__open("auto", false, &sensor, why, sizeof(why)))
    return 1;
  int r = strcmp(sensor->ops->name, "proc") || !strstr(why, "CAP_BPF");
  sensor->ops->close(sensor);
  return r;
}

static int bpf_is_refused(void) {
  struct sensor *sensor = NULL;
  char why[200];
  return sensor__open("bpf", false, &sensor, why, sizeof(why)) != -EPERM || sensor || !strstr(why, "CAP_BPF");
}

static void test_without_rights(void **state) {
  (void)state;
  assert_int_equal(without_rights(probe_says_proc), 0);
  assert_int_equal(without_rights(auto_gives_proc_and_says_why), 0);
  assert_int_equal(without_rights(bpf_is_refused), 0);
}

/* Open with the programs of one map spoilt; what is said on standard error into `text`. */
static int open_spoilt(const char *map, bool verbose, char *why, char *text, size_t text_bytes) {
  struct sensor *sensor = NULL;
  FILE *file = tmpfile();
  assert_non_null(file);
  int kept = dup(STDERR_FILENO);
  (void)fflush(stderr);
  assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
  int r = feed__open(&(struct loader_options){.verbose = verbose, .spoil = map}, &sensor, why, 256);
  (void)fflush(stderr);
  (void)dup2(kept, STDERR_FILENO);
  (void)close(kept);
  rewind(file);
  text[fread(text, 1, text_bytes - 1, file)] = 0;
  (void)fclose(file);
  if (!r) {
    assert_false(feed__of(sensor)->loader.has_growth);
    assert_int_equal(sensor->ops->tier(sensor), EBB_TIER_BASIC);
    sensor->ops->close(sensor);
  }
  return r;
}

/* One short line with the reason; the verifier's log in full for who asks for it. */
static void test_a_refused_program_is_explained(void **state) {
  static char text[1 << 20];
  char why[256];
  (void)state;
  struct sensor *sensor = open_bpf();
  if (!sensor)
    skip();
  bool has_growth = feed__of(sensor)->loader.has_growth;
  sensor->ops->close(sensor);
  for (int verbose = 0; verbose < 2; verbose++) {
    why[0] = 0;
    assert_true(open_spoilt("held", verbose, why, text, sizeof(text)) < 0); /* nothing goes without that one */
    assert_non_null(strstr(why, "prog 'lease_lock': "));
    assert_in_range(strlen(strstr(why, "prog 'lease_lock': ")), 25, 200);
    assert_null(strchr(why, '\n'));
    assert_int_equal(!!strstr(text, "BEGIN PROG LOAD LOG"), verbose);
    assert_int_equal(!!strstr(text, "value_size=8"), verbose);
    if (!verbose)
      assert_string_equal(text, "");
    if (!has_growth)
      continue;
    why[0] = 0;
    assert_int_equal(open_spoilt("last_seen", verbose, why, text, sizeof(text)), 0); /* but without this one */
    assert_non_null(strstr(why, "sweeps only: prog 'memory_rss': "));
    assert_int_equal(!!strstr(text, "value_size=8"), verbose);
  }
}

/* Where the probe says that stalls can be measured, they can; its parts are those that are loaded. */
static void test_stall_is_that_of_the_loader(void **state) {
  (void)state;
  struct feature rows[FEATURE_N];
  int n = features__probe(rows, FEATURE_N);
  struct sensor *sensor = open_bpf();
  if (!sensor)
    skip();
  struct loader *loader = &feed__of(sensor)->loader;
  assert_int_equal(find(rows, n, "stall")->ok, loader__stall(loader, true) == 0);
  struct bpf_program *program;
  int parts = 0;
  bpf_object__for_each_program(program, loader->skel->obj) {
    const char *tracepoint = strchr(bpf_program__section_name(program), '/') + 1;
    if (strncmp(bpf_program__name(program), "stall_", 6) != 0 || !find(rows, n, tracepoint))
      continue;
    assert_int_equal(find(rows, n, tracepoint)->ok, bpf_program__fd(program) >= 0);
    parts++;
  }
  assert_int_equal(parts, FEATURE_STALL - FEATURE_SWITCH + 1); /* sched_process_exit has a row of its own */
  sensor->ops->close(sensor);
}

static void test_unknown_kinds_are_refused(void **state) {
  (void)state;
  struct sensor *sensor = NULL;
  char why[200];
  assert_int_equal(sensor__open("best", false, &sensor, why, sizeof(why)), -EINVAL);
  assert_null(sensor);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_row_is_filled_in),
      cmocka_unit_test(test_tier_is_that_of_the_sensor),
      cmocka_unit_test(test_tiers_from_rows),
      cmocka_unit_test(test_without_rights),
      cmocka_unit_test(test_unknown_kinds_are_refused),
      cmocka_unit_test(test_stall_is_that_of_the_loader),
      cmocka_unit_test(test_a_refused_program_is_explained),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

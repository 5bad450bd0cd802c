/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Is a worker's stall what the kernel itself says of it? Each worker has a cgroup-v2 leaf of its own, whose
 * memory.pressure counts the same waits, and is kept on one CPU: the kernel's figure is an average over CPUs, and
 * exact only for one.
 */
#include "puppet.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "ebb.skel.h"
#include "feed.h"
#include "loader_stall.h"
#include "shortage.h"

#define LIMIT_BYTES (32 * MIB)
#define WANTED_US 1000000
#define USES 2000 /* between two looks */
#define WORKERS 3

static struct sensor *sensor;
static struct {
  struct puppet puppet;
  struct shortage shortage;
  bool up;
} workers[WORKERS];
static struct swap_space swap = {.zram = -1};

static int set_up(void **state) {
  (void)state;
  sensor = open_bpf();
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  for (int i = 0; i < WORKERS; i++) {
    char link[80], path[160] = "";
    if (!workers[i].up)
      continue;
    (void)shortage__slow(&workers[i].shortage, workers[i].puppet.pid, disk(), 0);
    puppet__stop(&workers[i].puppet);
    (void)snprintf(link, sizeof(link), "%s" PUPPET_FILE, workers[i].puppet.lease_path);
    if (readlink(link, path, sizeof(path) - 1) > 0)
      (void)unlink(path);
    (void)unlink(link);
    shortage__end(&workers[i].shortage);
    workers[i].up = false;
  }
  swap_space__end(&swap);
  if (sensor)
    sensor->ops->close(sensor);
  sensor = NULL;
  return 0;
}

/* Say why, and skip, where the machine does not give what the test needs. */
#define NEED(what, action)                                                                                             \
  do {                                                                                                                 \
    int need_r = (action);                                                                                             \
    if (need_r) {                                                                                                      \
      print_message("skipped: %s: %s\n", what, strerror(-need_r));                                                     \
      skip();                                                                                                          \
    }                                                                                                                  \
  } while (0)

#define NEED_STALL()                                                                                                   \
  if (!sensor)                                                                                                         \
    skip();                                                                                                            \
  NEED("stall programs", loader__stall(&feed__of(sensor)->loader, true))

/* In its own cgroups, on one CPU, and followed. */
static int begin_worker(int i, uint64_t limit_bytes) {
  int r = shortage__begin(&workers[i].shortage, i, limit_bytes);
  if (r)
    return r;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET((size_t)i % (size_t)sysconf(_SC_NPROCESSORS_ONLN), &cpus);
  puppet__start(&workers[i].puppet);
  workers[i].up = true;
  assert_int_equal(sched_setaffinity(workers[i].puppet.pid, sizeof(cpus), &cpus), 0);
  assert_int_equal(puppet__follow(&workers[i].puppet, sensor, (uint32_t)i), 0);
  return shortage__enter(&workers[i].shortage, workers[i].puppet.pid);
}

/* What it answers; the cgroup's own OOM killer may be faster. */
static int64_t answer_of(int i) {
  struct puppet *puppet = &workers[i].puppet;
  struct pollfd poll_fd = {.fd = puppet->answers, .events = POLLIN};
  int64_t answer;
  uint64_t deadline_ns = clock__monotonic_ns() + 12 * DEADLINE_NS;
  while (poll(&poll_fd, 1, 100) != 1) {
    assert_true(clock__monotonic_ns() < deadline_ns);
    shortage__help(&workers[i].shortage);
  }
  if (read(puppet->answers, &answer, sizeof(answer)) == sizeof(answer))
    return answer;
  int status = 0;
  assert_int_equal(waitpid(puppet->pid, &status, 0), puppet->pid);
  puppet->pid = 0;
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  print_message("skipped: the kernel ended the worker: out of memory\n");
  skip();
  return -ESRCH;
}

static void obey(int i, enum puppet_verb verb, uint64_t argument) {
  puppet__send(&workers[i].puppet, verb, argument);
  assert_true(answer_of(i) >= 0);
}

static uint64_t stall_us(int i) {
  struct sensor_reading reading;
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(sensor->ops->read(sensor, (uint32_t)i, false, &reading), 0);
  return reading.stall_us;
}

static uint64_t kernels_us(int i) {
  return shortage__stall_us(&workers[i].shortage);
}

static void assert_agree(uint64_t ours, uint64_t kernels, uint64_t percent_above) {
  print_message("stall: kernel %lu us, ours %lu us, ratio %.3f\n", (unsigned long)kernels, (unsigned long)ours,
                (double)ours / (double)kernels);
  /* What is not seen before and after each wait is computing, to which an emulated processor takes many times as long. */
  bool emulated = puppet_patience() > 1;
  uint64_t unseen = emulated ? kernels / 2 : kernels / 10, most = emulated ? 2 * percent_above : percent_above;
  assert_in_range(ours, kernels - unseen, kernels + kernels * most / 100);
}

/* Obey until the kernel says that it has waited for long enough; compare what it says with what we say. */
static void compare(int i, enum puppet_verb verb, uint64_t wanted_us, uint64_t percent_above) {
  uint64_t deadline_ns = clock__monotonic_ns() + 6 * DEADLINE_NS;
  obey(i, verb, USES);
  uint64_t ours = stall_us(i), kernels = kernels_us(i);
  while (kernels_us(i) - kernels < wanted_us) {
    assert_true(clock__monotonic_ns() < deadline_ns);
    obey(i, verb, USES);
  }
  assert_agree(stall_us(i) - ours, kernels_us(i) - kernels, percent_above);
}

static void test_disk_swap(void **state) {
  (void)state;
  NEED_STALL();
  NEED("swap file", swap_space__file(&swap, 512 * MIB));
  NEED("cgroups", begin_worker(0, LIMIT_BYTES));
  obey(0, PUPPET_GROW, 2 * LIMIT_BYTES);
  compare(0, PUPPET_USE, WANTED_US, 10);
}

static void test_zram(void **state) {
  (void)state;
  NEED_STALL();
  NEED("zram", swap_space__zram(&swap, 2048 * MIB));
  NEED("cgroups", begin_worker(0, LIMIT_BYTES));
  obey(0, PUPPET_GROW, 2 * LIMIT_BYTES);
  compare(0, PUPPET_USE, WANTED_US, 10);
}

/* Swap-in that is over at once, then work: the work is no part of a wait. */
static void test_zram_with_work_between(void **state) {
  (void)state;
  NEED_STALL();
  NEED("zram", swap_space__zram(&swap, 2048 * MIB));
  NEED("cgroups", begin_worker(0, LIMIT_BYTES));
  obey(0, PUPPET_GROW, LIMIT_BYTES + LIMIT_BYTES / 4);
  compare(0, PUPPET_USE_AND_WORK, WANTED_US / 8, 5);
}

/* Where the puppet looks for it there is a link. */
static void make_file(int i, uint64_t bytes) {
  char path[160], link[80], block[65536];
  if (!is_on_disk(disk())) {
    print_message("skipped: %s is not on a disk (EBB_TEST_DISK names a folder that is)\n", disk());
    skip();
  }
  (void)snprintf(path, sizeof(path), "%s/ebb-test-data.%d.%d", disk(), (int)getpid(), i);
  (void)snprintf(link, sizeof(link), "%s" PUPPET_FILE, workers[i].puppet.lease_path);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(symlink(path, link), 0);
  memset(block, 7, sizeof(block));
  for (uint64_t n = 0; n < bytes; n += sizeof(block))
    assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
  assert_int_equal(fsync(fd), 0);
  assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
  (void)close(fd);
}

static void test_hot_page_cache(void **state) {
  (void)state;
  NEED_STALL();
  NEED("cgroups", begin_worker(0, LIMIT_BYTES));
  make_file(0, 2 * LIMIT_BYTES);
  compare(0, PUPPET_USE_FILE, WANTED_US, 10);
}

static void assert_same_order(const uint64_t ours[WORKERS], const uint64_t kernels[WORKERS]) {
  for (int i = 0; i < WORKERS; i++)
    for (int j = 0; j < WORKERS; j++)
      if (kernels[i] > kernels[j] + kernels[j] / 20)
        assert_true(ours[i] > ours[j]);
}

/* Of each wait what is not seen is computing, to which an emulated processor takes many times as long: the more, the shorter
 * a worker's waits are. */
static uint64_t permille_off(void) {
  return puppet_patience() > 1 ? 100 : 50;
}

/* At one time, each three times as busy as the next. Who shares a CPU waits for that too, here and there. `of_files`: their
 * page cache is what they lack, else what they have swapped out. */
static void compare_shares(bool of_files) {
  static const unsigned uses[WORKERS] = {9 * USES, 3 * USES, USES};
  enum puppet_verb verb = of_files ? PUPPET_USE_FILE : PUPPET_USE;
  uint64_t ours[WORKERS], kernels[WORKERS], our_sum = 0, kernels_sum = 0;
  for (int i = 0; i < WORKERS; i++) {
    NEED("cgroups", begin_worker(i, LIMIT_BYTES));
    if (of_files)
      make_file(i, 2 * LIMIT_BYTES);
    else
      obey(i, PUPPET_GROW, 2 * LIMIT_BYTES);
    obey(i, verb, 4 * USES);
    ours[i] = stall_us(i);
    kernels[i] = kernels_us(i);
  }
  while (kernels_us(0) - kernels[0] < WANTED_US) {
    for (int i = 0; i < WORKERS; i++)
      puppet__send(&workers[i].puppet, verb, uses[i]);
    for (int i = 0; i < WORKERS; i++)
      assert_int_equal(answer_of(i), 0);
  }
  for (int i = 0; i < WORKERS; i++) {
    our_sum += ours[i] = stall_us(i) - ours[i];
    kernels_sum += kernels[i] = kernels_us(i) - kernels[i];
  }
  for (int i = 0; i < WORKERS; i++) {
    uint64_t our_permille = ours[i] * 1000 / our_sum, kernels_permille = kernels[i] * 1000 / kernels_sum;
    print_message("share: kernel %lu, ours %lu of 1000\n", (unsigned long)kernels_permille,
                  (unsigned long)our_permille);
    assert_in_range(our_permille + permille_off(), kernels_permille, kernels_permille + 2 * permille_off());
  }
  assert_same_order(ours, kernels);
  assert_true(kernels[0] > kernels[2]);
}

static void test_shares_of_zram(void **state) {
  (void)state;
  NEED_STALL();
  NEED("zram", swap_space__zram(&swap, 2048 * MIB));
  compare_shares(false);
}

static void test_shares_of_disk_swap(void **state) {
  (void)state;
  NEED_STALL();
  NEED("swap file", swap_space__file(&swap, 512 * MIB));
  compare_shares(false);
}

static void test_shares_of_page_cache(void **state) {
  (void)state;
  NEED_STALL();
  compare_shares(true);
}

static void test_stall_of_a_descendant(void **state) {
  (void)state;
  NEED_STALL();
  NEED("zram", swap_space__zram(&swap, 2048 * MIB));
  NEED("cgroups", begin_worker(0, LIMIT_BYTES));
  NEED("cgroups", begin_worker(1, LIMIT_BYTES));
  uint64_t ours = stall_us(0), kernels = kernels_us(0), others = stall_us(1);
  obey(0, PUPPET_FORK_GROWING, 8 * LIMIT_BYTES);
  assert_true(kernels_us(0) - kernels > 10000);
  assert_agree(stall_us(0) - ours, kernels_us(0) - kernels, 10);
  assert_int_equal(stall_us(1), others);
}

/* Who lowers the limit reclaims what is above it, and waits for that, but not because memory is short. */
static void test_reclaim_by_its_own_wish_is_no_stall(void **state) {
  (void)state;
  NEED_STALL();
  NEED("zram", swap_space__zram(&swap, 2048 * MIB));
  NEED("cgroups", begin_worker(0, LIMIT_BYTES));
  const struct shortage *shortage = &workers[0].shortage;
  char path[160], link[80];
  (void)snprintf(path, sizeof(path), "%s/%s", shortage->limit[0] ? shortage->limit : shortage->leaf,
                 shortage->limit[0] ? "memory.limit_in_bytes" : "memory.max");
  (void)snprintf(link, sizeof(link), "%s" PUPPET_LIMIT, workers[0].puppet.lease_path);
  assert_int_equal(symlink(path, link), 0);
  obey(0, PUPPET_GROW, LIMIT_BYTES - 4 * MIB);
  uint64_t ours = stall_us(0), kernels = kernels_us(0);
  obey(0, PUPPET_SET_LIMIT, LIMIT_BYTES / 8);
  (void)unlink(link);
  print_message("stall: kernel %lu us, ours %lu us\n", (unsigned long)(kernels_us(0) - kernels),
                (unsigned long)(stall_us(0) - ours));
  assert_in_range(stall_us(0) - ours, 0, kernels_us(0) - kernels + 5000);
}

static void test_unknown_until_measured(void **state) {
  (void)state;
  if (!sensor)
    skip();
  puppet__start(&workers[0].puppet);
  workers[0].up = true;
  assert_int_equal(puppet__follow(&workers[0].puppet, sensor, 0), 0);
  assert_true(stall_us(0) == EBB_UNKNOWN);
  NEED_STALL();
  uint64_t known = stall_us(0);
  assert_true(known != EBB_UNKNOWN);
  assert_int_equal(loader__stall(&feed__of(sensor)->loader, false), 0);
  assert_int_equal(stall_us(0), known);
  /* The next worker in this place has not been measured. */
  assert_int_equal(puppet__follow(&workers[0].puppet, sensor, 0), 0);
  assert_true(stall_us(0) == EBB_UNKNOWN);
}

static void slow_down(unsigned bytes_per_s) {
  NEED("slow reads", shortage__slow(&workers[0].shortage, workers[0].puppet.pid, disk(), bytes_per_s));
}

static bool has_answered(unsigned within_ms) {
  struct pollfd poll_fd = {.fd = workers[0].puppet.answers, .events = POLLIN};
  return poll(&poll_fd, 1, (int)within_ms) == 1;
}

/* Have it wait for one page, until it is let go, and for one that the kernel knows as its own: only that is a stall. */
static void begin_long_wait(void) {
  uint64_t deadline_ns = clock__monotonic_ns() + 6 * DEADLINE_NS, before = kernels_us(0);
  make_file(0, LIMIT_BYTES + LIMIT_BYTES / 2);
  while (kernels_us(0) - before < WANTED_US / 4)
    obey(0, PUPPET_USE_FILE, USES);
  for (;;) {
    assert_true(clock__monotonic_ns() < deadline_ns);
    slow_down(16);
    puppet__send(&workers[0].puppet, PUPPET_USE_FILE, 1);
    if (!has_answered(20)) {
      before = kernels_us(0);
      if (!has_answered(200) && kernels_us(0) - before > 100000)
        return;
    }
    slow_down(0);
    assert_int_equal(answer_of(0), 0);
  }
}

/* Not asked too often: the kernel weighs each reading by whole jiffies, and loses what is shorter. */
static void await_stall(uint64_t kernels, uint64_t us) {
  uint64_t deadline_ns = clock__monotonic_ns() + DEADLINE_NS;
  while (kernels_us(0) - kernels < us) {
    assert_true(clock__monotonic_ns() < deadline_ns);
    (void)usleep(50000);
  }
}

static void end_long_wait(void) {
  assert_false(has_answered(0));
  slow_down(0);
  assert_int_equal(answer_of(0), 0);
}

static void test_a_wait_counts_before_it_ends(void **state) {
  (void)state;
  NEED_STALL();
  NEED("cgroups", begin_worker(0, LIMIT_BYTES));
  begin_long_wait();
  uint64_t ours = stall_us(0), kernels = kernels_us(0);
  await_stall(kernels, WANTED_US);
  assert_false(has_answered(0)); /* all of it in one wait, which goes on */
  assert_agree(stall_us(0) - ours, kernels_us(0) - kernels, 10);
  end_long_wait();
  assert_agree(stall_us(0) - ours, kernels_us(0) - kernels, 10);
}

static void test_a_wait_is_forgotten_when_nobody_looks(void **state) {
  (void)state;
  NEED_STALL();
  NEED("cgroups", begin_worker(0, LIMIT_BYTES));
  struct loader *loader = &feed__of(sensor)->loader;
  begin_long_wait();
  uint64_t ours = stall_us(0), kernels = kernels_us(0);
  assert_int_equal(loader__stall(loader, false), 0);
  await_stall(kernels, WANTED_US);
  assert_in_range(stall_us(0), ours, ours + WANTED_US / 4);
  assert_int_equal(loader__stall(loader, true), 0);
  end_long_wait();
  assert_in_range(stall_us(0), ours, ours + WANTED_US / 4);
}

/* As on kernels that lack some of it: what begins must end, and what is not there must not take the rest down. */
static void test_only_what_is_there_is_loaded(void **state) {
  (void)state;
  static const char *const there[] = {"sched_switch", "sched_process_exit", "mm_vmscan_direct_reclaim_begin",
                                      "mm_compaction_begin", "mm_compaction_end"};
  struct btf *btf = btf__new_empty();
  struct ebb *skel = ebb__open();
  assert_non_null(btf);
  assert_non_null(skel);
  int number = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
  for (size_t i = 0; i < sizeof(there) / sizeof(*there); i++) {
    char name[80];
    (void)snprintf(name, sizeof(name), "btf_trace_%s", there[i]);
    assert_true(btf__add_typedef(btf, name, number) > 0);
  }
  stall__choose(skel, btf);
  assert_true(bpf_program__autoload(skel->progs.stall_switch) && bpf_program__autoload(skel->progs.stall_exit));
  assert_true(bpf_program__autoload(skel->progs.stall_compaction_begin));
  assert_true(bpf_program__autoload(skel->progs.stall_compaction_end));
  assert_false(bpf_program__autoload(skel->progs.stall_direct_begin));
  assert_false(bpf_program__autoload(skel->progs.stall_memcg_begin));
  assert_false(bpf_program__autoload(skel->progs.stall_memcg_end));
  stall__choose(skel, NULL);
  assert_false(bpf_program__autoload(skel->progs.stall_switch));
  assert_false(bpf_program__autoload(skel->progs.stall_compaction_begin));
  ebb__destroy(skel);
  btf__free(btf);
}

static unsigned waiting(void) {
  unsigned n = 0;
  uint32_t tid, *last = NULL;
  for (; !bpf_map_get_next_key(bpf_map__fd(feed__of(sensor)->loader.skel->maps.stalls), last, &tid); last = &tid)
    n++;
  return n;
}

/* A thread that is gone leaves nothing behind, whatever it was at. */
static void test_a_thread_that_ends_leaves_nothing(void **state) {
  (void)state;
  NEED_STALL();
  char entry[64] = "";
  puppet__start(&workers[0].puppet);
  workers[0].up = true;
  assert_int_equal(puppet__follow(&workers[0].puppet, sensor, 0), 0);
  struct bpf_map *map = feed__of(sensor)->loader.skel->maps.stalls;
  assert_true(bpf_map__value_size(map) <= sizeof(entry));
  assert_int_equal(bpf_map_update_elem(bpf_map__fd(map), &workers[0].puppet.pid, entry, BPF_ANY), 0);
  assert_int_equal(waiting(), 1);
  puppet__stop(&workers[0].puppet);
  workers[0].up = false;
  assert_int_equal(waiting(), 0);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      T(test_disk_swap),
      T(test_zram),
      T(test_zram_with_work_between),
      T(test_hot_page_cache),
      T(test_shares_of_zram),
      T(test_shares_of_disk_swap),
      T(test_shares_of_page_cache),
      T(test_stall_of_a_descendant),
      T(test_reclaim_by_its_own_wish_is_no_stall),
      T(test_unknown_until_measured),
      T(test_only_what_is_there_is_loaded),
      T(test_a_wait_counts_before_it_ends),
      T(test_a_wait_is_forgotten_when_nobody_looks),
      T(test_a_thread_that_ends_leaves_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

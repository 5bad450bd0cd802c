/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Are the host's memory, and what moved for lack of it, read right? */
#include "scene.h"

#include <sys/sysinfo.h>

#include "meminfo.h"

static void sizes_are_found(void **state) {
  struct meminfo info;

  (void)state;
  assert_int_equal(
      meminfo__parse("MemTotal:       49368128 kB\nMemFree:        1 kB\nMemAvailable:    2000 kB\nBuffers: 3 kB\n",
                     &info),
      0);
  assert_int_equal(info.total_bytes, 49368128ULL * 1024);
  assert_int_equal(info.available_bytes, 2000 * 1024);
  assert_int_equal(meminfo__parse("MemAvailable:0 kB\nMemTotal:1 kB", &info), 0);
  assert_int_equal(info.total_bytes, 1024);
  assert_int_equal(info.available_bytes, 0);
}

static void any_text_is_taken(void **state) {
  static const char *const texts[] = {
      "",
      "\n",
      "MemTotal:",
      "MemTotal: 1 kB\n",
      "MemAvailable: 1 kB\n",
      "MemTotal: 1 kB\nMemAvailable: 1\n",
      "MemTotal: 1 kB\nMemAvailable: -1 kB\n",
      "MemTotal: 1 kB\nMemAvailable:\n1 kB\n",
      "MemTotal: 1 kB\n MemAvailable: 1 kB\n",
      "MemTotal: 1 kB\nxMemAvailable: 1 kB\n",
      "MemTotal: 99999999999999999999 kB\nMemAvailable: 1 kB\n",
      "MemTotal: 18014398509481984 kB\nMemAvailable: 1 kB\n",
  };
  struct meminfo info = {77, 78};

  (void)state;
  for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
    assert_int_equal(meminfo__parse(texts[i], &info), -EPROTO);
  assert_int_equal(info.total_bytes, 77);
  assert_int_equal(info.available_bytes, 78);
}

static void the_hosts_are_plausible(void **state) {
  struct sysinfo system;
  struct meminfo info;

  (void)state;
  assert_int_equal(meminfo__read(&info), 0);
  assert_int_equal(sysinfo(&system), 0);
  assert_int_equal(info.total_bytes, (uint64_t)system.totalram * system.mem_unit);
  assert_true(info.available_bytes > 0 && info.available_bytes <= info.total_bytes);
}

static void what_moved_is_summed(void **state) {
  static const char text[] = "nr_free_pages 7\npgscan_direct 1\npgscan_direct_throttle 1000000\npgscan_kswapd 1000000\n"
                             "pswpin 20\npswpout 300\nworkingset_refault_anon 4000\nworkingset_refault_file 50000\n"
                             "workingset_nodes 1000000\n";

  (void)state;
  assert_int_equal(vmstat__moved(text), 54321);
  assert_int_equal(vmstat__moved("workingset_refault 6\npswpin 3\n"), 9); /* before 5.9 */
  assert_int_equal(vmstat__moved(""), 0);
  assert_int_equal(vmstat__moved("pswpin\npswpout x\npgscan_direct 99999999999999999999\n pswpin 7\n"), 0);
}

static void what_moved_only_grows(void **state) {
  uint64_t before = 0, after = 0;

  (void)state;
  assert_int_equal(vmstat__read_moved(&before), 0);
  assert_int_equal(vmstat__read_moved(&after), 0);
  assert_true(after >= before);
}

/* Read a file twice the size of its memory cgroup, over and over. */
#define SMALL "/sys/fs/cgroup/memory/ebb-unit-meminfo"
#define MIB (1024 * 1024)

static void thrash(void) {
  static char piece[MIB];
  int fd = open(in_scene("data"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

  put_file(SMALL "/cgroup.procs", "0", 0600);
  for (int i = 0; i < 64; i++)
    if (write(fd, piece, sizeof(piece)) != sizeof(piece))
      _exit(1);
  if (fsync(fd))
    _exit(1);
  for (;;)
    for (int i = 0; i < 64; i++)
      if (pread(fd, piece, sizeof(piece), (off_t)i * MIB) < 0)
        _exit(1);
}

static uint64_t moved_since(uint64_t before) {
  uint64_t now = 0;

  assert_int_equal(vmstat__read_moved(&now), 0);
  return now - before;
}

static void thrashing_moves_it(void **state) {
  uint64_t before = 0;
  pid_t pid;

  (void)state;
  if (scene_is_in_memory())
    SKIP("%s is in memory", scene_path);
  if (mkdir(SMALL, 0755) && errno != EEXIST)
    SKIP("no memory cgroup to make: %s", strerror(errno));
  put_file(SMALL "/memory.limit_in_bytes", "33554432", 0600);
  assert_int_equal(vmstat__read_moved(&before), 0);
  pid = fork_child();
  if (pid == 0) {
    thrash();
    _exit(1);
  }
  UNTIL(moved_since(before) > 64 * MIB / 4096);
  end_child(pid);
  UNTIL(rmdir(SMALL) == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sizes_are_found),
      cmocka_unit_test(any_text_is_taken),
      cmocka_unit_test(the_hosts_are_plausible),
      cmocka_unit_test(what_moved_is_summed),
      cmocka_unit_test(what_moved_only_grows),
      cmocka_unit_test_setup_teardown(thrashing_moves_it, scene__open, scene__close),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

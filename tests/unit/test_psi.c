/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Are stall totals read right, do triggers fire, and are false alarms seen through? */
#include "scene.h"

#include <poll.h>
#include <sys/mman.h>

#include "psi.h"

#define HOST "/proc/pressure/memory"
#define LEAF "/sys/fs/cgroup/unified/ebb-unit-psi"
#define SMALL "/sys/fs/cgroup/memory/ebb-unit-psi"
#define MIB (1024 * 1024)

static void totals_are_found(void **state) {
  struct psi_totals totals;

  (void)state;
  assert_int_equal(psi__parse("some avg10=1.50 avg60=0.00 avg300=0.00 total=123456\n"
                              "full avg10=0.00 avg60=0.00 avg300=0.00 total=42\n",
                              &totals),
                   0);
  assert_int_equal(totals.some_us, 123456);
  assert_int_equal(totals.full_us, 42);
  assert_int_equal(psi__parse("some avg10=0.00 total=18446744073709551615", &totals),
                   0); /* no full: as for cpu before 5.13 */
  assert_true(totals.some_us == UINT64_MAX);
  assert_int_equal(totals.full_us, 0);
  assert_int_equal(psi__parse("full total=1\nsome total=2\n", &totals), 0);
  assert_int_equal(totals.some_us, 2);
}

static void any_text_is_taken(void **state) {
  static const char *const texts[] = {
      "",
      "\n\n",
      "some",
      "some ",
      "some total=",
      "some total=x\n",
      "some total=-1\n",
      "some total=1x\n",
      "some total= 1\n",
      "some total=99999999999999999999\n",
      "some avg10=0.00\nfull total=7\n",
      "something total=7\n",
      " some total=7\n",
      "some total=7\nfull total=\n",
      "full total=7\n",
  };
  struct psi_totals totals = {77, 78};

  (void)state;
  for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
    assert_int_equal(psi__parse(texts[i], &totals), -EPROTO);
  assert_int_equal(totals.some_us, 77);
  assert_int_equal(totals.full_us, 78);
}

static void files_that_are_no_psi_say_why(void **state) {
  struct psi_trigger trigger = {.fd = -7};
  struct psi_totals totals;

  (void)state;
  assert_int_equal(psi__read(in_scene("missing"), &totals), -ENOENT);
  assert_int_equal(psi_trigger__open(&trigger, in_scene("missing")), -ENOENT);
  assert_int_equal(psi__read("/proc/self/status", &totals), -EPROTO);
  assert_int_equal(psi__read("/proc/version", &totals), -EPROTO);
  assert_int_equal(psi_trigger__open(&trigger, "/proc/version"), -EPROTO);
  assert_int_equal(trigger.fd, -7);
}

static bool have_psi(void) {
  struct psi_totals totals;

  return psi__read(HOST, &totals) == 0;
}

static void trigger_is_armed_as_allowed(void **state) {
  struct psi_totals before, after;
  struct psi_trigger trigger;

  (void)state;
  if (!have_psi())
    SKIP("PSI is off");
  assert_int_equal(psi__read(HOST, &before), 0);
  if (psi_trigger__open(&trigger, HOST) == -EPERM)
    SKIP("this kernel arms triggers for the privileged only");
  assert_int_equal(psi__read(HOST, &after), 0);
  assert_true(trigger.fd >= 0);
  assert_true(fcntl(trigger.fd, F_GETFD) & FD_CLOEXEC);
  assert_int_equal(trigger.threshold_us, trigger.privileged ? 70000 : 150000);
  assert_in_range(trigger.believed_us, before.some_us, after.some_us);
  assert_int_equal(write(trigger.fd, "some 150000 2000000", 20), -1);
  assert_int_equal(errno, EBUSY); /* so it is armed */
  psi_trigger__close(&trigger);
  assert_int_equal(trigger.fd, -1);
  psi_trigger__close(&trigger);
}

static void only_growth_by_the_threshold_is_believed(void **state) {
  struct psi_trigger trigger = {.fd = -1, .threshold_us = 1000, .believed_us = 5000};

  (void)state;
  assert_false(psi_trigger__believe(&trigger, 5000));
  assert_false(psi_trigger__believe(&trigger, 5999));
  assert_true(psi_trigger__believe(&trigger, 6000));
  assert_false(psi_trigger__believe(&trigger, 6600));
  assert_true(psi_trigger__believe(&trigger, 7100)); /* what the doubted one brought counts */
  assert_false(psi_trigger__believe(&trigger, 100)); /* the counter began anew */
  assert_false(psi_trigger__believe(&trigger, 1099));
  assert_true(psi_trigger__believe(&trigger, 1100));
}

static void vanished_cgroup_is_noticed(void **state) {
  struct psi_trigger trigger;
  struct psi_totals totals;
  struct pollfd poll_for = {.events = POLLPRI};

  (void)state;
  if (mkdir(LEAF, 0755) && errno != EEXIST)
    SKIP("no cgroup v2 to make: %s", strerror(errno));
  if (psi_trigger__open(&trigger, LEAF "/memory.pressure")) {
    (void)rmdir(LEAF);
    SKIP("no memory.pressure in cgroups");
  }
  poll_for.fd = trigger.fd;
  assert_int_equal(poll(&poll_for, 1, 0), 0);
  assert_int_equal(rmdir(LEAF), 0);
  UNTIL(poll(&poll_for, 1, 0) == 1 && (poll_for.revents & POLLERR));
  assert_int_equal(psi__read(LEAF "/memory.pressure", &totals), -ENOENT);
  psi_trigger__close(&trigger);
}

/* Read and forget a file twice the size of its memory cgroup, over and over. */
static void thrash(void) {
  static char piece[MIB];
  int fd = open(in_scene("data"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  char *map;

  put_file(SMALL "/cgroup.procs", "0", 0600);
  for (int i = 0; i < 64; i++)
    if (write(fd, piece, sizeof(piece)) != sizeof(piece))
      _exit(1);
  if (fsync(fd))
    _exit(1);
  map = mmap(NULL, 64 * MIB, PROT_READ, MAP_SHARED, fd, 0);
  for (;;)
    for (size_t at = 0; at < 64 * MIB; at += 4096)
      *(volatile char *)piece += map[at];
}

static void real_pressure_is_reported(void **state) {
  struct pollfd poll_for = {.events = POLLPRI};
  struct psi_trigger trigger;
  struct psi_totals totals;
  bool believed = false;
  pid_t pid;

  (void)state;
  if (scene_is_in_memory())
    SKIP("%s is in memory", scene_path);
  if (!have_psi() || psi_trigger__open(&trigger, HOST))
    SKIP("no PSI triggers");
  if (mkdir(SMALL, 0755) && errno != EEXIST) {
    psi_trigger__close(&trigger);
    SKIP("no memory cgroup to make: %s", strerror(errno));
  }
  put_file(SMALL "/memory.limit_in_bytes", "33554432", 0600);
  pid = fork_child();
  if (pid == 0) {
    thrash();
    _exit(1);
  }
  poll_for.fd = trigger.fd;
  for (int i = 0; i < 20 && !believed; i++) {
    if (poll(&poll_for, 1, 2000) != 1)
      continue;
    assert_int_equal(poll_for.revents, POLLPRI);
    assert_int_equal(psi__read(HOST, &totals), 0);
    believed = psi_trigger__believe(&trigger, totals.some_us);
  }
  end_child(pid);
  UNTIL(rmdir(SMALL) == 0);
  psi_trigger__close(&trigger);
  assert_true(believed);
}

int main(void) {
#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, scene__open, scene__close)
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(totals_are_found),
      cmocka_unit_test(any_text_is_taken),
      IN_SCENE(files_that_are_no_psi_say_why),
      cmocka_unit_test(trigger_is_armed_as_allowed),
      cmocka_unit_test(only_growth_by_the_threshold_is_believed),
      cmocka_unit_test(vanished_cgroup_is_noticed),
      IN_SCENE(real_pressure_is_reported),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

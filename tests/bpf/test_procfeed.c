/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Does the sensor without BPF, also in the hands of an ordinary user, give the same figures as the one with it? */
#include "puppet.h"

#include <sys/prctl.h>

#include "procstat.h"

static struct sensor *sensor;
static struct puppet puppet;

static int set_up(void **state) {
  char why[200];
  (void)state;
  if (sensor__open("proc", false, &sensor, why, sizeof(why)))
    return -1;
  puppet__start(&puppet);
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  puppet__stop(&puppet);
  sensor->ops->close(sensor);
  return 0;
}

static struct sensor_reading reading(bool exact) {
  struct sensor_reading r;
  assert_int_equal(sensor->ops->read(sensor, 3, exact, &r), 0);
  return r;
}

static uint64_t footprint(bool exact) {
  struct sensor_reading r = reading(exact);
  return r.anon_bytes + r.shmem_bytes + r.swap_bytes;
}

static void sweep(void) {
  assert_int_equal(sensor->ops->sweep(sensor), 0);
}

static int event(struct sensor_event *ret) {
  return sensor->ops->events(sensor, ret, 1);
}

static void test_what_it_is(void **state) {
  (void)state;
  assert_string_equal(sensor->ops->name, "proc");
  assert_int_equal(sensor->ops->tier(sensor), EBB_TIER_PROC);
  assert_int_equal(sensor->ops->level(sensor), 0);
  assert_int_equal(sensor->ops->fd(sensor), -1);
  assert_int_equal(sensor->ops->drops(sensor), 0);
}

static void test_figures_are_those_of_proc(void **state) {
  (void)state;
  struct procmem memory;
  struct procstat stat;
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 16 * MIB), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_SHARE, 8 * MIB), 0);
  sweep();
  assert_int_equal(procmem__read(puppet.pid, &memory), 0);
  assert_int_equal(procstat__read(puppet.pid, &stat), 0);
  struct sensor_reading r = reading(false);
  assert_int_equal(r.anon_bytes, memory.anon_bytes);
  assert_int_equal(r.shmem_bytes, memory.shmem_bytes);
  assert_int_equal(r.minor_faults, stat.minor_faults);
  assert_true(r.stall_us == EBB_UNKNOWN);
  assert_int_equal(r.major_faults, stat.major_faults);
  assert_int_equal(r.processes, 1);
}

static void test_descendants_count(void **state) {
  (void)state;
  uint64_t before = footprint(true);
  pid_t away = puppet__fork_away(&puppet);
  pid_t child = (pid_t)puppet__do(&puppet, PUPPET_FORK_GROWING, 32 * MIB);
  assert_int_equal(reading(false).processes, 1); /* not swept yet */
  assert_int_equal(reading(true).processes, 3);
  assert_true(footprint(false) > before + 32 * MIB);
  uint64_t faults = reading(false).minor_faults;
  assert_int_equal(puppet__do(&puppet, PUPPET_KILL, (uint64_t)child), 0);
  assert_int_equal(kill(away, SIGKILL), 0);
  await(reading(true).processes == 1);
  assert_true(reading(false).minor_faults >= faults);
}

static void test_turns(void **state) {
  (void)state;
  struct sensor_event e;
  uint64_t idle = footprint(false);
  assert_false(reading(false).busy);
  assert_int_equal(reading(false).fresh_bytes, idle);
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK, 0), 0);
  uint64_t before_ns = clock__monotonic_ns();
  sweep();
  assert_true(reading(false).busy);
  assert_int_equal(reading(false).turns, 1);
  assert_in_range(reading(false).taken_ns, before_ns, clock__monotonic_ns());
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 32 * MIB), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 32 * MIB), 0);
  sweep();
  assert_int_equal(puppet__do(&puppet, PUPPET_SHRINK, 0), 0);
  assert_int_equal(event(&e), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_UNLOCK, 0), 0);
  sweep();
  assert_int_equal(event(&e), 1);
  assert_int_equal(e.kind, SENSOR_RELEASED);
  assert_int_equal(e.worker, 3);
  assert_int_equal(e.generation, 7);
  assert_int_equal(e.turn, 1);
  assert_in_range(e.held_ns, 1, e.at_ns - before_ns);
  assert_int_equal(e.before_bytes, idle);
  assert_near(e.peak_bytes, idle + 64 * MIB);
  assert_near(e.after_bytes, idle + 32 * MIB);
  assert_false(reading(false).busy);
  assert_int_equal(event(&e), 0);
  assert_int_equal(reading(false).fresh_bytes, idle);
}

/* A worker that waits for its lease is not at work, though the lease is locked. */
static void test_waiting_is_not_busy(void **state) {
  (void)state;
  assert_int_equal(flock(puppet.lease_fd, LOCK_EX), 0);
  puppet__send(&puppet, PUPPET_LOCK, 0);
  struct lease_key key;
  struct lease_use use = {0};
  assert_int_equal(lease__key(puppet.lease_fd, &key), 0);
  await(!locks__read(&key, 1, &use) && use.awaited);
  sweep();
  assert_false(reading(false).busy);
  assert_int_equal(reading(false).fresh_bytes, footprint(false));
  assert_int_equal(flock(puppet.lease_fd, LOCK_UN), 0);
  assert_int_equal(puppet__answer(&puppet), 0);
  assert_true(reading(true).busy);
}

static void test_a_crossing_is_reported_once(void **state) {
  (void)state;
  struct sensor_event e;
  uint64_t limit = footprint(true) + 16 * MIB;
  sensor->ops->arm(sensor, 3, limit);
  sweep();
  assert_int_equal(event(&e), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 32 * MIB), 0);
  sweep();
  assert_int_equal(event(&e), 1);
  assert_int_equal(e.kind, SENSOR_CROSSED);
  assert_near(e.after_bytes, limit + 16 * MIB);
  sweep();
  assert_int_equal(event(&e), 0);
}

static void test_private_is_what_only_it_has(void **state) {
  (void)state;
  uint64_t private = 0;
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 32 * MIB), 0);
  assert_int_equal(sensor->ops->private_bytes(sensor, 3, &private), 0);
  assert_in_range(private, 32 * MIB, footprint(true));
  assert_true(puppet__do(&puppet, PUPPET_FORK, 0) > 0);
  assert_int_equal(sensor->ops->private_bytes(sensor, 3, &private), 0);
  assert_in_range(private, 32 * MIB, footprint(true) / 2 + 2 * MIB);
}

static void test_the_dead_and_the_unknown(void **state) {
  (void)state;
  struct sensor_reading r;
  uint64_t private;
  assert_int_equal(sensor->ops->read(sensor, 4, true, &r), -ENOENT);
  assert_int_equal(sensor->ops->private_bytes(sensor, 4, &private), -ENOENT);
  assert_int_equal(kill(puppet.pid, SIGKILL), 0);
  await(sensor->ops->read(sensor, 3, true, &r) == -ESRCH); /* a zombie */
  assert_int_equal(sensor->ops->private_bytes(sensor, 3, &private), -ESRCH);
  assert_int_equal(waitpid(puppet.pid, NULL, 0), puppet.pid);
  assert_int_equal(puppet__follow(&puppet, sensor, 5), -ESRCH);
  sensor->ops->remove(sensor, 3);
  sensor->ops->remove(sensor, 3);
  assert_int_equal(sensor->ops->read(sensor, 3, false, &r), -ENOENT);
  sweep();
}

static void test_agrees_with_the_kernel_side(void **state) {
  (void)state;
  struct sensor *bpf = open_bpf();
  struct sensor_reading a, b;
  if (!bpf)
    skip();
  assert_int_equal(puppet__follow(&puppet, bpf, 3), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 20 * MIB), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_SHARE, 10 * MIB), 0);
  pid_t child = (pid_t)puppet__do(&puppet, PUPPET_FORK_GROWING, 5 * MIB);
  struct procstat stat;
  await(!procstat__read(child, &stat) && stat.state == 'S'); /* until then it still takes pages */
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK, 0), 0);
  assert_int_equal(sensor->ops->read(sensor, 3, true, &a), 0);
  assert_int_equal(bpf->ops->sweep(bpf), 0);
  assert_int_equal(bpf->ops->read(bpf, 3, true, &b), 0);
  assert_int_equal(a.anon_bytes, b.anon_bytes);
  assert_int_equal(a.shmem_bytes, b.shmem_bytes);
  assert_int_equal(a.swap_bytes, b.swap_bytes);
  assert_int_equal(a.minor_faults, b.minor_faults);
  assert_int_equal(a.major_faults, b.major_faults);
  assert_int_equal(a.processes, b.processes);
  assert_int_equal(a.busy, b.busy);
  assert_int_equal(a.turns, b.turns);
  uint64_t of_proc, of_bpf;
  assert_int_equal(sensor->ops->private_bytes(sensor, 3, &of_proc), 0);
  assert_int_equal(bpf->ops->private_bytes(bpf, 3, &of_bpf), 0);
  assert_int_equal(of_proc, of_bpf);
  bpf->ops->close(bpf);
}

static int run(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      T(test_what_it_is),
      T(test_figures_are_those_of_proc),
      T(test_descendants_count),
      T(test_turns),
      T(test_waiting_is_not_busy),
      T(test_a_crossing_is_reported_once),
      T(test_private_is_what_only_it_has),
      T(test_the_dead_and_the_unknown),
      T(test_agrees_with_the_kernel_side),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* All of it again as nobody. */
static int run_as_nobody(void) {
  int status = 0;
  pid_t pid = fork();
  if (!pid) {
    print_message("as an ordinary user\n");
    if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534) || prctl(PR_SET_DUMPABLE, 1))
      _exit(1);
    int failed = run();
    (void)fflush(NULL);
    _exit(failed ? 1 : 0);
  }
  return waitpid(pid, &status, 0) == pid && !status ? 0 : 1;
}

int main(void) {
  int failed = run();
  (void)fflush(NULL);
  if (geteuid())
    print_message("skipped: the part as another user: not root\n");
  else
    failed |= run_as_nobody();
  return failed;
}

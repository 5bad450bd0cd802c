/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Is exactly what a worker's processes hold counted as the worker's, whatever they do to their threads, address spaces,
 * pids and namespaces, and whoever uses those again? Asked of both sensors; the answer is compared with /proc.
 */
#include "kernside.h"
#include "puppet.h"
#include "stage.h"
#include "truth.h"

static const char *kind; /* of sensor: "bpf", "proc" */
static struct sensor *sensor;
static struct puppet puppet;
static pid_t stranger; /* a child of ours that no worker has anything to do with */

static int set_up(void **state) {
  char why[200];
  (void)state;
  int r = sensor__open(kind, false, &sensor, why, sizeof(why));
  if (r) {
    print_message("skipped: %s (%s)\n", why, strerror(-r));
    sensor = NULL;
    return 0;
  }
  puppet__start(&puppet);
  return 0;
}

static bool on_bpf(void) {
  return !strcmp(kind, "bpf");
}

static void reap(pid_t *pid) {
  if (*pid > 0) {
    (void)kill(*pid, SIGKILL);
    (void)waitpid(*pid, NULL, 0);
  }
  *pid = 0;
}

/* Whatever the test was about: when all is over the kernel side remembers nothing. */
static int tear_down(void **state) {
  (void)state;
  if (!sensor)
    return 0;
  puppet__stop(&puppet);
  reap(&stranger);
  stage__clear(); /* first: what follows may fail */
  if (on_bpf()) {
    await(map_entries(skel_of(sensor)->maps.procs) == 0 && map_entries(skel_of(sensor)->maps.mms) == 0);
    await(kernel_pages(sensor, 3) == 0);
    assert_int_equal(skel_of(sensor)->bss->missed, 0);
  }
  sensor->ops->close(sensor);
  sensor = NULL;
  return 0;
}

#define NEED_SENSOR()                                                                                                  \
  if (!sensor)                                                                                                         \
  skip()

static void follow(void) {
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
}

static uint64_t footprint(uint32_t *ret_processes) {
  struct sensor_reading reading;
  assert_int_equal(sensor->ops->read(sensor, 3, true, &reading), 0);
  if (ret_processes)
    *ret_processes = reading.processes;
  return reading.anon_bytes + reading.shmem_bytes + reading.swap_bytes;
}

/* The exact figure is that of the root and its descendants, and so many processes have memory; once they are at rest,
 * which one that has just been told to exec is not at once. */
static void assert_is_tree(uint32_t processes) {
  uint32_t seen = 0;
  await(footprint(&seen) == truth__of_tree(puppet.pid) && seen == processes);
}

/* On the way the kernel side has to keep up by itself. */
static void assert_kernel_near(uint64_t bytes, unsigned processes) {
  if (!on_bpf())
    return;
  uint64_t slop = kernel_error_pages(sensor) * feed__of(sensor)->page_bytes * processes;
  uint64_t pages = (uint64_t)kernel_pages(sensor, 3);
  assert_in_range(pages * feed__of(sensor)->page_bytes + slop, bytes, bytes + 2 * slop);
}

static pid_t stranger_as(pid_t pid, size_t bytes) {
  int ready[2];
  assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
  pid_t child = pid ? stage__fork_as(pid) : fork();
  if (!child) {
    (void)puppet_grow(bytes, MAP_PRIVATE);
    (void)!write(ready[1], "", 1);
    sleep_for_ever();
  }
  (void)close(ready[1]);
  if (child > 0)
    assert_int_equal(read(ready[0], &(char){0}, 1), 1);
  (void)close(ready[0]);
  return child;
}

/* Have all processes of the host looked at, by following one that is soon gone again. */
static void force_search(void) {
  struct puppet other;
  puppet__start(&other);
  assert_int_equal(puppet__follow(&other, sensor, 4), 0);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  sensor->ops->remove(sensor, 4);
  puppet__stop(&other);
}

static void test_threads_that_grow(void **state) {
  (void)state;
  NEED_SENSOR();
  follow();
  uint64_t before = footprint(NULL);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW_THREADS, 64 * MIB), 0);
  assert_is_tree(1);
  assert_in_range(footprint(NULL), before + 64 * MIB, before + 72 * MIB);
}

static bool leader_has_ended(void) {
  struct procstat stat;
  return !procstat__read(puppet.pid, &stat) && stat.state == 'Z' && stat.threads > 1;
}

static void test_a_worker_whose_first_thread_ends(void **state) {
  (void)state;
  NEED_SENSOR();
  follow();
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 16 * MIB), 0);
  assert_is_tree(1);
  assert_int_equal(puppet__do(&puppet, PUPPET_END_LEADER, 0), 0);
  await(leader_has_ended());
  assert_is_tree(1);
  uint64_t before = footprint(NULL), private = 0;
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 32 * MIB), 0);
  assert_is_tree(1);
  assert_in_range(footprint(NULL), before + 31 * MIB, before + 36 * MIB); /* up to 6.1 a thread keeps some back */
  assert_int_equal(sensor->ops->private_bytes(sensor, 3, &private), 0);
  assert_in_range(private, 47 * MIB, footprint(NULL) + MIB);
  pid_t child = (pid_t)puppet__do(&puppet, PUPPET_FORK_GROWING, 8 * MIB);
  assert_is_tree(2);
  assert_int_equal(puppet__do(&puppet, PUPPET_KILL, (uint64_t)child), 0);
  assert_is_tree(1);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_kernel_near(footprint(NULL), 1);
}

static void test_a_first_thread_that_ended_before(void **state) {
  (void)state;
  NEED_SENSOR();
  assert_int_equal(puppet__do(&puppet, PUPPET_END_LEADER, 0), 0);
  await(leader_has_ended());
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 32 * MIB), 0);
  assert_true(puppet__do(&puppet, PUPPET_FORK, 0) > 0);
  follow();
  assert_is_tree(2);
  assert_true(footprint(NULL) > 64 * MIB);
  assert_kernel_near(footprint(NULL), 2);
}

static void test_a_crossing_after_the_first_thread(void **state) {
  (void)state;
  NEED_SENSOR();
  follow();
  assert_int_equal(puppet__do(&puppet, PUPPET_END_LEADER, 0), 0);
  await(leader_has_ended());
  sensor->ops->arm(sensor, 3, footprint(NULL) + 16 * MIB);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 32 * MIB), 0);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  struct sensor_event event;
  assert_int_equal(sensor->ops->events(sensor, &event, 1), 1);
  assert_int_equal(event.kind, SENSOR_CROSSED);
}

static bool is_once(void) {
  struct truth truth = {0};
  uint32_t processes;
  assert_true(truth__add(&truth, puppet.pid));
  return footprint(&processes) == truth__sum(&truth) && processes == 1;
}

/* A child that shares the address space counts, but the space counts once. */
static void test_a_child_with_the_same_memory(void **state) {
  (void)state;
  NEED_SENSOR();
  follow();
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 32 * MIB), 0);
  pid_t child = (pid_t)puppet__do(&puppet, PUPPET_CLONE_VM, 0);
  await(is_once());
  assert_int_equal(puppet__do(&puppet, PUPPET_KILL, (uint64_t)child), 0);
  assert_kernel_near(truth__of_tree(puppet.pid), 1); /* its end takes nothing of its parent's away */
  assert_is_tree(1);
}

static void test_memory_that_outlives_its_first_process(void **state) {
  (void)state;
  NEED_SENSOR();
  follow();
  pid_t child = (pid_t)puppet__do(&puppet, PUPPET_CLONE_VM_TWICE, 32 * MIB);
  assert_true(child > 0);
  struct truth truth = {0};
  uint32_t processes;
  assert_true(truth__add(&truth, puppet.pid) && truth__add(&truth, child));
  assert_int_equal(footprint(&processes), truth__sum(&truth));
  assert_int_equal(processes, 2);
  assert_true(truth__sum(&truth) > 32 * MIB);
  assert_kernel_near(truth__sum(&truth), 2);
  assert_int_equal(kill(child, SIGKILL), 0);
  await(footprint(&processes) == truth__of_tree(puppet.pid) && processes == 1);
}

/* Orphans that left the group, the session, and their program. */
static void test_orphans_that_went_away(void **state) {
  (void)state;
  NEED_SENSOR();
  follow();
  pid_t twice = (pid_t)puppet__do(&puppet, PUPPET_FORK_TWICE, 0);
  pid_t away = puppet__fork_away(&puppet);
  struct truth truth = {0};
  struct procstat stat;
  uint32_t processes;
  await(!procstat__read(away, &stat) && stat.minor_faults < 200 &&
        stat.state == 'S'); /* it has become another program */
  assert_true(truth__add(&truth, puppet.pid) && truth__add(&truth, twice) && truth__add(&truth, away));
  assert_int_equal(footprint(&processes), truth__sum(&truth));
  assert_int_equal(processes, 3);
  assert_int_equal(kill(away, SIGKILL), 0);
}

/* The numbers of whoever chose them are no use to the host, nor to us. */
static void in_a_namespace(bool follow_first) {
  puppet__stop(&puppet);
  puppet__start_in(&puppet, CLONE_NEWPID);
  if (follow_first)
    follow();
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 8 * MIB), 0);
  pid_t child = (pid_t)puppet__do(&puppet, PUPPET_FORK_GROWING, 16 * MIB);
  assert_in_range(child, 2, 9); /* it is a namespace */
  assert_true(puppet__do(&puppet, PUPPET_FORK_TWICE, 0) > 0);
  assert_true(puppet__do(&puppet, PUPPET_FORK_AWAY, 0) > 0);
  if (!follow_first)
    follow();
  assert_is_tree(4);
  assert_kernel_near(footprint(NULL), 4);
  assert_int_equal(puppet__do(&puppet, PUPPET_LOCK, 0), 0);
  struct sensor_reading reading;
  assert_int_equal(sensor->ops->read(sensor, 3, true, &reading), 0);
  assert_true(reading.busy);
  assert_int_equal(puppet__do(&puppet, PUPPET_KILL, (uint64_t)child), 0);
  assert_is_tree(3);
}

static void test_a_worker_in_a_pid_namespace(void **state) {
  (void)state;
  NEED_SENSOR();
  in_a_namespace(true);
}

static void test_a_worker_found_in_a_pid_namespace(void **state) {
  (void)state;
  NEED_SENSOR();
  in_a_namespace(false);
}

static void below_a_worker(bool follow_first) {
  if (follow_first)
    follow();
  assert_int_equal(puppet__do(&puppet, PUPPET_UNSHARE_PIDS, 0), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_FORK_GROWING, 16 * MIB), 1);
  assert_int_equal(puppet__do(&puppet, PUPPET_FORK, 0), 2);
  if (!follow_first)
    follow();
  assert_is_tree(3);
  assert_true(footprint(NULL) > 16 * MIB);
  if (on_bpf())
    assert_true(kernel_owner(sensor, 1) < 0 && kernel_owner(sensor, 2) < 0); /* of the host */
}

static void test_a_pid_namespace_below_a_worker(void **state) {
  (void)state;
  NEED_SENSOR();
  below_a_worker(true);
}

static void test_a_pid_namespace_found_below_a_worker(void **state) {
  (void)state;
  NEED_SENSOR();
  below_a_worker(false);
}

#define NEED_PID(pid)                                                                                                  \
  if ((pid) < 0) {                                                                                                     \
    print_message("skipped: no pid can be chosen here: %s\n", strerror(-(pid)));                                       \
    stranger = 0;                                                                                                      \
    skip();                                                                                                            \
  }

static void test_the_pid_of_a_dead_descendant(void **state) {
  (void)state;
  NEED_SENSOR();
  follow();
  pid_t child = (pid_t)puppet__do(&puppet, PUPPET_FORK_GROWING, 8 * MIB);
  assert_is_tree(2);
  assert_int_equal(puppet__do(&puppet, PUPPET_KILL, (uint64_t)child), 0);
  stranger = stranger_as(child, 16 * MIB);
  NEED_PID(stranger);
  assert_is_tree(1);
  force_search();
  assert_is_tree(1);
  assert_kernel_near(truth__of_tree(puppet.pid), 1);
}

/* Nothing is known of the worker any more; not even when a stranger leads a group of that number. */
/* Processes of one number are told apart by when they began, which the kernel tells in ticks of 10 ms. */
static bool is_past_its_first_tick(pid_t pid) {
  struct timespec now;
  struct procstat stat;
  assert_int_equal(procstat__read(pid, &stat), 0);
  assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &now), 0);
  uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK);
  return (uint64_t)now.tv_sec * ticks + (uint64_t)now.tv_nsec * ticks / NS_PER_SEC > stat.start_time + 1;
}

static void test_the_pid_of_a_dead_worker(void **state) {
  (void)state;
  NEED_SENSOR();
  follow();
  assert_is_tree(1);
  pid_t pid = puppet.pid;
  await(is_past_its_first_tick(pid));
  assert_int_equal(kill(pid, SIGKILL), 0);
  assert_int_equal(waitpid(pid, NULL, 0), pid);
  puppet.pid = 0;
  stranger = stranger_as(pid, 16 * MIB);
  NEED_PID(stranger);
  assert_int_equal(setpgid(stranger, stranger), 0);
  struct sensor_reading reading;
  force_search();
  assert_int_equal(sensor->ops->read(sensor, 3, true, &reading), -ESRCH);
  assert_int_equal(sensor->ops->read(sensor, 3, false, &reading), -ESRCH);
}

/* As far as numbers go, those whom the stranger left behind could be the worker's. */
static void test_the_group_of_a_dead_worker(void **state) {
  (void)state;
  NEED_SENSOR();
  follow();
  assert_is_tree(1);
  pid_t pid = puppet.pid;
  assert_int_equal(kill(pid, SIGKILL), 0);
  assert_int_equal(waitpid(pid, NULL, 0), pid);
  puppet.pid = 0;
  struct sensor_reading reading;
  assert_int_equal(sensor->ops->read(sensor, 3, true, &reading), -ESRCH);
  pid_t leader = stranger_as(pid, MIB);
  NEED_PID(leader);
  stranger = stranger_as(0, 16 * MIB);
  assert_int_equal(setpgid(leader, leader), 0);
  assert_int_equal(setpgid(stranger, leader), 0);
  reap(&leader);
  force_search();
  assert_int_equal(sensor->ops->read(sensor, 3, true, &reading), -ESRCH);
}

/* Thousands of short processes, of the worker's and of others', on recycled pids and address spaces. */
static void test_churn(void **state) {
  (void)state;
  NEED_SENSOR();
  follow();
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 16 * MIB), 0);
  assert_is_tree(1);
  int n = on_bpf() ? 1000 : 100;
  puppet__send(&puppet, PUPPET_CHURN, (uint64_t)n);
  assert_int_equal(puppet_churn((uint64_t)n), 0);
  assert_int_equal(puppet__answer(&puppet), 0);
  assert_is_tree(1);
  assert_kernel_near(truth__of_tree(puppet.pid), 1);
  if (on_bpf())
    assert_true(map_entries(skel_of(sensor)->maps.mms) == 1 && map_entries(skel_of(sensor)->maps.procs) == 1);
}

static uint64_t mm_of(pid_t pid) {
  uint32_t tgid = (uint32_t)pid;
  struct ebb_proc proc;
  assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skel_of(sensor)->maps.procs), &tgid, &proc), 0);
  return proc.mm;
}

/* The address of a worker's memory comes to another's, and to strangers. */
static void test_an_address_space_used_again(void **state) {
  (void)state;
  NEED_SENSOR();
  if (!on_bpf()) {
    print_message("skipped: this sensor knows no address spaces\n");
    skip();
  }
  struct puppet other;
  puppet__start(&other);
  follow();
  assert_int_equal(puppet__follow(&other, sensor, 4), 0);
  int again = 0;
  uint64_t before = 0;
  for (int i = 0; i < 200; i++) {
    struct puppet *parent = i % 2 ? &other : &puppet;
    pid_t child = (pid_t)puppet__do(parent, PUPPET_FORK_GROWING, 256 * 1024);
    again += mm_of(child) == before;
    before = mm_of(child);
    assert_int_equal(puppet__do(parent, PUPPET_KILL, (uint64_t)child), 0);
    stranger = stranger_as(0, 256 * 1024);
    reap(&stranger);
  }
  print_message("%d of 200 address spaces followed one at the same address\n", again);
  assert_is_tree(1);
  assert_kernel_near(truth__of_tree(puppet.pid), 1);
  assert_int_equal(map_entries(skel_of(sensor)->maps.mms), 2);
  puppet__stop(&other);
  await(kernel_pages(sensor, 4) == 0);
}

/*
 * A greedy neighbour in the same small cgroup pushes the sleeping worker's memory to swap: all along, the neighbour is
 * the one that runs. Both are followed: neither may be charged for the other. What is anonymous stays the worker's, in swap;
 * shared memory in swap is nobody's, so the worker's sum falls, before any sweep and though it sleeps.
 */
static void test_reclaim_by_another_process(void **state) {
  (void)state;
  NEED_SENSOR();
  if (!stage__swap(256 * MIB) || !stage__cgroup(64 * MIB)) {
    print_message("skipped: no swap or no memory cgroup can be made here\n");
    skip();
  }
  struct puppet greedy, small;
  puppet__start(&greedy);
  puppet__start(&small);
  assert_true(stage__enter(puppet.pid) && stage__enter(greedy.pid));
  follow();
  assert_int_equal(puppet__follow(&greedy, sensor, 4), 0);
  assert_int_equal(puppet__follow(&small, sensor, 5), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 16 * MIB), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_SHARE, 24 * MIB), 0);
  uint64_t before = footprint(NULL);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  sensor->ops->arm(sensor, 5, truth__of_tree(small.pid) + 4 * MIB); /* so near that little is filtered out */
  sensor->ops->arm(sensor, 3, before + 40 * MIB);
  assert_int_equal(puppet__do(&greedy, PUPPET_GROW, 56 * MIB), 0);
  uint64_t bytes = (uint64_t)(on_bpf() ? kernel_pages(sensor, 3) : 0) * 4096, after = truth__of_tree(puppet.pid);
  assert_in_range(after, before - 24 * MIB, before - 8 * MIB);
  if (on_bpf() && sensor->ops->level(sensor))
    assert_in_range(bytes + 3 * MIB, after, after + 8 * MIB);
  assert_is_tree(1);
  struct sensor_reading reading;
  assert_int_equal(sensor->ops->read(sensor, 3, true, &reading), 0);
  print_message("of the sleeper, %llu KiB are in swap and %llu KiB are nobody's\n",
                (unsigned long long)reading.swap_bytes / 1024, (unsigned long long)(before - after) / 1024);
  assert_in_range(reading.swap_bytes, 6 * MIB, 24 * MIB); /* more than what the sum may be off */
  assert_int_equal(sensor->ops->read(sensor, 4, true, &reading), 0);
  assert_int_equal(reading.anon_bytes + reading.shmem_bytes + reading.swap_bytes, truth__of_tree(greedy.pid));
  puppet__stop(&greedy);
  puppet__stop(&small);
}

static int run(const char *of) {
  kind = of;
  print_message("sensor: %s\n", kind);
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      T(test_threads_that_grow),
      T(test_a_worker_whose_first_thread_ends),
      T(test_a_first_thread_that_ended_before),
      T(test_a_crossing_after_the_first_thread),
      T(test_a_child_with_the_same_memory),
      T(test_memory_that_outlives_its_first_process),
      T(test_orphans_that_went_away),
      T(test_a_worker_in_a_pid_namespace),
      T(test_a_worker_found_in_a_pid_namespace),
      T(test_a_pid_namespace_below_a_worker),
      T(test_a_pid_namespace_found_below_a_worker),
      T(test_the_pid_of_a_dead_descendant),
      T(test_the_pid_of_a_dead_worker),
      T(test_the_group_of_a_dead_worker),
      T(test_churn),
      T(test_an_address_space_used_again),
      T(test_reclaim_by_another_process),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void) {
  int failed = run("bpf");
  failed |= run("proc");
  return failed;
}

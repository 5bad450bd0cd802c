/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Are exactly the worker's processes counted, whatever they do to each other, and is nothing left of them afterwards? */
#include "puppet.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "ebb.skel.h"
#include "feed.h"

static struct sensor *sensor;
static struct puppet puppet;

static struct ebb *skel(void) {
  return feed__of(sensor)->loader.skel;
}

static int entries(struct bpf_map *map) {
  uint64_t key, next;
  void *from = NULL;
  int n = 0;
  for (; !bpf_map_get_next_key(bpf_map__fd(map), from, &next); n++) {
    key = next;
    from = &key;
  }
  return n;
}

static int leases(void) {
  struct ebb_lease key, next;
  void *from = NULL;
  int n = 0;
  for (; !bpf_map_get_next_key(bpf_map__fd(skel()->maps.leases), from, &next); n++) {
    key = next;
    from = &key;
  }
  return n;
}

static bool is_known(pid_t pid) {
  uint32_t tgid = (uint32_t)pid;
  struct ebb_proc proc;
  return !bpf_map_lookup_elem(bpf_map__fd(skel()->maps.procs), &tgid, &proc) && proc.owner.worker == 3;
}

static uint32_t processes(void) {
  struct sensor_reading reading;
  assert_int_equal(sensor->ops->read(sensor, 3, true, &reading), 0);
  return reading.processes;
}

static int set_up(void **state) {
  (void)state;
  sensor = open_bpf();
  if (!sensor)
    return 0;
  puppet__start(&puppet);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  if (!sensor)
    return 0;
  puppet__stop(&puppet);
  sensor->ops->close(sensor);
  return 0;
}

#define NEED_BPF()                                                                                                     \
  if (!sensor)                                                                                                         \
  skip()

static void everything_is_gone(void) {
  await(entries(skel()->maps.procs) == 0 && entries(skel()->maps.mms) == 0 && entries(skel()->maps.held) == 0 &&
        feed__of(sensor)->loader.workers[3].pages == 0);
  assert_int_equal(skel()->bss->missed, 0);
}

static void test_fork_and_exit(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_int_equal(processes(), 1);
  pid_t child = (pid_t)puppet__do(&puppet, PUPPET_FORK, 0);
  assert_true(is_known(child));
  assert_int_equal(processes(), 2);
  assert_int_equal(entries(skel()->maps.mms), 2);
  assert_int_equal(puppet__do(&puppet, PUPPET_KILL, (uint64_t)child), 0);
  assert_false(is_known(child));
  assert_int_equal(processes(), 1);
  puppet__stop(&puppet);
  everything_is_gone();
  assert_int_equal(leases(), 1);
  sensor->ops->remove(sensor, 3);
  assert_int_equal(leases(), 0);
}

static void test_double_fork_stays_ours(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  pid_t away = puppet__fork_away(&puppet);
  assert_true(is_known(away));
  assert_int_equal(processes(), 2);
  assert_int_equal(entries(skel()->maps.procs), 2); /* the one in between is gone */
  assert_int_equal(kill(away, SIGKILL), 0);
  puppet__stop(&puppet);
  everything_is_gone();
}

static void test_vfork_counts_memory_once(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 8 * MIB), 0);
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  struct sensor_reading reading;
  assert_int_equal(sensor->ops->read(sensor, 3, true, &reading), 0);
  pid_t child = (pid_t)puppet__do(&puppet, PUPPET_VFORK, 0);
  assert_true(is_known(child));
  /* The kernel lets the parent go on as soon as the child has its new memory, a moment before it tells of the exec. No
   * sweep has come in between that could put it right. */
  await(entries(skel()->maps.mms) == 2);
  assert_true((uint64_t)feed__of(sensor)->loader.workers[3].pages * 4096 + 4 * MIB > reading.anon_bytes);
  assert_int_equal(processes(), 2);
  /* sleep(1) is small; a second 8 MiB would be the parent's memory counted twice. */
  assert_true((uint64_t)feed__of(sensor)->loader.workers[3].pages * 4096 < reading.anon_bytes + 4 * MIB);
  assert_int_equal(puppet__do(&puppet, PUPPET_KILL, (uint64_t)child), 0);
  assert_int_equal(processes(), 1);
  assert_int_equal(entries(skel()->maps.mms), 1);
}

static void test_shared_address_space_counts_once(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 32 * MIB), 0);
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_int_equal(processes(), 1);
  int64_t before = feed__of(sensor)->loader.workers[3].pages;
  pid_t child = (pid_t)puppet__do(&puppet, PUPPET_CLONE_VM, 0);
  assert_true(is_known(child));
  assert_int_equal(processes(), 1); /* that have memory */
  assert_int_equal(entries(skel()->maps.mms), 1);
  assert_in_range(feed__of(sensor)->loader.workers[3].pages, before - 300, before + 300);
  assert_int_equal(puppet__do(&puppet, PUPPET_KILL, (uint64_t)child), 0);
  assert_false(is_known(child));
  assert_int_equal(processes(), 1);
}

/* The address space changes a moment before the exec is told; a sweep may come in between. */
static void test_an_exec_that_the_sweep_sees_first(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_int_equal(processes(), 1);
  int mms = bpf_map__fd(skel()->maps.mms), procs = bpf_map__fd(skel()->maps.procs);
  uint64_t now, before = 0x1000;
  uint32_t tgid = (uint32_t)puppet.pid;
  char entry[256];
  struct ebb_proc proc;
  assert_true(bpf_map__value_size(skel()->maps.mms) <= sizeof(entry));
  assert_int_equal(bpf_map_get_next_key(mms, NULL, &now), 0);
  assert_int_equal(bpf_map_lookup_elem(mms, &now, entry), 0);
  assert_int_equal(bpf_map_lookup_elem(procs, &tgid, &proc), 0);
  assert_true(proc.mm == now);
  proc.mm = before;
  assert_int_equal(bpf_map_update_elem(mms, &before, entry, BPF_ANY), 0);
  assert_int_equal(bpf_map_delete_elem(mms, &now), 0);
  assert_int_equal(bpf_map_update_elem(procs, &tgid, &proc, BPF_ANY), 0);

  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(bpf_map_lookup_elem(mms, &now, entry), 0);
  assert_int_equal(entries(skel()->maps.mms), 1); /* or the next owner of that address is counted with this worker */
}

static void test_threads_are_one_process(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_int_equal(puppet__do(&puppet, PUPPET_HOLD_THREADS, 9), 0);
  assert_int_equal(processes(), 1);
  assert_int_equal(entries(skel()->maps.procs), 1);
  assert_int_equal(puppet__do(&puppet, PUPPET_DROP_THREADS, 0), 0);
  await(threads_of(puppet.pid) == 1);
  assert_true(is_known(puppet.pid)); /* the end of a thread is not the end of the process */
  assert_int_equal(processes(), 1);
}

static void test_exec_of_a_thread_swaps_the_memory(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 64 * MIB), 0);
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_int_equal(processes(), 1);
  assert_true(feed__of(sensor)->loader.workers[3].pages > 15000);
  puppet__send(&puppet, PUPPET_EXEC_THREAD, 0);
  await(feed__of(sensor)->loader.workers[3].pages < 2048);
  assert_true(is_known(puppet.pid));
  assert_int_equal(processes(), 1);
  await(entries(skel()->maps.mms) == 1); /* the new one; the old one was gone first */
  puppet__stop(&puppet);
  everything_is_gone();
}

static void test_present_descendants_are_found(void **state) {
  (void)state;
  NEED_BPF();
  pid_t child = (pid_t)puppet__do(&puppet, PUPPET_FORK, 0);
  pid_t twice = (pid_t)puppet__do(&puppet, PUPPET_FORK_TWICE, 0);
  pid_t away = puppet__fork_away(&puppet);
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_int_equal(processes(), 4);
  assert_true(is_known(child) && is_known(twice) && is_known(away));
  assert_int_equal(entries(skel()->maps.procs), 4);
  assert_int_equal(kill(away, SIGKILL), 0);
  puppet__stop(&puppet);
  everything_is_gone();
}

static void test_zombies_and_the_dead_are_not_adopted(void **state) {
  (void)state;
  NEED_BPF();
  pid_t child = (pid_t)puppet__do(&puppet, PUPPET_FORK, 0);
  assert_int_equal(kill(child, SIGKILL), 0); /* its parent does not wait */
  struct procstat stat;
  await(!procstat__read(child, &stat) && stat.state == 'Z');
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_int_equal(processes(), 1);
  assert_int_equal(entries(skel()->maps.procs), 1);
  struct puppet dead = {.pid = child};
  assert_int_equal(kill(puppet.pid, SIGKILL), 0);
  assert_int_equal(waitpid(puppet.pid, NULL, 0), puppet.pid);
  dead = puppet;
  assert_int_equal(puppet__follow(&dead, sensor, 4), -ESRCH);
  struct sensor_reading reading;
  assert_int_equal(sensor->ops->read(sensor, 4, true, &reading), -ENOENT);
  assert_int_equal(sensor->ops->read(sensor, 3, true, &reading), -ESRCH);
}

/* It ended after it was seen and before it was noted down, so its exit found nothing to take out. */
static void test_what_died_while_being_adopted_is_struck_out(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  pid_t child = fork();
  if (!child)
    _exit(0);
  assert_int_equal(waitpid(child, NULL, 0), child);
  assert_int_equal(feed__adopt(feed__of(sensor), 3, child), 0);
  assert_true(is_known(child));
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_false(is_known(child));
  assert_true(is_known(puppet.pid));
}

static void test_a_new_life_makes_the_old_entries_stale(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  pid_t child = (pid_t)puppet__do(&puppet, PUPPET_FORK, 0);
  assert_int_equal(processes(), 2);
  int64_t before = feed__of(sensor)->loader.workers[3].pages;
  sensor->ops->remove(sensor, 3);
  struct sensor_reading reading;
  assert_int_equal(sensor->ops->read(sensor, 3, false, &reading), -ENOENT);
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 4 * MIB), 0); /* of nobody's now */
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  assert_int_equal(processes(), 2);
  assert_true(is_known(child));
  assert_int_equal(entries(skel()->maps.mms), 2);
  int64_t after = feed__of(sensor)->loader.workers[3].pages;
  assert_in_range(after, before + 900, before + 1200);
  puppet__stop(&puppet);
  everything_is_gone();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_fork_and_exit, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_double_fork_stays_ours, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_vfork_counts_memory_once, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_shared_address_space_counts_once, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_an_exec_that_the_sweep_sees_first, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_threads_are_one_process, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_what_died_while_being_adopted_is_struck_out, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_exec_of_a_thread_swaps_the_memory, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_present_descendants_are_found, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_zombies_and_the_dead_are_not_adopted, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_new_life_makes_the_old_entries_stale, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

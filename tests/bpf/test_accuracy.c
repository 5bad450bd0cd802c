/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Are the figures those of /proc, whatever a worker does? A puppet does things at random, in bursts of several orders, while
 * the sensor sweeps; after each burst, at rest, its figures are compared with status and smaps_rollup of each process.
 *
 *   EBB_FUZZ_SECONDS=600 EBB_FUZZ_SEED=7 build/bpf-tests/test_accuracy
 *
 * What may differ, and by how much (see "How near" in user/kern/sensor.h):
 * - the exact reading and status: nothing, at rest;
 * - status and smaps_rollup: nothing from 6.16 on; before, status is off by what CPUs or threads keep back. Shared memory
 *   that is swapped out is in smaps_rollup's Swap, and in no line of status;
 * - the other reading and the kernel side's sum: the bound of sensor.h, from the next sweep on; while things move, too,
 *   as long as growth is followed live.
 */
#include "kernside.h"
#include "puppet.h"
#include "stage.h"
#include "truth.h"

#include <sys/utsname.h>

#define BURSTS 300
#define LONG_ENOUGH_NS (5 * NS_PER_SEC) /* where a process costs milliseconds, fewer have to do */
#define ORDERS_MAX 6
#define CHILDREN_MAX 6
#define REGIONS_MAX 24
#define BYTES_MAX (64 * MIB)

static struct sensor *sensor;
static struct puppet puppet;

/* What the puppet should be by now. */
static struct {
  unsigned seed, began;
  int burst;
  char did[ORDERS_MAX * 40]; /* in this burst */
  bool swap, leader_ended;
  bool shared; /* there may be shared memory, which children have from their parents */
  int n_regions, n_children, n_orphans;
  uint64_t bytes[REGIONS_MAX];
  struct {
    pid_t pid;
    bool sharer;            /* of the puppet's own memory */
  } children[CHILDREN_MAX]; /* those that the puppet itself can reap */
} play;

static int set_up(void **state) {
  (void)state;
  memset(&play, 0, sizeof(play));
  sensor = open_bpf();
  if (!sensor)
    return 0;
  puppet__start(&puppet);
  assert_int_equal(puppet__follow(&puppet, sensor, 3), 0);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  if (!sensor)
    return 0;
  if (play.did[0])
    print_message("it was seed %u, burst %d:%s\n", play.began, play.burst, play.did);
  puppet__stop(&puppet);
  sensor->ops->close(sensor);
  stage__clear();
  return 0;
}

#define NEED_BPF()                                                                                                     \
  if (!sensor)                                                                                                         \
  skip()

static bool status_is_exact(void) {
  struct utsname host;
  unsigned major = 0, minor = 0;
  (void)uname(&host);
  (void)sscanf(host.release, "%u.%u", &major, &minor);
  return major > 6 || (major == 6 && minor >= 16);
}

static uint64_t page_bytes(void) {
  return feed__of(sensor)->page_bytes;
}

static uint64_t error_bytes(int processes) {
  return kernel_error_pages(sensor) * page_bytes() * (uint64_t)processes;
}

static struct sensor_reading reading(bool exact) {
  struct sensor_reading r;
  assert_int_equal(sensor->ops->read(sensor, 3, exact, &r), 0);
  return r;
}

static uint64_t sum_of(const struct sensor_reading *r) {
  return r->anon_bytes + r->shmem_bytes + r->swap_bytes;
}

/* All processes of the worker that have memory of their own; the orphans are the sensor's to know. */
static struct truth truth_of_all(bool walk, int *ret_processes) {
  struct roster_crew crew = roster__crew(&feed__of(sensor)->tally.roster, 3);
  struct truth truth = {0};
  *ret_processes = 0;
  for (uint32_t i = 0; i < crew.n; i++)
    *ret_processes += truth__read(&truth, crew.pids[i], walk);
  return truth;
}

static bool same_memory(const struct truth *a, const struct truth *b) {
  return a->anon == b->anon && a->shmem == b->shmem && a->swap == b->swap && a->file == b->file;
}

static int n_sharers(void) {
  int n = 0;
  for (int i = 0; i < play.n_children; i++)
    n += play.children[i].sharer;
  return n;
}

/* Whoever has just been forked or has exec'ed may still touch a page or two. */
static struct truth at_rest(struct sensor_reading *ret_exact, int *ret_processes) {
  uint64_t deadline_ns = clock__monotonic_ns() + DEADLINE_NS;
  struct truth before, walked, after;
  int expected = 1 + play.n_children - n_sharers() + play.n_orphans;
  do {
    if (clock__monotonic_ns() > deadline_ns)
      fail_msg("not at rest with %d processes: there are %d with memory", expected, *ret_processes);
    (void)reading(true); /* and who there is */
    before = truth_of_all(false, ret_processes);
    *ret_exact = reading(true);
    walked = truth_of_all(true, ret_processes);
    after = truth_of_all(false, ret_processes);
  } while (!same_memory(&before, &walked) || !same_memory(&walked, &after) || *ret_processes != expected);
  return walked;
}

static void assert_apart(uint64_t a, uint64_t b, uint64_t most) {
  if ((a > b ? a - b : b - a) > most)
    fail_msg("%llu and %llu are more than %llu bytes apart", (unsigned long long)a, (unsigned long long)b,
             (unsigned long long)most);
}

static void compare_rollup(const struct truth *truth, int processes) {
  uint64_t off = status_is_exact() ? 0 : 2 * error_bytes(processes);
  assert_apart(truth->rollup, truth->anon + truth->shmem + truth->file, off);
  if (!play.shared)
    assert_apart(truth->rollup_swap, truth->swap, off);
  else
    assert_true(truth->rollup_swap + off >= truth->swap);
}

/* Of a reading that is not exact: see sensor.h. */
static uint64_t bound_of_reading(int processes) {
  return 3ULL * 256 * 1024 + 2 * error_bytes(processes);
}

static void compare(void) {
  struct sensor_reading exact;
  int processes;
  struct truth truth = at_rest(&exact, &processes);
  assert_int_equal(exact.processes, processes);
  assert_int_equal(exact.anon_bytes, truth.anon);
  assert_int_equal(exact.shmem_bytes, truth.shmem);
  assert_int_equal(exact.swap_bytes, truth.swap);
  compare_rollup(&truth, processes);
  /* The sum moved by differences, and races may have left it off: two sweeps make it that of the counters again. */
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  assert_int_equal(kernel_pages(sensor, 3), tally_worker__pages(&feed__of(sensor)->tally.workers[3]));
  assert_apart((uint64_t)kernel_pages(sensor, 3) * page_bytes(), truth__sum(&truth), error_bytes(processes));
  struct sensor_reading swept = reading(false);
  assert_apart(sum_of(&swept), truth__sum(&truth), bound_of_reading(processes));
}

/* ---- the puppet's orders ---- */

static unsigned pick(unsigned n) {
  return (unsigned)rand_r(&play.seed) % n;
}

static uint64_t held(void) {
  uint64_t sum = 0;
  for (int i = 0; i < play.n_regions; i++)
    sum += play.bytes[i];
  return sum;
}

static bool may_grow(uint64_t bytes, bool shared) {
  if (play.n_regions == REGIONS_MAX || held() + bytes > BYTES_MAX)
    return false;
  play.shared |= shared;
  play.bytes[play.n_regions++] = bytes;
  return true;
}

static uint64_t some_bytes(uint64_t most) {
  return ((uint64_t)pick((unsigned)(most / 4096)) + 1) * 4096;
}

static bool may_have_child(bool sharer) {
  if (play.n_children + play.n_orphans == CHILDREN_MAX || (sharer && n_sharers())) /* they would sit on one stack */
    return false;
  play.children[play.n_children].pid = 0; /* until it answers */
  play.children[play.n_children++].sharer = sharer;
  return true;
}

/* Is the puppet in a state to obey? Then it is noted what becomes of it. */
static bool may(struct puppet_order *order) {
  switch (order->verb) {
  case PUPPET_GROW:
  case PUPPET_SHARE:
    return may_grow(order->argument, order->verb == PUPPET_SHARE);
  case PUPPET_GROW_THREADS:
    order->argument = order->argument / 16384 * 16384 + 16384; /* four threads, whole pages */
    return may_grow(order->argument, false);
  case PUPPET_SHRINK:
    return play.n_regions && play.n_regions--;
  case PUPPET_EMPTY:
    return play.n_regions;
  case PUPPET_PAGE_OUT:
    return play.swap;
  case PUPPET_FORK_TWICE:
    return play.n_orphans < 3 && play.n_children + play.n_orphans < CHILDREN_MAX && ++play.n_orphans;
  case PUPPET_FORK:
  case PUPPET_FORK_GROWING:
  case PUPPET_VFORK:
  case PUPPET_CLONE_VM:
    return may_have_child(order->verb == PUPPET_CLONE_VM);
  case PUPPET_CHURN:
    order->argument = pick(8);
    return true;
  case PUPPET_END_LEADER:
    return !play.leader_ended && pick(4) == 0 && (play.leader_ended = true);
  default:
    return true;
  }
}

static void note_done(const struct puppet_order *order) {
  size_t used = strlen(play.did);
  (void)snprintf(play.did + used, sizeof(play.did) - used, " %d(%llu)", order->verb,
                 (unsigned long long)order->argument);
}

static bool has_child(enum puppet_verb verb) {
  return verb == PUPPET_FORK || verb == PUPPET_FORK_GROWING || verb == PUPPET_VFORK || verb == PUPPET_CLONE_VM;
}

static int send_orders(struct puppet_order *to) {
  static const enum puppet_verb verbs[] = {
      PUPPET_GROW,  PUPPET_GROW,     PUPPET_SHARE,      PUPPET_GROW_THREADS, PUPPET_SHRINK,       PUPPET_SHRINK,
      PUPPET_EMPTY, PUPPET_TOUCH,    PUPPET_PAGE_OUT,   PUPPET_FORK,         PUPPET_FORK_GROWING, PUPPET_FORK_TWICE,
      PUPPET_VFORK, PUPPET_CLONE_VM, PUPPET_END_LEADER, PUPPET_CHURN,
  };
  int n = 0;
  for (int i = 0; i < ORDERS_MAX; i++) {
    struct puppet_order order = {.verb = verbs[pick(sizeof(verbs) / sizeof(verbs[0]))],
                                 .argument = some_bytes(4 * MIB)};
    if (!may(&order))
      continue;
    note_done(&order);
    puppet__send(&puppet, order.verb, order.argument);
    to[n++] = order;
  }
  return n;
}

/* Children answer in the order in which they were asked for. */
static void take_answers(const struct puppet_order *orders, int n, int first_child) {
  for (int i = 0; i < n; i++) {
    int64_t answer = puppet__answer(&puppet);
    assert_true(answer >= 0);
    if (has_child(orders[i].verb))
      play.children[first_child++].pid = (pid_t)answer;
  }
}

static void burst(void) {
  struct puppet_order orders[ORDERS_MAX];
  int first_child = play.n_children, n = send_orders(orders);
  for (unsigned i = pick(4); i; i--)
    assert_int_equal(sensor->ops->sweep(sensor), 0);
  take_answers(orders, n, first_child);
}

static void kill_one(void) {
  if (!play.n_children)
    return;
  unsigned i = pick((unsigned)play.n_children);
  note_done(&(struct puppet_order){.verb = PUPPET_KILL});
  assert_int_equal(puppet__do(&puppet, PUPPET_KILL, (uint64_t)play.children[i].pid), 0);
  play.children[i] = play.children[--play.n_children];
}

/* A new program, with the children of the old one; whoever shared its memory has that alone now. */
static void start_over(void) {
  note_done(&(struct puppet_order){.verb = PUPPET_EXEC});
  assert_int_equal(puppet__do(&puppet, PUPPET_EXEC, 0), 0);
  play.n_regions = 0;
  play.leader_ended = false;
  play.shared &= play.n_children + play.n_orphans > 0;
  for (int i = 0; i < play.n_children; i++)
    play.children[i].sharer = false;
}

static bool goes_on(int bursts_done, bool long_run, uint64_t end_ns) {
  return (long_run || bursts_done < BURSTS) && clock__monotonic_ns() < end_ns;
}

static void test_random_lives(void **state) {
  (void)state;
  NEED_BPF();
  const char *seconds = getenv("EBB_FUZZ_SECONDS"), *seed = getenv("EBB_FUZZ_SEED");
  uint64_t end_ns = clock__monotonic_ns() + (seconds ? strtoull(seconds, NULL, 10) * NS_PER_SEC : LONG_ENOUGH_NS);
  play.seed = seed ? (unsigned)strtoul(seed, NULL, 10) : (unsigned)clock__monotonic_ns();
  play.swap = stage__swap(256 * MIB);
  print_message("EBB_FUZZ_SEED=%u%s\n", play.seed, play.swap ? "" : "; no swap can be made here");
  play.began = play.seed;
  for (play.burst = 0; goes_on(play.burst, seconds, end_ns); play.burst++) {
    play.did[0] = 0;
    unsigned what = pick(16);
    if (what == 0)
      start_over();
    else if (what < 5)
      kill_one();
    else
      burst();
    compare();
  }
  play.did[0] = 0;
  print_message("%d bursts with seed %u\n", play.burst, play.began);
}

/* Until the growth that was ordered is done: /proc, the kernel side, /proc. */
static void watch_growth(uint64_t off, uint64_t *most) {
  struct pollfd poll_fd = {.fd = puppet.answers, .events = POLLIN};
  bool done;
  do {
    struct truth before = {0}, after = {0};
    done = poll(&poll_fd, 1, 0) == 1;
    assert_true(truth__add(&before, puppet.pid));
    uint64_t seen = (uint64_t)kernel_pages(sensor, 3) * page_bytes();
    assert_true(truth__add(&after, puppet.pid));
    assert_in_range(seen + off, truth__sum(&before), truth__sum(&after) + 2 * off);
    uint64_t apart = truth__sum(&before) > seen ? truth__sum(&before) - seen : seen - truth__sum(&before);
    *most = done && apart > *most ? apart : *most;
  } while (!done);
  assert_int_equal(puppet__answer(&puppet), 0);
}

/*
 * Growth by several threads on several CPUs, followed live, without a sweep: at any moment the kernel side's sum is within the
 * bound of what /proc said before and after; and errors do not add up over the rounds.
 */
static void test_while_moving(void **state) {
  (void)state;
  NEED_BPF();
  assert_int_equal(puppet__do(&puppet, PUPPET_GROW, 96 * MIB), 0);
  struct sensor_reading r = reading(true);
  sensor->ops->arm(sensor, 3, sum_of(&r) + 48 * MIB);
  assert_int_equal(sensor->ops->sweep(sensor), 0);
  if (!sensor->ops->level(sensor)) {
    print_message("skipped: growth cannot be followed live here\n");
    skip();
  }
  uint64_t off = error_bytes(status_is_exact() ? 1 : 2), most = 0;
  for (int round = 0; round < 20; round++) {
    puppet__send(&puppet, PUPPET_GROW_THREADS, 32 * MIB);
    watch_growth(off, &most);
    assert_int_equal(puppet__do(&puppet, PUPPET_SHRINK, 0), 0);
  }
  print_message("off by %llu KiB at most, at rest; bound: %llu KiB\n", (unsigned long long)most / 1024,
                (unsigned long long)off / 1024);
}

int main(int argc, char **argv) {
  puppet__reborn(argc, argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_random_lives, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_while_moving, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

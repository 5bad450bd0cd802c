/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Many turns of leases come at a time: by which figures is their worker judged, how often are they asked for, and which of the
 * labels in the file is whose? */
#include "scene.h"

#include <sys/mman.h>

#include "../../user/watch/events.c"
#include "../../user/watch/gather.c"
#include "../../user/watch/gather_board.c"
#include "../../user/watch/jobs.c"

#define MIB (1024ULL * 1024)
#define LIMIT (100 * MIB)
#define SWEPT (60 * MIB) /* as of the last sweep … */
#define TRUE (101 * MIB) /* … and by now */

static struct watch *watch;
static struct trace *trace;
static int n_cheap, n_exact;
static uint64_t turns_begun_by_now, recorded_bytes;
static struct sensor_event queue[1000];
static int n_queued, n_taken;
static int n_nudges;
static bool eager, eager_when_read, busy;

/* What is not looked at here. */
void act__gone(struct watch *of, uint32_t index, uint64_t now_ns) {
  (void)of, (void)index, (void)now_ns;
}

void record__restore(struct watch *of, uint32_t index) {
  (void)of, (void)index;
}

void record__restore_pool(struct watch *of, uint32_t pool) {
  (void)of, (void)pool;
}

int act__again(struct watch *of, uint32_t index) {
  (void)of, (void)index;
  n_nudges++;
  return 0;
}

void record__worker(struct watch *of, uint32_t index) {
  recorded_bytes = of->workers[index].footprint_bytes;
}

static int read_figures(struct sensor *sensor, uint32_t worker, bool exact, struct sensor_reading *ret) {
  (void)sensor, (void)worker;
  *(exact ? &n_exact : &n_cheap) += 1;
  eager_when_read = eager;
  *ret = (struct sensor_reading){
      .anon_bytes = exact ? TRUE : SWEPT, .turns = turns_begun_by_now, .busy = busy, .processes = 1};
  return 0;
}

static void arm_nothing(struct sensor *sensor, uint32_t worker, uint64_t bytes) {
  (void)sensor, (void)worker, (void)bytes;
}

static void be_eager(struct sensor *of, uint32_t worker, bool on) {
  (void)of, (void)worker;
  eager = on;
}

static int take_queued(struct sensor *of, struct sensor_event *to, int max) {
  (void)of;
  int n = n_queued - n_taken < max ? n_queued - n_taken : max;
  memcpy(to, &queue[n_taken], (size_t)n * sizeof(*to));
  n_taken += n;
  return n;
}

static const struct sensor_ops ops = {
    .read = read_figures, .arm = arm_nothing, .eager = be_eager, .events = take_queued};
static struct sensor sensor = {&ops};

static int begin(void **state) {
  (void)state;
  watch = calloc(1, sizeof(*watch));
  trace = calloc(1, sizeof(*trace));
  if (!watch || !trace)
    return -1;
  watch->sensor = &sensor;
  watch->trace = (struct seqfile){.head = &trace->head, .writable = true};
  watch->n_workers = 1;
  (void)text__copy(watch->view.pools[0].name, sizeof(watch->view.pools[0].name), "reports");
  watch->rules[0] = (struct ebb_pool_rules){.footprint_limit_bytes = LIMIT,
                                            .retained_limit_bytes = EBB_UNKNOWN,
                                            .max_jobs = EBB_UNKNOWN,
                                            .idle = EBB_IDLE_LEASE};
  watch->workers[0] = (struct ebb_worker_facts){.generation = 1, .state = EBB_SLOT_SERVING, .footprint_bytes = SWEPT};
  watch->follows[0] = (struct follow){.generation = 1, .lease_fd = -1};
  n_cheap = n_exact = n_queued = n_taken = n_nudges = 0;
  eager = eager_when_read = busy = false;
  turns_begun_by_now = recorded_bytes = 0;
  return 0;
}

static int end(void **state) {
  (void)state;
  if (watch->follows[0].lease_fd >= 0)
    (void)close(watch->follows[0].lease_fd);
  free(watch);
  free(trace);
  return 0;
}

/* A turn that left the worker with so much; with the label that it keeps itself, or none. */
static struct sensor_event *turn_ends(uint64_t turn, uint64_t left_bytes, const char *label) {
  struct sensor_event *event = &queue[n_queued++];
  *event = (struct sensor_event){.kind = SENSOR_RELEASED,
                                 .generation = 1,
                                 .at_ns = turn * NS_PER_SEC,
                                 .turn = turn,
                                 .after_bytes = left_bytes,
                                 .before_bytes = EBB_UNKNOWN,
                                 .peak_bytes = EBB_UNKNOWN,
                                 .resting = true,
                                 .labelled = label != NULL};
  (void)text__copy(event->label, sizeof(event->label), label ? label : "");
  return event;
}

static bool take_all(void) {
  return events__take(watch, 2000 * NS_PER_SEC);
}

static void test_judged_by_exact_figures(void **state) {
  (void)state;
  (void)turn_ends(2, LIMIT - MIB, "2 work\n"); /* may be over it: the kernel's counters are not exact */
  assert_true(take_all());
  assert_int_equal(n_exact, 1);
  assert_int_equal(watch->workers[0].footprint_bytes, TRUE);
  assert_int_equal(recorded_bytes, TRUE);
  assert_true(limit__is_exceeded(&watch->rules[0], &watch->workers[0]));
}

static void test_figures_once_a_batch(void **state) {
  (void)state;
  for (uint64_t turn = 2; turn < 102; turn++)
    (void)turn_ends(turn, LIMIT / 2, "2 work\n");
  assert_false(take_all());
  assert_int_equal(watch->workers[0].jobs, 100);
  assert_int_equal(n_exact, 0);
  assert_int_equal(n_cheap, 1);
  assert_int_equal(recorded_bytes, SWEPT);
}

static void test_more_than_a_batch(void **state) {
  (void)state;
  for (uint64_t turn = 2; turn < 602; turn++)
    (void)turn_ends(turn, LIMIT / 2, "2 work\n");
  (void)turn_ends(602, LIMIT, "2 work\n");
  assert_true(take_all());
  assert_int_equal(watch->workers[0].jobs, 601);
}

static void test_of_another_generation(void **state) {
  (void)state;
  turn_ends(2, LIMIT, "2 work\n")->generation = 7;
  turn_ends(3, LIMIT, "2 work\n")->worker = EBB_SLOTS_MAX;
  assert_false(take_all());
  assert_int_equal(watch->workers[0].jobs, 0);
}

/* Labels by the file. */

static void in_the_file(const char *even, const char *odd) {
  char lease[EBB_LEASE_BYTES] = "R\n";
  struct follow *follow = &watch->follows[0];
  if (follow->lease_fd < 0)
    follow->lease_fd = memfd_create("lease", MFD_CLOEXEC);
  assert_true(follow->lease_fd >= 0);
  memcpy(lease + EBB_LEASE_LABEL_OFFSET(0), even, strlen(even));
  memcpy(lease + EBB_LEASE_LABEL_OFFSET(1), odd, strlen(odd));
  assert_int_equal(pwrite(follow->lease_fd, lease, sizeof(lease), 0), sizeof(lease));
}

static uint64_t runs_of(const char *label) {
  for (uint32_t i = 0; i < EBB_JOB_KINDS_MAX; i++)
    if (!strcmp(watch->jobs[i].label, label))
      return watch->jobs[i].runs;
  return 0;
}

static void test_the_job_that_a_worker_dies_in(void **state) {
  (void)state;
  (void)turn_ends(2, LIMIT / 2, "1 good\n");
  in_the_file("2 deadly\n", "1 good\n");
  (void)turn_ends(3, LIMIT / 2, NULL); /* its copy has gone with it */
  (void)take_all();
  assert_int_equal(runs_of("good"), 1);
  assert_int_equal(runs_of("deadly"), 1);
}

/* A worker that fetches under the lease says "-" in each turn, then what it found. */
static void test_no_job_of_numbers_that_named_none(void **state) {
  (void)state;
  watch->follows[0].label_sequence = 1;
  in_the_file("4 -\n", "3 work\n");
  turns_begun_by_now = 4;
  (void)turn_ends(3, LIMIT / 2, NULL);
  (void)take_all();
  turns_begun_by_now = 5;
  (void)turn_ends(4, LIMIT / 2, NULL);
  (void)take_all();
  (void)turn_ends(5, LIMIT / 2, NULL);
  (void)take_all();
  assert_int_equal(runs_of("work"), 1);
  assert_int_equal(watch->workers[0].jobs, 1);
}

static void test_jobs_whose_labels_were_overwritten(void **state) {
  (void)state;
  watch->follows[0].label_sequence = 4;
  in_the_file("8 late\n", "7 early\n");
  turns_begun_by_now = 8;
  for (uint64_t turn = 5; turn <= 8; turn++)
    (void)turn_ends(turn, LIMIT / 2, NULL);
  (void)take_all();
  assert_int_equal(watch->workers[0].jobs, 4);
  assert_int_equal(runs_of("early") + runs_of("late"), 2);
  turns_begun_by_now = 9;
  (void)turn_ends(9, LIMIT / 2, NULL);
  (void)take_all();
  assert_int_equal(watch->workers[0].jobs, 4);
}

static void test_turns_that_were_never_told(void **state) {
  (void)state;
  watch->follows[0].label_sequence = 4;
  in_the_file("8 late\n", "7 early\n");
  turns_begun_by_now = 8;
  (void)turn_ends(5, LIMIT / 2, NULL);
  (void)turn_ends(6, LIMIT / 2, NULL);
  (void)turn_ends(9, LIMIT / 2, NULL); /* 7 and 8: the ring was full */
  (void)take_all();
  assert_int_equal(watch->workers[0].jobs, 2);
}

/* Each turn of who is due is told at once. That would be no end of wake-ups for one that works on. */
static void test_who_works_on_until_its_successor_comes(void **state) {
  (void)state;
  struct board_slot record = {.generation = 1, .pid = 4711, .state = EBB_SLOT_SERVING, .leased = 1, .first = 1};
  watch->follows[0].pid = record.pid;
  take_record(watch, 0, &record, NS_PER_SEC);
  assert_int_equal(watch->workers[0].state, EBB_SLOT_DUE); /* for the rules it is on its way out */
  assert_false(eager);
  (void)turn_ends(2, LIMIT / 2, "1 work\n");
  (void)take_all();
  assert_int_equal(n_nudges, 0);
  record.state = EBB_SLOT_DUE;
  take_record(watch, 0, &record, NS_PER_SEC);
  assert_true(eager);
  assert_int_equal(n_nudges, 1); /* the job may have ended before anybody was to be told */
  take_record(watch, 0, &record, NS_PER_SEC);
  assert_int_equal(n_nudges, 1);
  (void)turn_ends(3, LIMIT / 2, "2 work\n");
  (void)take_all();
  assert_int_equal(n_nudges, 2);
}

/* Nothing is decided of one in a job: its end is to be told at once, however short it was. */
static void test_over_the_limit_in_a_job(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    busy = i == 0;
    queue[n_queued++] = (struct sensor_event){.kind = SENSOR_CROSSED, .generation = 1, .after_bytes = LIMIT};
    assert_true(take_all());
    assert_true(eager_when_read); /* or it could end between the two */
    assert_int_equal(eager, busy);
  }
  busy = true;
  queue[n_queued++] = (struct sensor_event){.kind = SENSOR_CROSSED, .generation = 1, .after_bytes = LIMIT};
  turn_ends(2, LIMIT, "1 work\n")->resting = false;
  assert_true(take_all());
  assert_true(eager); /* another thread is at a job still */
  busy = false;
  (void)turn_ends(3, LIMIT, "2 work\n");
  assert_true(take_all());
  assert_false(eager);
  assert_int_equal(n_nudges, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_judged_by_exact_figures, begin, end),
      cmocka_unit_test_setup_teardown(test_figures_once_a_batch, begin, end),
      cmocka_unit_test_setup_teardown(test_more_than_a_batch, begin, end),
      cmocka_unit_test_setup_teardown(test_of_another_generation, begin, end),
      cmocka_unit_test_setup_teardown(test_the_job_that_a_worker_dies_in, begin, end),
      cmocka_unit_test_setup_teardown(test_no_job_of_numbers_that_named_none, begin, end),
      cmocka_unit_test_setup_teardown(test_jobs_whose_labels_were_overwritten, begin, end),
      cmocka_unit_test_setup_teardown(test_turns_that_were_never_told, begin, end),
      cmocka_unit_test_setup_teardown(test_who_works_on_until_its_successor_comes, begin, end),
      cmocka_unit_test_setup_teardown(test_over_the_limit_in_a_job, begin, end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

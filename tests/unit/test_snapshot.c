/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "../../user/cli/snapshot.c"

#define MIB (1024ULL * 1024)
#define NOW (1000 * NS_PER_SEC)

static char directory[64];
static int dirfd_of_test = -1;
static struct seqfile board_file, trace_file;

static int set_up(void **unused) {
  (void)unused;
  bool kept;
  (void)snprintf(directory, sizeof(directory), "%s/ebbt-snap-XXXXXX", getenv("TMPDIR") ?: "/tmp");
  if (!mkdtemp(directory))
    return -1;
  dirfd_of_test = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return board__create(&board_file, dirfd_of_test, (gid_t)-1, &kept);
}

static int tear_down(void **unused) {
  (void)unused;
  seqfile__close(&board_file);
  seqfile__close(&trace_file);
  (void)unlinkat(dirfd_of_test, BOARD_NAME, 0);
  (void)unlinkat(dirfd_of_test, TRACE_NAME, 0);
  (void)close(dirfd_of_test);
  return rmdir(directory);
}

static void begin_trace(void) {
  bool kept;
  assert_int_equal(trace__create(&trace_file, dirfd_of_test, (gid_t)-1, &kept), 0);
}

static void put_ebbd(uint32_t n_pools, uint32_t n_slots, int32_t watch_pid) {
  struct board_ebbd ebbd = {
      .n_pools = n_pools, .n_slots = n_slots, .watch_pid = watch_pid, .started_ns = NOW - 10 * NS_PER_SEC};
  seqfile__store(&board_file, &board__of(&board_file)->ebbd, &ebbd, sizeof(ebbd));
}

static void put_pool(uint32_t index, const char *name, struct board_pool pool) {
  (void)text__copy(pool.name, sizeof(pool.name), name);
  seqfile__store(&board_file, &board__of(&board_file)->pools[index], &pool, sizeof(pool));
}

static struct board_slot put_slot(uint32_t index, struct board_slot slot) {
  seqfile__store(&board_file, &board__of(&board_file)->slots[index], &slot, sizeof(slot));
  return slot;
}

static struct ebb_worker_facts facts_for(const struct board_slot *slot) {
  return (struct ebb_worker_facts){.pool = slot->pool,
                                   .slot = slot->slot,
                                   .generation = slot->generation,
                                   .pid = slot->pid,
                                   .footprint_bytes = 100 * MIB};
}

static void put_facts(uint32_t index, const struct ebb_worker_facts *facts) {
  struct trace_worker record = {.facts = *facts};
  seqfile__store(&trace_file, &trace__of(&trace_file)->workers[index], &record, sizeof(record));
}

static struct snapshot taken(void) {
  struct snapshot snapshot;
  const char *file = NULL;
  assert_int_equal(snapshot__open(&snapshot, dirfd_of_test, NOW, &file), 0);
  return snapshot;
}

static struct board_slot serving(uint32_t pool, uint32_t slot, uint32_t generation, int32_t pid) {
  return (struct board_slot){.pool = pool,
                             .slot = slot,
                             .generation = generation,
                             .pid = pid,
                             .state = EBB_SLOT_SERVING,
                             .since_ns = NOW - 9 * NS_PER_SEC};
}

static void without_a_trace_nothing_is_made_up(void **unused) {
  (void)unused;
  put_ebbd(1, 1, 0);
  put_pool(0, "reports", (struct board_pool){.size = 1});
  put_slot(0, serving(0, 0, 1, 42));
  struct snapshot snapshot = taken();
  const struct snapshot_worker *worker = snapshot__find(&snapshot, "reports", 0);
  assert_true(snapshot.alive);
  assert_int_equal(snapshot.pid, getpid());
  assert_false(snapshot.traced);
  assert_non_null(worker);
  assert_int_equal(worker->state, SNAPSHOT_READY);
  assert_int_equal(worker->facts.footprint_bytes, EBB_UNKNOWN);
  assert_int_equal(worker->facts.jobs, EBB_UNKNOWN);
  assert_int_equal(worker->lasted_ns, 9 * NS_PER_SEC);
  assert_int_equal(snapshot.pools[0].footprint_bytes, EBB_UNKNOWN);
  assert_int_equal(snapshot.pools[0].jobs, EBB_UNKNOWN);
  assert_int_equal(snapshot.pools[0].facts.baseline_bytes, EBB_UNKNOWN);
  assert_int_equal(snapshot.host.mem_available_bytes, EBB_UNKNOWN);
  assert_int_equal(snapshot__growth(&snapshot, worker), EBB_UNKNOWN);
  snapshot__close(&snapshot);
}

static void serving_is_told_apart_by_the_facts(void **unused) {
  (void)unused;
  static const struct {
    uint32_t busy;
    uint64_t jobs;
    enum snapshot_state expected;
  } cases[] = {{0, 0, SNAPSHOT_READY}, {0, 3, SNAPSHOT_IDLE}, {1, 0, SNAPSHOT_BUSY}, {1, 3, SNAPSHOT_BUSY}};
  begin_trace();
  put_ebbd(1, 4, 1);
  put_pool(0, "reports", (struct board_pool){.size = 4});
  for (uint32_t i = 0; i < 4; i++) {
    struct board_slot slot = put_slot(i, serving(0, i, 1, 100 + (int32_t)i));
    struct ebb_worker_facts facts = facts_for(&slot);
    facts.busy = cases[i].busy;
    facts.jobs = cases[i].jobs;
    facts.since_ns = NOW - 2 * NS_PER_SEC;
    put_facts(i, &facts);
  }
  struct snapshot snapshot = taken();
  for (uint32_t i = 0; i < 4; i++) {
    assert_int_equal(snapshot.workers[i].state, cases[i].expected);
    assert_int_equal(snapshot.workers[i].lasted_ns, 2 * NS_PER_SEC);
  }
  assert_int_equal(snapshot.pools[0].ready, 4);
  assert_int_equal(snapshot.pools[0].busy, 2);
  assert_int_equal(snapshot.pools[0].footprint_bytes, 400 * MIB);
  assert_string_equal(snapshot__state_name(snapshot.workers[1].state), "idle");
  snapshot__close(&snapshot);
}

/* By the lease while the watch tells; by what it was asked to do else. */
static void who_does_not_let_go_is_stuck(void **unused) {
  (void)unused;
  static const struct {
    uint32_t state, leased, busy, held_s;
    uint64_t patience_ns, expected_s;
    bool stuck;
  } rows[] = {
      {EBB_SLOT_SERVING, 1, 1, 60, 60 * NS_PER_SEC, 60, true},
      {EBB_SLOT_SERVING, 1, 1, 59, 60 * NS_PER_SEC, 59, false},
      {EBB_SLOT_SERVING, 1, 0, 0, 1 * NS_PER_SEC, EBB_UNKNOWN, false},
      {EBB_SLOT_SERVING, 1, 1, 60, EBB_UNKNOWN, 60, false}, /* off */
      {EBB_SLOT_SERVING, 1, 1, 60, 0, 60, false},           /* of a pool that is in no file any more */
      {EBB_SLOT_DUE, 1, 1, 60, 60 * NS_PER_SEC, 60, true},  /* due since 9 s only */
      {EBB_SLOT_DUE, 1, 0, 0, 9 * NS_PER_SEC, 9, true},
      {EBB_SLOT_DUE, 0, 0, 0, 9 * NS_PER_SEC, EBB_UNKNOWN, false}, /* it has never used its lease */
      {EBB_SLOT_LEAVING, 1, 0, 0, 9 * NS_PER_SEC, 9, true},
      {EBB_SLOT_RETIRING, 1, 0, 0, 10 * NS_PER_SEC, 9, false},
  };
  begin_trace();
  put_ebbd(1, 1, 0);
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    put_pool(0, "reports", (struct board_pool){.size = 1, .rules.stuck_after_ns = rows[i].patience_ns});
    struct board_slot slot = serving(0, 0, 1, 42);
    slot.state = rows[i].state;
    slot.leased = rows[i].leased;
    put_slot(0, slot);
    struct ebb_worker_facts facts = facts_for(&slot);
    facts.busy = rows[i].busy;
    facts.taken_ns = rows[i].busy ? NOW - rows[i].held_s * NS_PER_SEC : 0;
    put_facts(0, &facts);
    struct snapshot snapshot = taken();
    const struct snapshot_worker *worker = snapshot__find(&snapshot, "reports", 0);
    uint64_t expected_ns = rows[i].expected_s == EBB_UNKNOWN ? EBB_UNKNOWN : rows[i].expected_s * NS_PER_SEC;
    assert_true(worker->held_ns == expected_ns);
    assert_int_equal(worker->stuck, rows[i].stuck);
    assert_int_equal(!!(snapshot.pools[0].warnings & TRACE_WARN_STUCK), rows[i].stuck);
    snapshot__close(&snapshot);
  }
}

static void facts_of_another_worker_are_not_taken(void **unused) {
  (void)unused;
  begin_trace();
  put_ebbd(2, 4, 1);
  put_pool(0, "reports", (struct board_pool){.size = 4});
  put_pool(1, "thumbs", (struct board_pool){.size = 1});
  for (uint32_t i = 0; i < 4; i++) {
    struct board_slot slot = put_slot(i, serving(0, i, 2, 100 + (int32_t)i));
    struct ebb_worker_facts facts = facts_for(&slot);
    facts.generation -= i == 0;
    facts.pid += i == 1;
    facts.slot += i == 2;
    facts.pool += i == 3;
    put_facts(i, &facts);
  }
  struct snapshot snapshot = taken();
  for (uint32_t i = 0; i < 4; i++) {
    assert_false(snapshot.workers[i].known);
    assert_int_equal(snapshot.workers[i].facts.footprint_bytes, EBB_UNKNOWN);
    assert_int_equal(snapshot.workers[i].facts.pid, 100 + (int32_t)i);
  }
  snapshot__close(&snapshot);
}

static void the_board_has_the_say_on_states(void **unused) {
  (void)unused;
  static const enum snapshot_state expected[EBB_SLOT_N] = {SNAPSHOT_EMPTY,    SNAPSHOT_BACKOFF,  SNAPSHOT_STARTING,
                                                           SNAPSHOT_UNLEASED, SNAPSHOT_SPARE,    SNAPSHOT_BUSY,
                                                           SNAPSHOT_DUE,      SNAPSHOT_RETIRING, SNAPSHOT_RETIRING};
  begin_trace();
  put_ebbd(1, EBB_SLOT_N, 1);
  put_pool(0, "reports", (struct board_pool){.size = EBB_SLOT_N});
  for (uint32_t i = 0; i < EBB_SLOT_N; i++) {
    struct board_slot slot = serving(0, i, 1, i <= EBB_SLOT_BACKOFF ? 0 : 100 + (int32_t)i);
    slot.state = i;
    put_slot(i, slot);
    struct ebb_worker_facts facts = facts_for(&slot);
    facts.busy = 1;
    facts.state = EBB_SLOT_SERVING;
    put_facts(i, &facts);
  }
  struct snapshot snapshot = taken();
  for (uint32_t i = 0; i < EBB_SLOT_N; i++) {
    assert_int_equal(snapshot.workers[i].state, expected[i]);
    assert_int_equal(snapshot.workers[i].facts.state, i);
  }
  assert_int_equal(snapshot.pools[0].ready, 2); /* the one that serves, and the unleased one */
  assert_int_equal(snapshot.pools[0].busy, 1);
  assert_int_equal(snapshot.pools[0].due, 1);
  assert_int_equal(snapshot.pools[0].spares, 1);
  assert_true(snapshot.pools[0].backoff);
  assert_int_equal(snapshot.pools[0].warnings, TRACE_WARN_UNLEASED);
  snapshot__close(&snapshot);
}

static void workers_come_by_pool_and_slot(void **unused) {
  (void)unused;
  put_ebbd(3, 4, 0);
  put_pool(0, "b", (struct board_pool){.size = 1});
  put_pool(1, "", (struct board_pool){0});
  put_pool(2, "a", (struct board_pool){.size = 2});
  put_slot(0, serving(2, 1, 1, 11));
  put_slot(1, serving(0, 0, 1, 12));
  put_slot(2, (struct board_slot){.pool = EBB_POOLS_MAX});
  put_slot(3, serving(2, 0, 1, 13));
  struct snapshot snapshot = taken();
  assert_int_equal(snapshot.n_workers, 3);
  assert_int_equal(snapshot.workers[0].slot.pid, 12);
  assert_int_equal(snapshot.workers[1].slot.pid, 13);
  assert_int_equal(snapshot.workers[2].slot.pid, 11);
  assert_int_equal(snapshot.workers[1].index, 3);
  assert_null(snapshot__pool(&snapshot, ""));
  assert_ptr_equal(snapshot__pool(&snapshot, "a"), &snapshot.pools[2]);
  assert_null(snapshot__find(&snapshot, "a", 2));
  assert_ptr_equal(snapshot__find(&snapshot, "a", 1), &snapshot.workers[2]);
  snapshot__close(&snapshot);
}

static void surplus_places_are_shown_while_somebody_is_there(void **unused) {
  (void)unused;
  struct board_slot empty = {.pool = 0, .slot = 0};
  put_ebbd(1, 3, 0);
  put_pool(0, "reports", (struct board_pool){.size = 1});
  put_slot(0, empty);
  put_slot(1, serving(0, 1, 1, 11));
  empty.slot = 2;
  empty.closed = PLACE_SURPLUS;
  put_slot(2, empty);
  struct snapshot snapshot = taken();
  assert_true(snapshot__shows(&snapshot, &snapshot.workers[0]));
  assert_true(snapshot__shows(&snapshot, &snapshot.workers[1]));
  assert_false(snapshot__shows(&snapshot, &snapshot.workers[2]));
  snapshot__close(&snapshot);
}

static void a_pool_has_its_baseline_jobs_and_hold(void **unused) {
  (void)unused;
  begin_trace();
  put_ebbd(2, 1, 1);
  put_pool(0, "reports", (struct board_pool){.size = 1, .hold_refill_ns = NOW + 1});
  put_pool(1, "thumbs", (struct board_pool){.size = 1, .hold_retire_ns = NOW});
  struct board_slot slot = put_slot(0, serving(0, 0, 1, 11));
  struct ebb_worker_facts facts = facts_for(&slot);
  put_facts(0, &facts);
  struct trace_pool reports = {.name = "reports",
                               .facts = {.baseline_bytes = 30 * MIB},
                               .warnings = TRACE_WARN_BELOW_BASELINE},
                    stale = {.name = "gone", .facts = {.baseline_bytes = 1}};
  seqfile__store(&trace_file, &trace__of(&trace_file)->pools[0], &reports, sizeof(reports));
  seqfile__store(&trace_file, &trace__of(&trace_file)->pools[1], &stale, sizeof(stale));
  for (uint32_t i = 0; i < 3; i++) {
    struct trace_job job = {.kind = {.pool = "reports", .runs = 5}};
    if (i == 2)
      (void)text__copy(job.kind.pool, sizeof(job.kind.pool), "gone");
    seqfile__store(&trace_file, &trace__of(&trace_file)->jobs[i], &job, sizeof(job));
  }
  struct snapshot snapshot = taken();
  assert_int_equal(snapshot.pools[0].facts.baseline_bytes, 30 * MIB);
  assert_int_equal(snapshot.pools[0].warnings, TRACE_WARN_BELOW_BASELINE);
  assert_int_equal(snapshot.pools[0].jobs, 10);
  assert_true(snapshot.pools[0].hold);
  assert_int_equal(snapshot__growth(&snapshot, &snapshot.workers[0]), 70 * MIB);
  assert_int_equal(snapshot.pools[1].facts.baseline_bytes, EBB_UNKNOWN);
  assert_int_equal(snapshot.pools[1].jobs, 0);
  assert_false(snapshot.pools[1].hold); /* it ends at its time, whether or not anybody has noticed */
  snapshot__close(&snapshot);
}

static void notes_say_what_is_old(void **unused) {
  (void)unused;
  char note[128];
  begin_trace();
  put_ebbd(0, 0, 7);
  struct trace_host host = {.facts = {.now_ns = NOW - NS_PER_SEC}};
  seqfile__store(&trace_file, &trace__of(&trace_file)->host, &host, sizeof(host));
  struct snapshot snapshot = taken();
  assert_true(snapshot.watched);
  assert_string_equal(snapshot__note(&snapshot, note, sizeof(note)), "");
  snapshot.age_ns = 60 * NS_PER_SEC;
  assert_non_null(strstr(snapshot__note(&snapshot, note, sizeof(note)), "nothing for 1m"));
  snapshot.watched = false;
  assert_non_null(strstr(snapshot__note(&snapshot, note, sizeof(note)), "ebb-watch is not running"));
  snapshot.alive = false;
  assert_string_equal(snapshot__note(&snapshot, note, sizeof(note)), "ebbd is not running: this is its last state");
  snapshot__close(&snapshot);
}

static void the_file_at_fault_is_named(void **unused) {
  (void)unused;
  struct snapshot snapshot;
  const char *file = NULL;
  put_ebbd(0, 0, 0);
  int fd = openat(dirfd_of_test, TRACE_NAME, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  assert_int_equal(write(fd, "not a trace\n", 12), 12);
  (void)close(fd);
  assert_int_equal(snapshot__open(&snapshot, dirfd_of_test, NOW, &file), -EPROTO);
  assert_string_equal(file, TRACE_NAME);
  assert_int_equal(unlinkat(dirfd_of_test, BOARD_NAME, 0), 0);
  assert_int_equal(snapshot__open(&snapshot, dirfd_of_test, NOW, &file), -ENOENT);
  assert_string_equal(file, BOARD_NAME);
}

static void samples_have_states_too(void **unused) {
  (void)unused;
  assert_string_equal(snapshot__sample_state_name(EBB_SLOT_SERVING), "idle");
  assert_string_equal(snapshot__sample_state_name(EBB_SLOT_SERVING | TRACE_STATE_BUSY), "busy");
  assert_string_equal(snapshot__sample_state_name(EBB_SLOT_DUE | TRACE_STATE_BUSY), "due");
  assert_string_equal(snapshot__sample_state_name(99), "empty");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(without_a_trace_nothing_is_made_up),
      TEST(serving_is_told_apart_by_the_facts),
      TEST(who_does_not_let_go_is_stuck),
      TEST(facts_of_another_worker_are_not_taken),
      TEST(the_board_has_the_say_on_states),
      TEST(workers_come_by_pool_and_slot),
      TEST(surplus_places_are_shown_while_somebody_is_there),
      TEST(a_pool_has_its_baseline_jobs_and_hold),
      TEST(notes_say_what_is_old),
      TEST(the_file_at_fault_is_named),
      TEST(samples_have_states_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

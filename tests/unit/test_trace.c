/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Do a slot's samples go on over restarts, gaps and jumping clocks, and do foreign bytes in the file do no harm? */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "small_fs.h"
#include "trace.h"

#define SECOND 1000000ULL
#define START (1700000040 * SECOND) /* a full minute */

struct place {
  char dir[64];
  int dirfd;
  struct seqfile file, reader;
  struct trace_sample samples[TRACE_MINUTES_N];
};

static struct trace *trace(struct place *place) {
  return trace__of(&place->file);
}

static int begin(void **state) {
  struct place *place = calloc(1, sizeof(*place));
  bool kept, tmpfs = access("/dev/shm", W_OK) == 0; /* where run directories are: there, a look fills a hole */
  (void)snprintf(place->dir, sizeof(place->dir), "%s/ebb-trace-XXXXXX", tmpfs ? "/dev/shm" : "/tmp");
  place->dirfd = mkdtemp(place->dir) ? open(place->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  *state = place;
  if (place->dirfd < 0 || trace__create(&place->file, place->dirfd, (gid_t)-1, &kept) || kept)
    return -1;
  return trace__open(&place->reader, place->dirfd);
}

static int end(void **state) {
  struct place *place = *state;
  char command[128];
  seqfile__close(&place->file);
  seqfile__close(&place->reader);
  (void)close(place->dirfd);
  (void)snprintf(command, sizeof(command), "rm -rf %s", place->dir);
  int r = system(command);
  free(place);
  return r;
}

static void push(struct place *place, __u32 index, __u64 at_us) {
  const struct trace_sample sample = {.at_us = at_us, .generation = 1, .anon_kib = 5, .stall_us = EBB_UNKNOWN};
  trace__push(&place->file, index, "reports", 2, &sample);
}

static int samples(struct place *place, __u32 index, enum trace_ring ring) {
  return trace__samples(&place->reader, index, "reports", 2, ring, place->samples, TRACE_MINUTES_N);
}

/* In steps of so many seconds. */
static void check_steps(struct place *place, int n, __u64 first_us, __u64 seconds) {
  for (int i = 0; i < n; i++)
    if (place->samples[i].at_us != first_us + (__u64)i * seconds * SECOND)
      fail_msg("sample %d of %d is at %lld s", i, n, (long long)(place->samples[i].at_us - START) / (long long)SECOND);
}

static void thirteen_hours(void **state) {
  struct place *place = *state;
  const __u64 length = 13 * 3600;
  for (__u64 i = 0; i < length; i++)
    push(place, 3, START + i * SECOND);
  assert_int_equal(samples(place, 3, TRACE_RING_SECONDS), 300);
  check_steps(place, 300, START + (length - 300) * SECOND, 1);
  assert_int_equal(samples(place, 3, TRACE_RING_TENS), 360);
  check_steps(place, 360, START + (length - 3600) * SECOND, 10);
  assert_int_equal(samples(place, 3, TRACE_RING_MINUTES), 720);
  check_steps(place, 720, START + (length - 720 * 60) * SECOND, 60);
  assert_int_equal(place->samples[0].anon_kib, 5);
  assert_true(place->samples[0].stall_us == EBB_UNKNOWN);
}

static void before_the_first_lap(void **state) {
  struct place *place = *state;
  for (__u64 i = 0; i < 61; i++)
    push(place, 3, START + i * SECOND);
  assert_int_equal(samples(place, 3, TRACE_RING_SECONDS), 61);
  check_steps(place, 61, START, 1);
  assert_int_equal(samples(place, 3, TRACE_RING_TENS), 7);
  check_steps(place, 7, START, 10);
  assert_int_equal(samples(place, 3, TRACE_RING_MINUTES), 2);
  check_steps(place, 2, START, 60);
}

static void at_most_the_newest(void **state) {
  struct place *place = *state;
  for (__u64 i = 0; i < 400; i++)
    push(place, 3, START + i * SECOND);
  assert_int_equal(trace__samples(&place->reader, 3, "reports", 2, TRACE_RING_SECONDS, place->samples, 10), 10);
  check_steps(place, 10, START + 390 * SECOND, 1);
  assert_int_equal(place->samples[10].at_us, 0);
  assert_int_equal(trace__samples(&place->reader, 3, "reports", 2, TRACE_RING_SECONDS, place->samples, 0), 0);
}

/* Half a second late, a gap of an hour, and a tick that was left out: what counts is the time of the sample. */
static void gaps(void **state) {
  struct place *place = *state;
  push(place, 3, START + SECOND / 2);
  push(place, 3, START + 9 * SECOND);
  push(place, 3, START + 11 * SECOND);
  push(place, 3, START + 19 * SECOND);
  push(place, 3, START + 3600 * SECOND);
  push(place, 3, START + 3600 * SECOND + 1);
  assert_int_equal(samples(place, 3, TRACE_RING_SECONDS), 6);
  assert_int_equal(samples(place, 3, TRACE_RING_TENS), 3);
  assert_int_equal(place->samples[1].at_us, START + 11 * SECOND);
  assert_int_equal(samples(place, 3, TRACE_RING_MINUTES), 2);
}

static void clock_set_back(void **state) {
  struct place *place = *state;
  push(place, 3, START);
  push(place, 3, START - 86400 * SECOND);
  push(place, 3, START - 86390 * SECOND);
  assert_int_equal(samples(place, 3, TRACE_RING_TENS), 3);
  assert_int_equal(samples(place, 3, TRACE_RING_MINUTES), 2);
  assert_int_equal(samples(place, 3, TRACE_RING_SECONDS), 3);
}

static void another_slot(void **state) {
  struct place *place = *state;
  const struct trace_sample sample = {.at_us = START};
  for (__u64 i = 0; i < 400; i++)
    push(place, 3, START + i * SECOND);
  assert_int_equal(trace__samples(&place->reader, 3, "reports", 1, TRACE_RING_SECONDS, place->samples, 1), -ENOENT);
  assert_int_equal(trace__samples(&place->reader, 3, "report", 2, TRACE_RING_SECONDS, place->samples, 1), -ENOENT);
  assert_int_equal(samples(place, 4, TRACE_RING_SECONDS), -ENOENT);
  for (size_t i = 0; i < TRACE_TENS_N; i++)
    trace(place)->samples[3].tens[i].at_us = START; /* another slot's sample of the same time does not count */
  trace__push(&place->file, 3, "reports", 1, &sample);
  assert_int_equal(samples(place, 3, TRACE_RING_SECONDS), -ENOENT);
  for (enum trace_ring ring = 0; ring < TRACE_RING_N; ring++)
    assert_int_equal(trace__samples(&place->reader, 3, "reports", 1, ring, place->samples, 10), 1);
  trace__push(&place->file, 3, "thumbs", 1, &sample);
  assert_int_equal(trace__samples(&place->reader, 3, "reports", 1, TRACE_RING_TENS, place->samples, 10), -ENOENT);
  assert_int_equal(trace__samples(&place->reader, 3, "thumbs", 1, TRACE_RING_TENS, place->samples, 10), 1);
}

static void a_long_name(void **state) {
  struct place *place = *state;
  static const char name[] = "a-pool-with-a-name-that-is-far-too-long-for-it";
  for (__u64 i = 0; i < 3; i++)
    trace__push(&place->file, 0, name, 0, &(const struct trace_sample){.at_us = START + i * SECOND});
  assert_int_equal(trace__samples(&place->reader, 0, name, 0, TRACE_RING_SECONDS, place->samples, 10), 3);
}

static void kept(void **state) {
  struct place *place = *state;
  bool kept = false;
  push(place, 3, START);
  seqfile__close(&place->file);
  assert_int_equal(trace__create(&place->file, place->dirfd, (gid_t)-1, &kept), 0);
  assert_true(kept);
  push(place, 3, START + SECOND);
  assert_int_equal(samples(place, 3, TRACE_RING_SECONDS), 2);
  check_steps(place, 2, START, 1);
}

static void writer_died_within_a_ring(void **state) {
  struct place *place = *state;
  bool kept = false;
  push(place, EBB_SLOTS_MAX - 1, START);
  seqfile__begin(&place->file, &trace(place)->rings[EBB_SLOTS_MAX - 1]);
  assert_int_equal(samples(place, EBB_SLOTS_MAX - 1, TRACE_RING_SECONDS), -EAGAIN);
  seqfile__close(&place->file);
  assert_int_equal(trace__create(&place->file, place->dirfd, (gid_t)-1, &kept), 0);
  assert_int_equal(samples(place, EBB_SLOTS_MAX - 1, TRACE_RING_SECONDS), 1);
  push(place, EBB_SLOTS_MAX - 1, START + SECOND);
  assert_int_equal(samples(place, EBB_SLOTS_MAX - 1, TRACE_RING_SECONDS), 2);
}

/* The file is 270 MB long; what it takes is what is in use. */
static void stays_sparse(void **state) {
  struct place *place = *state;
  struct stat st;
  bool kept;
  for (__u64 i = 0; i < 5; i++)
    push(place, 3, START + i * SECOND);
  seqfile__close(&place->file);
  assert_int_equal(trace__create(&place->file, place->dirfd, (gid_t)-1, &kept), 0);
  assert_int_equal(fstatat(place->dirfd, TRACE_NAME, &st, 0), 0);
  assert_in_range(st.st_size, 200 << 20, 400 << 20);
  assert_in_range(st.st_blocks, 0, (offsetof(struct trace, samples) + 256 * 1024) / 512);
}

static void out_of_range(void **state) {
  struct place *place = *state;
  struct trace_pool pool;
  struct trace_worker worker;
  struct trace_job job;
  __u64 changes = trace(place)->head.changes;
  push(place, EBB_SLOTS_MAX, START);
  push(place, UINT32_MAX, START);
  push(place, 0, 0); /* would look unused */
  assert_int_equal(trace(place)->head.changes, changes);
  assert_int_equal(samples(place, EBB_SLOTS_MAX, TRACE_RING_SECONDS), -ERANGE);
  assert_int_equal(samples(place, 0, TRACE_RING_N), -ERANGE);
  assert_int_equal(samples(place, 0, (enum trace_ring)UINT32_MAX), -ERANGE);
  assert_int_equal(trace__pool(&place->reader, EBB_POOLS_MAX, &pool), -ERANGE);
  assert_int_equal(trace__worker(&place->reader, EBB_SLOTS_MAX, &worker), -ERANGE);
  assert_int_equal(trace__job(&place->reader, EBB_JOB_KINDS_MAX, &job), -ERANGE);
}

/* One sample was ever written, whatever the count says. */
static void hostile_counts(void **state) {
  struct place *place = *state;
  static const __u64 counts[] = {1, 299, 300, 301, 1ULL << 32, UINT64_MAX - 300, UINT64_MAX - 1, UINT64_MAX};
  push(place, 3, START);
  struct trace_rings *rings = &trace(place)->rings[3];
  for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
    for (enum trace_ring ring = 0; ring < TRACE_RING_N; ring++) {
      rings->n[ring] = counts[i];
      int n = samples(place, 3, ring);
      assert_in_range(n, 0, 1);
      if (n == 1)
        assert_int_equal(place->samples[0].at_us, START);
    }
  for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) { /* nor may they harm the writer */
    rings->n[0] = rings->n[1] = rings->n[2] = counts[i];
    push(place, 3, START + i * 60 * SECOND);
  }
}

static void hostile_samples(void **state) {
  struct place *place = *state;
  push(place, 3, START);
  struct trace_rings *rings = &trace(place)->rings[3];
  struct trace_samples *all = &trace(place)->samples[3];
  memset(all->seconds, 0xff, sizeof(all->seconds));
  rings->n[TRACE_RING_SECONDS] = 300;
  all->seconds[0].state = EBB_SLOT_SERVING | TRACE_STATE_BUSY;
  all->seconds[1].state = EBB_SLOT_N;
  all->seconds[2].at_us = 0;
  assert_int_equal(samples(place, 3, TRACE_RING_SECONDS), 299);
  assert_int_equal(place->samples[0].state, EBB_SLOT_SERVING | TRACE_STATE_BUSY);
  for (int i = 1; i < 299; i++)
    assert_int_equal(place->samples[i].state, EBB_SLOT_EMPTY);
  memset(rings->pool, 'p', sizeof(rings->pool));
  assert_int_equal(samples(place, 3, TRACE_RING_SECONDS), -ENOENT);
}

static void host(void **state) {
  struct place *place = *state;
  struct trace_host said = {.facts = {.now_ns = 5, .level = EBB_PRESSURE_CRITICAL, .tier = EBB_TIER_FULL}}, seen;
  seqfile__store(&place->file, &trace(place)->host, &said, sizeof(said));
  assert_int_equal(trace__host(&place->reader, &seen), 0);
  assert_int_equal(seen.facts.now_ns, 5);
  assert_int_equal(seen.facts.level, EBB_PRESSURE_CRITICAL);
  assert_int_equal(seen.facts.tier, EBB_TIER_FULL);
  trace(place)->host.facts.level = EBB_PRESSURE_N;
  trace(place)->host.facts.tier = EBB_TIER_N;
  assert_int_equal(trace__host(&place->reader, &seen), 0);
  assert_int_equal(seen.facts.level, EBB_PRESSURE_UNKNOWN);
  assert_int_equal(seen.facts.tier, EBB_TIER_PROC);
}

static void pool(void **state) {
  struct place *place = *state;
  struct trace_pool said = {.name = "reports", .facts = {.baseline_bytes = 9}, .warnings = TRACE_WARN_UNLEASED}, seen;
  struct trace_pool *record = &trace(place)->pools[EBB_POOLS_MAX - 1];
  seqfile__store(&place->file, record, &said, sizeof(said));
  assert_int_equal(trace__pool(&place->reader, EBB_POOLS_MAX - 1, &seen), 0);
  assert_string_equal(seen.name, "reports");
  assert_int_equal(seen.facts.baseline_bytes, 9);
  assert_int_equal(seen.warnings, TRACE_WARN_UNLEASED);
  memset(record->name, 'n', sizeof(record->name));
  assert_int_equal(trace__pool(&place->reader, EBB_POOLS_MAX - 1, &seen), 0);
  assert_int_equal(strlen(seen.name), EBB_NAME_BYTES - 1);
}

static void worker(void **state) {
  struct place *place = *state;
  struct trace_worker said = {.facts = {.pool = 1, .slot = 2, .pid = 3, .state = EBB_SLOT_DUE, .job = "x"}}, seen;
  struct trace_worker *record = &trace(place)->workers[EBB_SLOTS_MAX - 1];
  seqfile__store(&place->file, record, &said, sizeof(said));
  assert_int_equal(trace__worker(&place->reader, EBB_SLOTS_MAX - 1, &seen), 0);
  assert_memory_equal(&seen.facts, &said.facts, sizeof(said.facts));
  record->facts.state = EBB_SLOT_N;
  memset(record->facts.job, 'j', sizeof(record->facts.job));
  assert_int_equal(trace__worker(&place->reader, EBB_SLOTS_MAX - 1, &seen), 0);
  assert_int_equal(seen.facts.state, EBB_SLOT_EMPTY);
  assert_int_equal(seen.facts.pid, 3);
  assert_int_equal(strlen(seen.facts.job), EBB_LABEL_BYTES - 1);
  static const struct ebb_worker_facts nobody, cannot_be[] = {{.pool = EBB_POOLS_MAX, .pid = 3},
                                                              {.slot = EBB_SLOTS_MAX, .pid = 3},
                                                              {.pid = -1, .generation = 2}};
  for (size_t i = 0; i < sizeof(cannot_be) / sizeof(*cannot_be); i++) {
    record->facts = cannot_be[i];
    assert_int_equal(trace__worker(&place->reader, EBB_SLOTS_MAX - 1, &seen), 0);
    assert_memory_equal(&seen.facts, &nobody, sizeof(nobody));
  }
}

static void job(void **state) {
  struct place *place = *state;
  struct trace_job said = {.kind = {.pool = "reports", .label = "year", .runs = 4}}, seen;
  struct trace_job *record = &trace(place)->jobs[EBB_JOB_KINDS_MAX - 1];
  seqfile__store(&place->file, record, &said, sizeof(said));
  assert_int_equal(trace__job(&place->reader, EBB_JOB_KINDS_MAX - 1, &seen), 0);
  assert_memory_equal(&seen.kind, &said.kind, sizeof(said.kind));
  memset(record->kind.pool, 'p', sizeof(record->kind.pool));
  memset(record->kind.label, 'l', sizeof(record->kind.label));
  assert_int_equal(trace__job(&place->reader, EBB_JOB_KINDS_MAX - 1, &seen), 0);
  assert_int_equal(strlen(seen.kind.pool), EBB_NAME_BYTES - 1);
  assert_int_equal(strlen(seen.kind.label), EBB_LABEL_BYTES - 1);
}

static void odd_records(void **state) {
  struct place *place = *state;
  struct trace_host host = {.wake_ups = 1};
  struct trace_pool pool = {.warnings = 1};
  struct trace_worker worker = {.pad = 1};
  struct trace_job job = {.pad = 1};
  seqfile__begin(&place->file, &trace(place)->host);
  seqfile__begin(&place->file, &trace(place)->pools[0]);
  seqfile__begin(&place->file, &trace(place)->workers[0]);
  seqfile__begin(&place->file, &trace(place)->jobs[0]);
  assert_int_equal(trace__host(&place->reader, &host), -EAGAIN);
  assert_int_equal(trace__pool(&place->reader, 0, &pool), -EAGAIN);
  assert_int_equal(trace__worker(&place->reader, 0, &worker), -EAGAIN);
  assert_int_equal(trace__job(&place->reader, 0, &job), -EAGAIN);
  assert_true(host.wake_ups == 1 && pool.warnings == 1 && worker.pad == 1 && job.pad == 1);
}

static int push_without_room(int dirfd) {
  struct place place = {.dirfd = dirfd};
  bool kept;
  if (trace__create(&place.file, dirfd, (gid_t)-1, &kept) || trace__open(&place.reader, dirfd))
    return 1;
  for (__u32 index = 3; index < 1000; index++)
    for (__u64 i = 0; i < 310; i++)
      push(&place, index, START + i * SECOND);
  /* Who has room goes on, who has none has no samples; nobody is hurt by looking. */
  bool whole = samples(&place, 3, TRACE_RING_SECONDS) == 300 && place.samples[299].at_us == START + 309 * SECOND;
  int n = 0;
  for (__u32 index = 3; index < 1000; index++)
    for (enum trace_ring ring = 0; ring < TRACE_RING_N; ring++)
      n = samples(&place, index, ring);
  return whole && n == 0 ? 0 : 2;
}

static void no_room(void **state) {
  static char options[64];
  (void)snprintf(options, sizeof(options), "size=%zu", offsetof(struct trace, samples) + (512 << 10));
  small_fs__run(((struct place *)*state)->dir, options, push_without_room);
}

/* One process writes lap after lap, the other must always see samples one after the other. */
static void push_until_told(struct place *place, volatile int *stop) {
  for (__u64 i = 0; !*stop; i++)
    push(place, 3, START + i * SECOND);
}

static void while_it_changes(void **state) {
  struct place *place = *state;
  volatile int *stop = mmap(NULL, sizeof(*stop), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t pid = fork();
  if (pid == 0) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    push_until_told(place, stop);
    _exit(0);
  }
  int wrong = 0, seen = 0;
  __u64 last = 0;
  for (time_t deadline = time(NULL) + 60; time(NULL) < deadline && seen < 500;) {
    int n = trace__samples(&place->reader, 3, "reports", 2, TRACE_RING_SECONDS, place->samples, 20);
    if (n <= 0) {
      wrong += n != -EAGAIN && n != -ENOENT && n != 0;
      continue;
    }
    for (int i = 1; i < n; i++)
      wrong += place->samples[i].at_us != place->samples[i - 1].at_us + SECOND;
    seen += place->samples[0].at_us != last;
    last = place->samples[0].at_us;
  }
  *stop = 1;
  int status;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status, 0);
  assert_int_equal(wrong, 0);
  assert_int_equal(seen, 500);
  (void)munmap((void *)stop, sizeof(*stop));
}

/* Somebody looks on for as long as any of the lookers is there. */
static void looked_on_live(void **state) {
  struct place *place = *state;
  int asks = trace__open_live(place->dirfd);
  assert_true(asks >= 0);
  assert_false(trace__is_live(asks));
  int first = trace__hold_live(place->dirfd), second = trace__hold_live(place->dirfd);
  assert_true(first >= 0 && second >= 0);
  assert_true(trace__is_live(asks));
  assert_int_equal(close(first), 0);
  assert_true(trace__is_live(asks));
  assert_int_equal(close(second), 0);
  assert_false(trace__is_live(asks));
  assert_false(trace__is_live(-1));
  assert_int_equal(close(asks), 0);
  assert_int_equal(unlinkat(place->dirfd, TRACE_NAME, 0), 0);
  assert_int_equal(trace__hold_live(place->dirfd), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(thirteen_hours),
      TEST(before_the_first_lap),
      TEST(at_most_the_newest),
      TEST(gaps),
      TEST(clock_set_back),
      TEST(another_slot),
      TEST(a_long_name),
      TEST(kept),
      TEST(writer_died_within_a_ring),
      TEST(stays_sparse),
      TEST(out_of_range),
      TEST(hostile_counts),
      TEST(hostile_samples),
      TEST(host),
      TEST(pool),
      TEST(worker),
      TEST(job),
      TEST(odd_records),
      TEST(no_room),
      TEST(while_it_changes),
      TEST(looked_on_live),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

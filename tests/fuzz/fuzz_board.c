/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A board and a trace with anything in them: does every reader stay within bounds and answer as its header says, is what
 * `ebb` prints fit for a terminal, and is its JSON JSON?
 *
 * Both files are whole to begin with: two pools, three workers, samples, job records. The input says what `ebb` is to show,
 * and is then a list of writes: which kind of record, which one, where in it, how many bytes, bytes.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "board.h"
#include "clock.h"
#include "terminal.h"
#include "text.h"
#include "trace.h"

#define WRITES_MAX 16
#define WORKERS 3
#define SAMPLES 30 /* pushed for each worker, a second apart */

/* Nobody else is there to let run. */
int sched_yield(void) {
  return 0;
}

static char directory[256];
static int dirfd_of_files = -1;
static struct seqfile board_file, trace_file;

static const struct place {
  bool trace;
  size_t at, bytes;
  uint32_t n;
} places[] = {
    {false, offsetof(struct board, ebbd), sizeof(struct board_ebbd), 1},
    {false, offsetof(struct board, pools), sizeof(struct board_pool), 3},
    {false, offsetof(struct board, slots), sizeof(struct board_slot), 5},
    {true, offsetof(struct trace, host), sizeof(struct trace_host), 1},
    {true, offsetof(struct trace, pools), sizeof(struct trace_pool), 3},
    {true, offsetof(struct trace, workers), sizeof(struct trace_worker), 5},
    {true, offsetof(struct trace, jobs), sizeof(struct trace_job), 3},
    {true, offsetof(struct trace, rings), sizeof(struct trace_rings), 4},
    {true, offsetof(struct trace, samples), sizeof(struct trace_sample), 40},
    {true, offsetof(struct trace, samples[1].tens), sizeof(struct trace_sample), 40},
    {false, offsetof(struct board, head), sizeof(struct seqfile_head), 1},
    {true, offsetof(struct trace, head), sizeof(struct seqfile_head), 1},
};
#define PLACES (sizeof(places) / sizeof(*places))

static void put(struct seqfile *file, void *record, const void *from, size_t n) {
  seqfile__store(file, record, from, n);
}

static void fill_board(uint64_t now_ns) {
  struct board *board = board__of(&board_file);
  struct board_ebbd ebbd = {.n_pools = 2,
                            .n_slots = WORKERS,
                            .watch_pid = 1,
                            .started_ns = 1,
                            .rules = {1ULL << 35, 1 << 20, 15 * NS_PER_SEC, 100, 50, 0, 0},
                            .pressure_source = "/proc/pressure/memory"};
  struct board_pool pool = {.size = 2,
                            .name = "reports",
                            .rules = {.footprint_limit_bytes = 1 << 26,
                                      .min_lifetime_ns = 1,
                                      .min_ready = 1,
                                      .strikes = 1,
                                      .stuck_after_ns = NS_PER_SEC,
                                      .min_gain_bytes = 1 << 20,
                                      .contribution_limit_permille = 500}};
  put(&board_file, &board->ebbd, &ebbd, sizeof(ebbd));
  put(&board_file, &board->pools[0], &pool, sizeof(pool));
  (void)text__copy(pool.name, sizeof(pool.name), "thumbs");
  put(&board_file, &board->pools[1], &pool, sizeof(pool));
  for (uint32_t i = 0; i < WORKERS; i++) {
    struct board_slot slot = {.pool = i / 2,
                              .slot = i % 2,
                              .generation = 3,
                              .pid = 100 + (int32_t)i,
                              .state = i == 2 ? EBB_SLOT_DUE : EBB_SLOT_SERVING,
                              .since_ns = now_ns / 2,
                              .reason = 2,
                              .leased = 1,
                              .fresh_bytes = 30 << 20};
    put(&board_file, &board->slots[i], &slot, sizeof(slot));
  }
}

static void fill_trace(uint64_t now_ns) {
  struct trace *trace = trace__of(&trace_file);
  struct trace_host host = {.facts = {.now_ns = now_ns,
                                      .mem_total_bytes = 8ULL << 30,
                                      .mem_available_bytes = 1 << 20,
                                      .level = EBB_PRESSURE_ELEVATED,
                                      .tier = EBB_TIER_FULL,
                                      .reclaim_moved = 1,
                                      .stall_growing = 1}};
  put(&trace_file, &trace->host, &host, sizeof(host));
  for (uint32_t i = 0; i < 2; i++) {
    struct trace_pool pool = {.facts = {.baseline_bytes = 30 << 20}};
    struct trace_job job = {.kind = {.label = "monthly", .runs = 7, .total_ns = 1 << 30, .peak_bytes = 1 << 28}};
    (void)text__copy(pool.name, sizeof(pool.name), i ? "thumbs" : "reports");
    (void)text__copy(job.kind.pool, sizeof(job.kind.pool), pool.name);
    put(&trace_file, &trace->pools[i], &pool, sizeof(pool));
    put(&trace_file, &trace->jobs[i], &job, sizeof(job));
  }
  for (uint32_t i = 0; i < WORKERS; i++) {
    struct trace_worker worker = {.facts = {.pool = i / 2,
                                            .slot = i % 2,
                                            .generation = 3,
                                            .pid = 100 + (int32_t)i,
                                            .busy = i == 1,
                                            .footprint_bytes = 100 << 20,
                                            .private_bytes = 90 << 20,
                                            .private_ns = now_ns,
                                            .jobs = 5,
                                            .contribution_permille = 600,
                                            .job = "monthly"}};
    put(&trace_file, &trace->workers[i], &worker, sizeof(worker));
    for (uint64_t s = 0; s < SAMPLES; s++) {
      struct trace_sample sample = {.at_us = (1800000000 + s) * 1000000,
                                    .generation = s < 12 ? 2 : 3,
                                    .state = EBB_SLOT_SERVING | (s & 1 ? TRACE_STATE_BUSY : 0),
                                    .anon_kib = (uint32_t)s << 10,
                                    .stall_us = s};
      trace__push(&trace_file, i, i < 2 ? "reports" : "thumbs", i % 2, &sample);
    }
  }
}

static void remove_files(void) {
  (void)unlinkat(dirfd_of_files, BOARD_NAME, 0);
  (void)unlinkat(dirfd_of_files, TRACE_NAME, 0);
  (void)rmdir(directory);
}

static void make_files(void) {
  bool kept;
  make_directory(directory, sizeof(directory));
  dirfd_of_files = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  MUST(!board__create(&board_file, dirfd_of_files, (gid_t)-1, &kept) && !kept);
  MUST(!trace__create(&trace_file, dirfd_of_files, (gid_t)-1, &kept) && !kept);
  fill_board(clock__monotonic_ns());
  fill_trace(clock__monotonic_ns());
  (void)atexit(remove_files);
}

/* What was overwritten, to be put back. */
struct write {
  char *at;
  size_t n;
  char before[256];
};

static size_t overwrite(struct bytes *bytes, struct write *writes) {
  size_t n = 0;
  for (; n < WRITES_MAX && bytes->left > 3; n++) {
    const struct place *place = &places[take_byte(bytes) % PLACES];
    size_t record = take_byte(bytes) % place->n, offset = take_byte(bytes) * 4u % place->bytes;
    size_t length = 1u + take_byte(bytes), room = place->bytes - offset;
    char *file = (char *)(place->trace ? trace_file.head : board_file.head);
    writes[n].at = file + place->at + record * place->bytes + offset;
    writes[n].n = length < room ? length : room;
    memcpy(writes[n].before, writes[n].at, writes[n].n);
    take_bytes(bytes, writes[n].at, writes[n].n);
  }
  return n;
}

static bool is_terminated(const char *text, size_t size) {
  return memchr(text, 0, size) != NULL;
}

static void read_board(void) {
  static struct board_view view;
  struct seqfile file;
  int r = board__open(&file, dirfd_of_files);
  MUST(r == 0 || r == -EPROTO || r == -EPROTONOSUPPORT);
  if (r)
    return;
  r = board__view(&file, &view);
  MUST(r == 0 || r == -EAGAIN || r == -EPROTO);
  for (uint32_t i = 0; r == 0 && i < view.n_pools; i++)
    MUST(is_terminated(view.pools[i].name, EBB_NAME_BYTES) && is_printable(view.pools[i].name) &&
         !strpbrk(view.pools[i].name, " /") && view.pools[i].size <= EBB_SLOTS_MAX);
  for (uint32_t i = 0; r == 0 && i < view.n_slots; i++)
    MUST(view.slots[i].pool < view.n_pools && view.slots[i].slot < EBB_SLOTS_MAX && view.slots[i].pid >= 0 &&
         view.slots[i].state < EBB_SLOT_N && view.index[i] < EBB_SLOTS_MAX &&
         (!i || view.index[i] > view.index[i - 1]));
  MUST(r || is_terminated(view.ebbd.pressure_source, sizeof(view.ebbd.pressure_source)));
  seqfile__close(&file);
}

static void read_trace(void) {
  struct seqfile file;
  struct trace_host host;
  struct trace_pool pool;
  struct trace_worker worker;
  struct trace_job job;
  static struct trace_sample samples[TRACE_MINUTES_N + 1];
  int r = trace__open(&file, dirfd_of_files);
  MUST(r == 0 || r == -EPROTO || r == -EPROTONOSUPPORT);
  if (r)
    return;
  if (!trace__host(&file, &host))
    MUST(host.facts.level < EBB_PRESSURE_N && host.facts.tier < EBB_TIER_N);
  for (uint32_t i = 0; i < 5; i++) {
    if (!trace__pool(&file, i, &pool))
      MUST(is_terminated(pool.name, sizeof(pool.name)));
    if (!trace__worker(&file, i, &worker))
      MUST(worker.facts.pool < EBB_POOLS_MAX && worker.facts.slot < EBB_SLOTS_MAX && worker.facts.pid >= 0 &&
           worker.facts.state < EBB_SLOT_N && is_terminated(worker.facts.job, EBB_LABEL_BYTES));
    if (!trace__job(&file, i, &job))
      MUST(is_terminated(job.kind.pool, EBB_NAME_BYTES) && is_terminated(job.kind.label, EBB_LABEL_BYTES));
    for (int ring = 0; ring < TRACE_RING_N; ring++) {
      samples[7] = (struct trace_sample){.generation = 77};
      r = trace__samples(&file, i, "reports", i, (enum trace_ring)ring, samples, 7);
      MUST(r <= 7 && samples[7].generation == 77);
      r = trace__samples(&file, i, "reports", i, (enum trace_ring)ring, samples, TRACE_MINUTES_N);
      for (int s = 0; s < r; s++)
        MUST(samples[s].at_us && (samples[s].state & ~TRACE_STATE_BUSY) < EBB_SLOT_N);
    }
  }
  seqfile__close(&file);
}

/* What `ebb` prints of it. */

static const struct view {
  int (*command)(struct cli *, int, char **);
  const char *name, *argument;
} views[] = {
    {cmd_status, "ebb status", NULL}, {cmd_jobs, "ebb jobs", NULL},          {cmd_why, "ebb why", "reports/0"},
    {cmd_why, "ebb why", "thumbs/0"}, {cmd_trace, "ebb trace", "reports/1"}, {cmd_trace, "ebb trace", "reports/0"},
};
#define VIEWS (sizeof(views) / sizeof(*views))

static void show(const struct view *view, bool json) {
  size_t lines;
  free(run_command(view->command, directory, (const char *[]){view->name, view->argument, NULL}, json, &lines));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  static struct write writes[WRITES_MAX];
  struct bytes bytes = {data, n};
  uint8_t choice = take_byte(&bytes);
  if (dirfd_of_files < 0)
    make_files();
  size_t written = overwrite(&bytes, writes);
  read_board();
  read_trace();
  show(&views[choice / 2 % VIEWS], choice & 1);
  while (written-- > 0)
    memcpy(writes[written].at, writes[written].before, writes[written].n);
  return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ebb trace: one slot's memory over time and over generations, as a plot, CSV or JSON; once or live. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "cli.h"
#include "clock.h"
#include "json.h"
#include "log.h"
#include "plot.h"
#include "snapshot.h"
#include "text.h"
#include "view.h"

#define RING_AUTO TRACE_RING_N
#define SAMPLES_MAX TRACE_MINUTES_N

static const struct ring {
  const char *name;
  uint64_t period_us;
  uint32_t n;
} rings[TRACE_RING_N] = {
    [TRACE_RING_SECONDS] = {"seconds", 1000000, TRACE_SECONDS_N},
    [TRACE_RING_TENS] = {"tens", 10000000, TRACE_TENS_N},
    [TRACE_RING_MINUTES] = {"minutes", 60000000, TRACE_MINUTES_N},
};

struct options {
  struct cli *cli;
  char pool[EBB_NAME_BYTES];
  uint32_t slot;
  bool named, csv, live;
  unsigned ring; /* enum trace_ring, or RING_AUTO */
};

/* What one look at the trace gave. */
struct look {
  unsigned ring;
  uint32_t n;
  uint64_t limit_bytes;
  struct trace_sample samples[SAMPLES_MAX]; /* oldest first */
};

static error_t parse_ring(const char *name, struct options *options, struct argp_state *state) {
  options->ring = RING_AUTO;
  for (unsigned i = 0; i < TRACE_RING_N; i++)
    if (!strcmp(name, rings[i].name))
      options->ring = i;
  if (options->ring == RING_AUTO && strcmp(name, "auto") != 0)
    argp_error(state, "--ring: expected seconds, tens, minutes or auto, got `%s`", name);
  return 0;
}

static error_t parse_end(const struct options *options, struct argp_state *state) {
  if (!options->named)
    argp_error(state, "which slot? expected POOL/SLOT");
  if (options->csv && options->cli->json)
    argp_error(state, "--csv and --json exclude each other");
  if (options->live && !options->csv && !options->cli->json && !isatty(STDOUT_FILENO))
    argp_error(state, "--live draws on a terminal; add --csv or --json to follow elsewhere");
  return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
  struct options *options = state->input;
  switch (key) {
  case ARGP_KEY_INIT:
    state->child_inputs[0] = options->cli;
    return 0;
  case 'c':
    options->csv = true;
    return 0;
  case 'l':
    options->live = true;
    return 0;
  case 'R':
    return parse_ring(arg, options, state);
  case ARGP_KEY_ARG:
    if (options->named || !cli__parse_slot(arg, options->pool, &options->slot))
      argp_error(state, "expected one POOL/SLOT, got `%s`", arg);
    options->named = true;
    return 0;
  case ARGP_KEY_END:
    return parse_end(options, state);
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_option option_table[] = {
    {"csv", 'c', NULL, 0, "Print one row a sample, with a title row", 0},
    {"live", 'l', NULL, 0, "Go on, once a second, and have the watch look closely meanwhile", 0},
    {"ring", 'R', "RING", 0,
     "seconds (5 minutes), tens (1 hour), minutes (12 hours), or auto (the default): the finest that goes back as far "
     "as there is anything",
     0},
    {0},
};

static const struct argp argp = {
    .options = option_table,
    .parser = parse,
    .args_doc = "POOL/SLOT",
    .doc = "Shows a slot's footprint over time and over the generations of its workers.",
    .children = cli__common,
};

static uint32_t read_ring(const struct snapshot *snapshot, const struct options *options, uint32_t index, unsigned ring,
                          struct trace_sample *to) {
  int n = trace__samples(&snapshot->trace, index, options->pool, options->slot, ring, to, SAMPLES_MAX);
  uint32_t used = 0;
  for (int i = 0; i < n; i++)
    if (to[i].at_us)
      to[used++] = to[i];
  return used;
}

/* The finest ring that reaches back as far as the next coarser one does. */
static unsigned choose_ring(const struct snapshot *snapshot, const struct options *options, uint32_t index,
                            struct trace_sample *space) {
  uint64_t oldest_us[TRACE_RING_N];
  for (unsigned ring = 0; ring < TRACE_RING_N; ring++)
    oldest_us[ring] = read_ring(snapshot, options, index, ring, space) ? space[0].at_us : EBB_UNKNOWN;
  unsigned ring = TRACE_RING_SECONDS;
  while (ring + 1 < TRACE_RING_N && oldest_us[ring + 1] != EBB_UNKNOWN &&
         oldest_us[ring + 1] + rings[ring + 1].period_us < oldest_us[ring])
    ring++;
  return ring;
}

static int look_at(const struct snapshot *snapshot, const struct options *options, struct look *ret) {
  const struct snapshot_worker *worker = snapshot__find(snapshot, options->pool, options->slot);
  if (!worker)
    return -ENOENT;
  ret->limit_bytes = snapshot->pools[worker->slot.pool].board.rules.footprint_limit_bytes;
  ret->ring = options->ring;
  ret->n = 0;
  if (!snapshot->traced)
    return 0;
  if (ret->ring == RING_AUTO)
    ret->ring = options->live ? TRACE_RING_SECONDS : choose_ring(snapshot, options, worker->index, ret->samples);
  ret->n = read_ring(snapshot, options, worker->index, ret->ring, ret->samples);
  return 0;
}

static uint64_t footprint_of(const struct trace_sample *sample) {
  return ((uint64_t)sample->anon_kib + sample->shmem_kib + sample->swap_kib) * 1024;
}

static void print_csv(const struct trace_sample *sample) {
  char at[32], stall[24] = "";
  if (sample->stall_us != EBB_UNKNOWN)
    (void)snprintf(stall, sizeof(stall), "%llu", (unsigned long long)sample->stall_us);
  (void)printf("%s,%u,%s,%llu,%llu,%llu,%llu,%llu,%u,%s\n", text__timestamp(at, sizeof(at), sample->at_us),
               sample->generation, snapshot__sample_state_name(sample->state), (unsigned long long)footprint_of(sample),
               sample->anon_kib * 1024ULL, sample->shmem_kib * 1024ULL, sample->swap_kib * 1024ULL,
               (unsigned long long)sample->minor_faults, sample->major_faults, stall);
}

static struct json_object *as_json(const struct trace_sample *sample) {
  struct json_object *to = json_object_new_object();
  char at[32];
  json__string(to, "time", text__timestamp(at, sizeof(at), sample->at_us));
  json__number(to, "generation", sample->generation);
  json__string(to, "state", snapshot__sample_state_name(sample->state));
  json__number(to, "footprint_bytes", footprint_of(sample));
  json__number(to, "anon_bytes", sample->anon_kib * 1024ULL);
  json__number(to, "shmem_bytes", sample->shmem_kib * 1024ULL);
  json__number(to, "swap_bytes", sample->swap_kib * 1024ULL);
  json__number(to, "faults", sample->minor_faults);
  json__number(to, "major_faults", sample->major_faults);
  json__number(to, "stall_us", sample->stall_us);
  return to;
}

static void print_array(const struct look *look) {
  struct json_object *rows = json_object_new_array();
  for (uint32_t i = 0; i < look->n; i++)
    (void)json_object_array_add(rows, as_json(&look->samples[i]));
  json__print(rows);
}

/* Newest first: a clock that was set back makes the samples before that moment the wrong ones. Returns where they begin
 * in `to`, which has room for as many. */
static size_t to_points(const struct look *look, struct plot_point *to) {
  size_t begin = look->n;
  for (uint32_t i = look->n; i-- > 0;) {
    const struct trace_sample *sample = &look->samples[i];
    bool worker = (sample->state & ~TRACE_STATE_BUSY) > EBB_SLOT_BACKOFF;
    if (begin == look->n || sample->at_us < to[begin].at_us)
      to[--begin] = (struct plot_point){sample->at_us, worker ? footprint_of(sample) : EBB_UNKNOWN, sample->generation};
  }
  return begin;
}

static void print_title(const struct options *options, const struct look *look) {
  char name[4 * EBB_NAME_BYTES], now[16], most[16], limit[16], period[16];
  const struct trace_sample *last = &look->samples[look->n - 1];
  uint64_t most_bytes = 0;
  for (uint32_t i = 0; i < look->n; i++)
    most_bytes = footprint_of(&look->samples[i]) > most_bytes ? footprint_of(&look->samples[i]) : most_bytes;
  (void)printf("%s/%u: footprint every %s; now %s in generation %u, at most %s, limit %s\n",
               view__foreign(name, sizeof(name), options->pool), options->slot,
               text__duration(period, sizeof(period), rings[look->ring].period_us * NS_PER_US),
               text__size(now, sizeof(now), footprint_of(last)), last->generation,
               text__size(most, sizeof(most), most_bytes), text__size(limit, sizeof(limit), look->limit_bytes));
}

static uint32_t within(uint32_t value, uint32_t least, uint32_t most) {
  return value < least ? least : value > most ? most : value;
}

static void print_plot(const struct options *options, const struct look *look) {
  struct plot_point points[SAMPLES_MAX];
  uint32_t columns, lines;
  if (look->n == 0) {
    (void)printf("%s/%u: no samples yet\n", options->pool, options->slot);
    return;
  }
  size_t begin = to_points(look, points);
  view__terminal_size(&columns, &lines);
  struct plot_series series = {
      .points = points + begin,
      .n = look->n - begin,
      .from_us = points[begin].at_us,
      .to_us = points[look->n - 1].at_us + rings[look->ring].period_us,
      .hold_us = rings[look->ring].period_us * 5 / 2,
  };
  struct plot_frame frame = {
      .width = within(columns > 10 ? columns - 10 : 0, 16, PLOT_COLUMNS_MAX),
      .height = within(lines > 6 ? lines - 6 : 0, 8, 24) & ~3u,
      .limit_bytes = look->limit_bytes,
      .ascii = !view__is_utf8(),
  };
  print_title(options, look);
  plot__draw(&series, &frame, stdout);
}

/* Rows that were not printed yet. */
static void print_rows(const struct options *options, const struct look *look, uint64_t *after_us) {
  for (uint32_t i = 0; i < look->n; i++) {
    if (look->samples[i].at_us <= *after_us)
      continue;
    *after_us = look->samples[i].at_us;
    if (options->csv)
      print_csv(&look->samples[i]);
    else
      json__print(as_json(&look->samples[i]));
  }
}

static void show(const struct options *options, const struct look *look, uint64_t *after_us) {
  if (options->csv || (options->cli->json && options->live))
    print_rows(options, look, after_us);
  else if (options->cli->json)
    print_array(look);
  else
    print_plot(options, look);
}

/* Until the user interrupts, or whoever reads the rows has gone. */
static int follow(const struct options *options, struct look *look, uint64_t after_us) {
  _cleanup_fd_ int dirfd = cli__open_run_dir(options->cli), held = -1;
  while (dirfd >= 0 && !fflush(stdout) && !ferror(stdout)) {
    int before = held;
    held = trace__hold_live(dirfd); /* each time: another watch may have begun another trace */
    if (before >= 0)
      (void)close(before);
    struct snapshot snapshot;
    const char *file;
    (void)nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    if (snapshot__open(&snapshot, dirfd, clock__monotonic_ns(), &file) < 0)
      continue; /* between two daemons */
    int r = look_at(&snapshot, options, look);
    snapshot__close(&snapshot);
    if (r < 0)
      continue;
    if (!options->csv && !options->cli->json)
      (void)fputs("\033[H\033[J", stdout);
    show(options, look, &after_us);
  }
  return dirfd < 0 ? -dirfd : CLI_REFUSED;
}

int cmd_trace(struct cli *cli, int argc, char **argv) {
  static struct look look;
  struct options options = {.cli = cli, .ring = RING_AUTO};
  struct snapshot snapshot;
  uint64_t after_us = 0;
  (void)argp_parse(&argp, argc, argv, 0, NULL, &options);
  int code = cli__snapshot(cli, &snapshot);
  if (code != CLI_DONE)
    return code;
  int r = look_at(&snapshot, &options, &look);
  snapshot__close(&snapshot);
  if (r < 0) {
    log__error("there is no slot %s/%u", options.pool, options.slot);
    return CLI_REFUSED;
  }
  if (options.csv)
    (void)puts("time,generation,state,footprint_bytes,anon_bytes,shmem_bytes,swap_bytes,faults,major_faults,stall_us");
  show(&options, &look, &after_us);
  return options.live ? follow(&options, &look, after_us) : CLI_DONE;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ebb top: pools and workers, live, once a second from the files; a line of blocks for each worker's last seconds. */
#include <curses.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "cli.h"
#include "clock.h"
#include "log.h"
#include "overview.h"
#include "plot.h"
#include "snapshot.h"
#include "text.h"
#include "view.h"

#define PERIOD_NS NS_PER_SEC
#define TREND_COLUMNS 30 /* seconds */
#define TREND_BYTES (3 * TREND_COLUMNS + 1)
#define LINE_BYTES 2048

/* key of `s`, what is compared (larger first; 0: pool and slot) */
#define TOP_SORTS(X)                                                                                                   \
  X(POOL, "pool", 0)                                                                                                   \
  X(FOOTPRINT, "footprint", worker->facts.footprint_bytes)                                                             \
  X(GROWTH, "growth", snapshot__growth(snapshot, worker))                                                              \
  X(JOBS, "jobs", worker->facts.jobs)

enum top_sort {
#define X(id, name, value) SORT_##id,
  TOP_SORTS(X)
#undef X
      SORT_N
};

static const char *const sort_names[] = {
#define X(id, name, value) name,
    TOP_SORTS(X)
#undef X
};

struct top {
  int dirfd;
  struct snapshot snapshot;
  const char *trouble; /* why the snapshot is an old one; NULL: it is not */
  uint32_t *order;     /* of the workers that are shown: indexes into the snapshot's */
  uint32_t n;
  uint32_t first; /* row at the top */
  uint32_t rows;  /* of workers on the screen */
  enum top_sort sort;
  bool reverse, help, quit;
};

/* Ordering. */

static uint64_t rank(const struct snapshot *snapshot, const struct snapshot_worker *worker, enum top_sort sort) {
  const uint64_t values[] = {
#define X(id, name, value) value,
      TOP_SORTS(X)
#undef X
  };
  return values[sort] == EBB_UNKNOWN ? 0 : values[sort];
}

static int compare(const void *a, const void *b, void *arg) {
  const struct top *top = arg;
  const struct snapshot_worker *one = &top->snapshot.workers[*(const uint32_t *)a];
  const struct snapshot_worker *other = &top->snapshot.workers[*(const uint32_t *)b];
  uint64_t first = rank(&top->snapshot, one, top->sort), second = rank(&top->snapshot, other, top->sort);
  int by_place = (one > other) - (one < other); /* the snapshot is in the order of pools and slots */
  int answer = first != second ? (first < second ? 1 : -1) : by_place;
  return top->reverse ? -answer : answer;
}

static void sort(struct top *top) {
  top->n = 0;
  for (uint32_t i = 0; i < top->snapshot.n_workers; i++)
    if (snapshot__shows(&top->snapshot, &top->snapshot.workers[i]))
      top->order[top->n++] = i;
  qsort_r(top->order, top->n, sizeof(*top->order), compare, top);
}

/* Reading. What was there stays when there is nothing better. */

static int load(struct top *top, const char **ret_file) {
  struct snapshot fresh;
  int r = snapshot__open(&fresh, top->dirfd, clock__monotonic_ns(), ret_file);
  top->trouble = r < 0 ? strerror(-r) : NULL;
  if (r < 0)
    return r;
  uint32_t *order = reallocarray(top->order, fresh.n_workers + 1, sizeof(*order));
  if (!order)
    abort();
  top->order = order;
  snapshot__close(&top->snapshot);
  top->snapshot = fresh;
  sort(top);
  return 0;
}

/* The last seconds of one worker, out of the largest of them, or out of the limit when that is near. */
static const char *trend_of(const struct snapshot *snapshot, const struct snapshot_worker *worker, char *to,
                            size_t size) {
  struct trace_sample samples[TREND_COLUMNS + 5];
  struct plot_point points[TREND_COLUMNS + 5];
  struct plot_column columns[TREND_COLUMNS];
  const struct snapshot_pool *pool = &snapshot->pools[worker->slot.pool];
  uint64_t most = 0, limit = pool->board.rules.footprint_limit_bytes;
  int n = snapshot->traced ? trace__samples(&snapshot->trace, worker->index, pool->board.name, worker->slot.slot,
                                            TRACE_RING_SECONDS, samples, TREND_COLUMNS + 5)
                           : 0;
  for (int i = 0; i < n; i++) {
    uint64_t kib = (uint64_t)samples[i].anon_kib + samples[i].shmem_kib + samples[i].swap_kib;
    points[i] = (struct plot_point){samples[i].at_us, kib * 1024, samples[i].generation};
    most = points[i].value > most ? points[i].value : most;
  }
  uint64_t last_us = n > 0 ? points[n - 1].at_us + 1000000 : 0;
  uint64_t to_us = snapshot->watched ? clock__realtime_us() : last_us;
  struct plot_series series = {.points = points,
                               .n = n > 0 ? (size_t)n : 0,
                               .from_us = to_us > TREND_COLUMNS * 1000000ULL ? to_us - TREND_COLUMNS * 1000000ULL : 0,
                               .to_us = to_us,
                               .hold_us = 2500000};
  plot__columns(&series, columns, TREND_COLUMNS);
  return plot__spark(columns, TREND_COLUMNS, limit > most && limit / 4 < most ? limit : most, !view__is_utf8(), to,
                     size);
}

/* Drawing. */

static void draw_line(int y, int attributes, const char *text) {
  if (y < 0 || y >= LINES)
    return;
  (void)attrset((attr_t)attributes);
  (void)mvaddnstr(y, 0, text, (int)view__fit(text, (size_t)COLS));
  (void)attrset(A_NORMAL);
}

static int attributes_of(enum view_style style) {
  switch (style) {
  case VIEW_GOOD:
  case VIEW_WARN:
  case VIEW_BAD:
    return has_colors() ? COLOR_PAIR(style) : style == VIEW_GOOD ? A_NORMAL : A_BOLD;
  case VIEW_FAINT:
    return A_DIM;
  case VIEW_STRONG:
    return A_BOLD;
  default:
    return A_NORMAL;
  }
}

/* At most `room` lines; returns the next free one. */
static int draw_pools(const struct top *top, int y, int room) {
  struct table table;
  char line[LINE_BYTES];
  overview__pools(&top->snapshot, &table);
  draw_line(y++, A_BOLD, table__line(&table, (size_t)-1, line, sizeof(line)));
  size_t rows = table__rows(&table);
  for (size_t row = 0; row < rows && (int)row < room - 1; row++)
    draw_line(y++, A_NORMAL, table__line(&table, row, line, sizeof(line)));
  if ((int)rows > room - 1)
    draw_line(y - 1, A_DIM, "...");
  table__done(&table);
  return y;
}

static void draw_workers(struct top *top, int y) {
  struct table table;
  char line[LINE_BYTES], trend[TREND_BYTES];
  top->rows = LINES > y + 2 ? (uint32_t)(LINES - y - 2) : 1;
  uint32_t last = top->n > top->rows ? top->n - top->rows : 0;
  top->first = top->first < last ? top->first : last;
  overview__workers_begin(&table, true);
  for (uint32_t i = top->first; i < top->n && i < top->first + top->rows; i++) {
    const struct snapshot_worker *worker = &top->snapshot.workers[top->order[i]];
    overview__worker(&top->snapshot, worker, trend_of(&top->snapshot, worker, trend, sizeof(trend)), &table);
  }
  draw_line(y++, A_REVERSE, table__line(&table, (size_t)-1, line, sizeof(line)));
  for (size_t row = 0; row < table__rows(&table); row++)
    draw_line(y++, attributes_of(overview__style(top->snapshot.workers[top->order[top->first + row]].state)),
              table__line(&table, row, line, sizeof(line)));
  table__done(&table);
}

static void draw_keys(const struct top *top) {
  char line[256];
  struct text text = TEXT(line);
  uint32_t last = top->first + top->rows < top->n ? top->first + top->rows : top->n;
  text__addf(&text, "q quit  s sort (%s%s)  r reverse  h help  arrows scroll (%u-%u of %u)", sort_names[top->sort],
             top->reverse ? ", reversed" : "", top->n ? top->first + 1 : 0, last, top->n);
  draw_line(LINES - 1, A_DIM, line);
}

static void draw_help(int y) {
  static const char *const lines[] = {
      "Keys",
      "  q                 quit",
      "  s                 sort by the next of: pool, footprint, growth, jobs (largest first)",
      "  r                 reverse the order",
      "  arrows PgUp PgDn  scroll the workers; Home, End",
      "  h                 this help, and back",
      "",
      "Columns and states",
      "  FOOTPRINT     anonymous, swapped and shared memory of the worker and all its descendants",
      "  LAST SECONDS  its footprint over the last half minute, out of the largest or out of the limit",
      "  GROWTH        footprint over that of a fresh worker of the pool",
      "  PEAK          most that it has held",
      "  SHARE         under pressure: its share of the memory that workers demand, and of what they wait for it",
      "  busy: in a job   idle: between jobs   ready: no job yet   due: leaves when its job ends",
      "  retiring: told to go   unleased: never used its lease, never signalled   backoff: dies young",
  };
  for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
    draw_line(y++, lines[i][0] == ' ' ? A_NORMAL : A_BOLD, lines[i]);
}

static void draw_head(const struct top *top) {
  char line[LINE_BYTES], note[256];
  draw_line(0, A_BOLD, overview__daemons(&top->snapshot, line, sizeof(line)));
  draw_line(1, A_BOLD, overview__host(&top->snapshot, line, sizeof(line)));
  (void)snapshot__note(&top->snapshot, note, sizeof(note));
  if (top->trouble)
    (void)snprintf(note, sizeof(note), "cannot be read now, this is the last state: %s", top->trouble);
  draw_line(2, attributes_of(VIEW_BAD), note);
}

static void draw(struct top *top) {
  (void)erase();
  draw_head(top);
  if (top->help) {
    draw_help(3);
  } else {
    int y = draw_pools(top, 3, LINES / 3 > 2 ? LINES / 3 : 2);
    draw_workers(top, y + 1);
  }
  draw_keys(top);
  (void)refresh();
}

/* Keys. */

static void scroll_by(struct top *top, int64_t rows) {
  int64_t first = (int64_t)top->first + rows;
  top->first = first < 0 ? 0 : first > top->n ? top->n : (uint32_t)first;
}

static void obey(struct top *top, int key) {
  switch (key) {
  case 'q':
    top->quit = true;
    break;
  case 's':
    top->sort = (top->sort + 1) % SORT_N;
    sort(top);
    break;
  case 'r':
    top->reverse = !top->reverse;
    sort(top);
    break;
  case 'h':
  case '?':
    top->help = !top->help;
    break;
  case KEY_UP:
  case KEY_DOWN:
    scroll_by(top, key == KEY_UP ? -1 : 1);
    break;
  case KEY_PPAGE:
  case KEY_NPAGE:
    scroll_by(top, key == KEY_PPAGE ? -(int64_t)top->rows : (int64_t)top->rows);
    break;
  case KEY_HOME:
  case KEY_END:
    scroll_by(top, key == KEY_HOME ? -(int64_t)top->n : (int64_t)top->n);
    break;
  default: /* KEY_RESIZE: drawing anew is all it takes */
    break;
  }
}

/* Until a key, a resize or the deadline; false when the terminal is gone. */
static bool await_input(uint64_t deadline_ns) {
  uint64_t now_ns = clock__monotonic_ns();
  struct pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN};
  int left_ms = deadline_ns > now_ns ? (int)((deadline_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS) : 0;
  int n = poll(&wait, 1, left_ms);
  return n <= 0 || !(wait.revents & (POLLHUP | POLLERR | POLLNVAL));
}

static void run(struct top *top) {
  uint64_t next_ns = clock__monotonic_ns() + PERIOD_NS;
  const char *file;
  while (!top->quit) {
    int key;
    draw(top);
    if (!await_input(next_ns))
      return;
    while (!top->quit && (key = getch()) != ERR)
      obey(top, key);
    if (clock__monotonic_ns() >= next_ns) {
      (void)load(top, &file);
      next_ns = clock__monotonic_ns() + PERIOD_NS;
    }
  }
}

static void set_up_screen(void) {
  const char *no_color = getenv("NO_COLOR");
  (void)cbreak();
  (void)noecho();
  (void)nodelay(stdscr, TRUE);
  (void)keypad(stdscr, TRUE);
  (void)curs_set(0);
  if ((no_color && *no_color) || !has_colors())
    return;
  (void)start_color();
  (void)use_default_colors();
  (void)init_pair(VIEW_GOOD, COLOR_GREEN, -1);
  (void)init_pair(VIEW_WARN, COLOR_YELLOW, -1);
  (void)init_pair(VIEW_BAD, COLOR_RED, -1);
}

/* NULL: standard input and output are no terminal on which a cursor can be moved. */
static SCREEN *open_screen(void) {
  SCREEN *screen = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) ? newterm(NULL, stdout, stdin) : NULL;
  const char *move = screen ? tigetstr("cup") : NULL;
  if (!screen || (move && move != (const char *)-1))
    return screen;
  (void)endwin();
  delscreen(screen);
  return NULL;
}

static void show(struct top *top, SCREEN *screen) {
  set_up_screen();
  run(top);
  (void)endwin();
  delscreen(screen);
}

int cmd_top(struct cli *cli, int argc, char **argv) {
  struct top top = {0};
  const char *file = NULL;
  cli__parse_plain(cli, argc, argv,
                   "Shows pools and workers live. Keys: q quit, s sort by the next column, r reverse, arrows and PgUp "
                   "PgDn scroll, h help. Not on a terminal, or with --json: the status, once.");
  if (cli->json)
    return cmd_status(cli, 1, argv);
  _cleanup_fd_ int dirfd = cli__open_run_dir(cli);
  if (dirfd < 0)
    return -dirfd;
  top.dirfd = dirfd;
  int r = load(&top, &file);
  if (r < 0)
    return cli__cannot_read(cli, file, r);
  SCREEN *screen = open_screen();
  if (screen)
    show(&top, screen);
  snapshot__close(&top.snapshot);
  free(top.order);
  if (screen)
    return CLI_DONE;
  log__info("this is no terminal to draw on: the status, once");
  return cmd_status(cli, 1, argv);
}

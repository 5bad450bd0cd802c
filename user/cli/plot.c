/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "plot.h"

#include <string.h>
#include <time.h>

#include "ebb/bounds.h"
#include "text.h"

#define LEVELS 8
#define TICKS 4
#define LABEL_WIDTH 7
#define CLOCK_WIDTH 8 /* 12:34:56 */

static const char *const blocks[LEVELS + 1] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
static const char *const ascii_blocks[LEVELS + 1] = {" ", "_", ".", ":", "-", "=", "+", "*", "#"};

static uint64_t until_us(const struct plot_series *series, size_t i) {
  uint64_t held = series->points[i].at_us + series->hold_us;
  if (i + 1 < series->n && series->points[i + 1].at_us < held)
    return series->points[i + 1].at_us;
  return held;
}

/* Columns that [from, until) touches; at least the one in which it begins. */
static void spread(const struct plot_series *series, const struct plot_point *point, uint64_t until,
                   struct plot_column *to, size_t n) {
  uint64_t span = series->to_us - series->from_us;
  uint64_t from = point->at_us < series->from_us ? series->from_us : point->at_us;
  for (size_t i = (from - series->from_us) * n / span; i < n; i++) {
    if (i > (from - series->from_us) * n / span && series->from_us + i * span / n >= until)
      break;
    if (to[i].value == EBB_UNKNOWN || point->value > to[i].value)
      to[i].value = point->value;
    to[i].generation = point->generation;
  }
}

void plot__columns(const struct plot_series *series, struct plot_column *to, size_t n) {
  for (size_t i = 0; i < n; i++)
    to[i] = (struct plot_column){.value = EBB_UNKNOWN};
  if (series->to_us <= series->from_us)
    return;
  for (size_t i = 0; i < series->n; i++) {
    uint64_t until = until_us(series, i);
    if (series->points[i].value != EBB_UNKNOWN && series->points[i].at_us < series->to_us && until > series->from_us)
      spread(series, &series->points[i], until, to, n);
  }
}

/* A value over zero is never drawn as nothing. */
static unsigned level_of(uint64_t value, uint64_t top, unsigned levels) {
  if (value == EBB_UNKNOWN || value == 0 || top == 0)
    return 0;
  if (value >= top)
    return levels;
  unsigned level = (unsigned)((double)value / (double)top * levels + 0.5);
  return level ? level : 1;
}

const char *plot__spark(const struct plot_column *columns, size_t n, uint64_t top, bool ascii, char *line,
                        size_t size) {
  struct text text;
  text__init(&text, line, size);
  for (size_t i = 0; i < n; i++)
    text__add(&text, (ascii ? ascii_blocks : blocks)[level_of(columns[i].value, top, LEVELS)]);
  return line;
}

uint64_t plot__axis_top(uint64_t value) {
  uint64_t step = 1024;
  while (step * TICKS < value && step < 1ULL << 60)
    step = step * 3 / 2 * TICKS >= value ? step * 3 / 2 : step * 2;
  return step * TICKS;
}

static void draw_label(uint64_t row, const struct plot_frame *frame, uint64_t top, FILE *to) {
  char label[16] = "";
  uint32_t rows_per_tick = frame->height / TICKS;
  if (row % rows_per_tick == 0)
    (void)text__size(label, sizeof(label), top / TICKS * (row / rows_per_tick));
  (void)fprintf(to, "%*s ", LABEL_WIDTH, label);
}

/* Row r shows what lies between r-1 and r of height rows. */
static void draw_row(const struct plot_column *columns, const struct plot_frame *frame, uint64_t top, uint64_t row,
                     FILE *to) {
  unsigned limit = frame->limit_bytes <= top ? level_of(frame->limit_bytes, top, frame->height * LEVELS) : 0;
  bool at_limit = limit > (row - 1) * LEVELS && limit <= row * LEVELS;
  draw_label(row, frame, top, to);
  (void)fputs(frame->ascii ? "|" : row % (frame->height / TICKS) ? "│" : "┤", to);
  for (uint32_t i = 0; i < frame->width; i++) {
    unsigned level = level_of(columns[i].value, top, frame->height * LEVELS);
    unsigned within = level <= (row - 1) * LEVELS ? 0 : level >= row * LEVELS ? LEVELS : level - (row - 1) * LEVELS;
    if (frame->ascii)
      within = within >= LEVELS / 2 || (within && row == 1) ? LEVELS : 0; /* other characters would not line up */
    if (within == 0 && at_limit)
      (void)fputs(frame->ascii ? "-" : "╌", to);
    else
      (void)fputs((frame->ascii ? ascii_blocks : blocks)[within], to);
  }
  (void)fputc('\n', to);
}

static void clock_of(uint64_t at_us, char *to, size_t size) {
  time_t seconds = (time_t)(at_us / 1000000);
  struct tm local = {0};
  (void)localtime_r(&seconds, &local);
  (void)strftime(to, size, "%H:%M:%S", &local);
}

static void draw_times(const struct plot_series *series, const struct plot_frame *frame, FILE *to) {
  char line[PLOT_COLUMNS_MAX];
  uint32_t last = frame->width < 4 * CLOCK_WIDTH ? 1 : 2;
  memset(line, ' ', sizeof(line));
  for (uint32_t i = 0; i <= last; i++) {
    char clock[16];
    clock_of(series->from_us + (series->to_us - series->from_us) * i / last, clock, sizeof(clock));
    memcpy(line + (frame->width - CLOCK_WIDTH) * i / last, clock, CLOCK_WIDTH);
  }
  (void)fprintf(to, "%*s%.*s\n", LABEL_WIDTH + 2, "", (int)frame->width, line);
}

/* Is there a generation at column i that was not there before? */
static bool begins(const struct plot_column *columns, uint32_t i, uint32_t *generation) {
  if (columns[i].value == EBB_UNKNOWN || columns[i].generation == *generation)
    return false;
  *generation = columns[i].generation;
  return true;
}

/* "^3" under the column in which generation 3 began; "^" where the next one leaves no room for the number. */
static void draw_generations(const struct plot_column *columns, const struct plot_frame *frame, FILE *to) {
  char line[PLOT_COLUMNS_MAX];
  uint32_t generation = 0, later = 0, next = 0;
  memset(line, ' ', sizeof(line));
  for (uint32_t i = 0; i < frame->width; i++) {
    char mark[16];
    if (!begins(columns, i, &generation))
      continue;
    later = generation;
    for (next = i + 1; next < frame->width && !begins(columns, next, &later);)
      next++;
    int n = snprintf(mark, sizeof(mark), "^%u", generation);
    memcpy(line + i, mark, (uint32_t)n < next - i || (next == frame->width && i + (uint32_t)n <= next) ? (size_t)n : 1);
  }
  (void)fprintf(to, "%*s%.*s\n", LABEL_WIDTH + 2, "gen  ", (int)frame->width, line);
}

static void draw_axis(const struct plot_frame *frame, FILE *to) {
  (void)fprintf(to, "%*s %s", LABEL_WIDTH, "0", frame->ascii ? "+" : "└");
  for (uint32_t i = 0; i < frame->width; i++)
    (void)fputs(frame->ascii ? "-" : "─", to);
  (void)fputc('\n', to);
}

/* What must find room: the values, and the limit unless that would press them flat. */
static uint64_t largest(const struct plot_column *columns, const struct plot_frame *frame) {
  uint64_t most = 0;
  for (uint32_t i = 0; i < frame->width; i++)
    if (columns[i].value != EBB_UNKNOWN && columns[i].value > most)
      most = columns[i].value;
  return frame->limit_bytes > most && frame->limit_bytes / TICKS < most ? frame->limit_bytes : most;
}

void plot__draw(const struct plot_series *series, const struct plot_frame *frame, FILE *to) {
  struct plot_column columns[PLOT_COLUMNS_MAX];
  plot__columns(series, columns, frame->width);
  uint64_t top = plot__axis_top(largest(columns, frame));
  for (uint64_t row = frame->height; row > 0; row--)
    draw_row(columns, frame, top, row, to);
  draw_axis(frame, to);
  draw_times(series, frame, to);
  draw_generations(columns, frame, to);
}

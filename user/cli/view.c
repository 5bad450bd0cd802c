/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "view.h"

#include <langinfo.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "ebb/bounds.h"
#include "parse.h"
#include "text.h"

#define COLUMN_GAP 2

static bool takes_colours(void) {
  const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
  return isatty(STDOUT_FILENO) && !(no_color && *no_color) && terminal && strcmp(terminal, "dumb") != 0;
}

const char *view__style(enum view_style style) {
  static const char *const sequences[VIEW_STYLES_N] = {
      [VIEW_PLAIN] = "\033[0m", [VIEW_STRONG] = "\033[1m", [VIEW_GOOD] = "\033[32m",
      [VIEW_WARN] = "\033[33m", [VIEW_BAD] = "\033[31m",   [VIEW_FAINT] = "\033[2m",
  };
  static int colours = -1;
  if (colours < 0)
    colours = takes_colours();
  return colours ? sequences[style] : "";
}

bool view__is_utf8(void) {
  return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

static uint32_t from_environment(const char *name, uint32_t otherwise) {
  const char *text = getenv(name);
  uint64_t value;
  return text && !parse__number(text, 10000, &value) && value > 0 ? (uint32_t)value : otherwise;
}

void view__terminal_size(uint32_t *ret_columns, uint32_t *ret_lines) {
  struct winsize size = {0};
  bool known = !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col && size.ws_row;
  *ret_columns = known ? size.ws_col : from_environment("COLUMNS", 80);
  *ret_lines = known ? size.ws_row : from_environment("LINES", 24);
}

/* Length of the character at `text` in bytes, and its width; a byte that is none in this locale counts as one. */
static size_t next_character(const char *text, size_t left, size_t *ret_width) {
  mbstate_t state = {0};
  wchar_t character;
  size_t n = mbrtowc(&character, text, left, &state);
  bool whole = n != 0 && n != (size_t)-1 && n != (size_t)-2;
  int width = whole ? wcwidth(character) : 1;
  *ret_width = width < 0 ? 1 : (size_t)width;
  return whole ? n : 1;
}

size_t view__width(const char *text) {
  size_t total = 0, left = strlen(text);
  while (left > 0) {
    size_t width, n = next_character(text, left, &width);
    total += width;
    text += n;
    left -= n;
  }
  return total;
}

size_t view__fit(const char *text, size_t columns) {
  size_t used = 0, total = 0, length = strlen(text);
  while (used < length) {
    size_t width, n = next_character(text + used, length - used, &width);
    total += width;
    if (total > columns)
      break;
    used += n;
  }
  return used;
}

const char *view__foreign(char *to, size_t size, const char *from) {
  struct text text;
  text__init(&text, to, size);
  if (view__is_utf8()) {
    text__add_visible(&text, from, strlen(from));
    return to;
  }
  for (; *from; from++)
    text__addf(&text, *from >= 0x20 && *from < 0x7f ? "%c" : "\\x%02x", (unsigned char)*from);
  return to;
}

void table__init(struct table *table, const struct table_column *columns, size_t n_columns) {
  *table = (struct table){.columns = columns, .n_columns = n_columns};
  for (size_t i = 0; i < n_columns; i++)
    table->widths[i] = view__width(columns[i].title);
}

void table__done(struct table *table) {
  for (size_t i = 0; i < table->n_cells; i++)
    free(table->cells[i].text);
  free(table->cells);
  *table = (struct table){0};
}

static struct table_cell *new_cell(struct table *table) {
  if (table->n_cells == table->room) {
    table->room = table->room ? 2 * table->room : 16 * table->n_columns;
    table->cells = reallocarray(table->cells, table->room, sizeof(*table->cells));
    if (!table->cells)
      abort();
  }
  return &table->cells[table->n_cells++];
}

void table__add(struct table *table, enum view_style style, const char *format, ...) {
  size_t column = table->n_cells % table->n_columns;
  struct table_cell *cell = new_cell(table);
  va_list arguments;
  va_start(arguments, format);
  if (vasprintf(&cell->text, format, arguments) < 0)
    abort();
  va_end(arguments);
  cell->style = style;
  size_t width = view__width(cell->text);
  if (width > table->widths[column])
    table->widths[column] = width;
}

void table__add_size(struct table *table, uint64_t bytes) {
  char text[16];
  table__add(table, VIEW_PLAIN, "%s", text__size(text, sizeof(text), bytes));
}

void table__add_count(struct table *table, uint64_t count) {
  if (count == EBB_UNKNOWN)
    table__add(table, VIEW_PLAIN, "-");
  else
    table__add(table, VIEW_PLAIN, "%llu", (unsigned long long)count);
}

void table__add_share(struct table *table, uint64_t permille) {
  if (permille == EBB_UNKNOWN)
    table__add(table, VIEW_PLAIN, "-");
  else
    table__add(table, VIEW_PLAIN, "%llu.%llu%%", (unsigned long long)permille / 10, (unsigned long long)permille % 10);
}

void table__add_duration(struct table *table, uint64_t ns) {
  char text[16];
  table__add(table, VIEW_PLAIN, "%s", text__duration(text, sizeof(text), ns));
}

size_t table__rows(const struct table *table) {
  return table->n_cells / table->n_columns;
}

/* Where a cell begins and ends: blanks before, text, blanks after (none behind the last column). */
static void place(const struct table *table, size_t column, const char *text, int *ret_before, int *ret_after) {
  int pad = (int)(table->widths[column] - view__width(text));
  bool right = table->columns[column].right, last = column + 1 == table->n_columns;
  *ret_before = right ? pad : 0;
  *ret_after = last ? 0 : (right ? 0 : pad) + COLUMN_GAP;
}

static const char *text_of(const struct table *table, size_t row, size_t column) {
  return row == (size_t)-1 ? table->columns[column].title : table->cells[row * table->n_columns + column].text;
}

char *table__line(const struct table *table, size_t row, char *to, size_t size) {
  struct text line;
  text__init(&line, to, size);
  for (size_t column = 0; column < table->n_columns; column++) {
    const char *text = text_of(table, row, column);
    int before, after;
    place(table, column, text, &before, &after);
    text__addf(&line, "%*s%s%*s", before, "", text, after, "");
  }
  return to;
}

static void print_row(const struct table *table, size_t row, FILE *to) {
  for (size_t column = 0; column < table->n_columns; column++) {
    const char *text = text_of(table, row, column);
    enum view_style style = row == (size_t)-1 ? VIEW_STRONG : table->cells[row * table->n_columns + column].style;
    int before, after;
    place(table, column, text, &before, &after);
    bool styled = style != VIEW_PLAIN;
    (void)fprintf(to, "%*s%s%s%s%*s", before, "", styled ? view__style(style) : "", text,
                  styled ? view__style(VIEW_PLAIN) : "", after, "");
  }
  (void)fputc('\n', to);
}

void table__print(const struct table *table, FILE *to) {
  print_row(table, (size_t)-1, to);
  for (size_t row = 0; row < table__rows(table); row++)
    print_row(table, row, to);
}

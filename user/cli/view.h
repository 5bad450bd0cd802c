/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* How things look on a terminal: colours, widths, tables. Out of memory ends the program: it has nothing to lose. */
#ifndef CLI_VIEW_H
#define CLI_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum view_style { VIEW_PLAIN, VIEW_STRONG, VIEW_GOOD, VIEW_WARN, VIEW_BAD, VIEW_FAINT, VIEW_STYLES_N };

/* Escape sequence that switches a style on, or VIEW_PLAIN: all off; "" unless standard output is a terminal that takes
 * colours and NO_COLOR is not set. */
const char *view__style(enum view_style style);
/* Can block characters be shown? */
bool view__is_utf8(void);
/* Size of the terminal; $COLUMNS and $LINES, else 80x24, when standard output is none. */
void view__terminal_size(uint32_t *ret_columns, uint32_t *ret_lines);
/* How many columns of a terminal the text takes. */
size_t view__width(const char *text);
/* How many bytes of the text fit into so many columns. */
size_t view__fit(const char *text, size_t columns);
/* Foreign bytes made safe to show, and ASCII where the locale has no UTF-8. Returns `to`. */
const char *view__foreign(char *to, size_t size, const char *from);

/* A table: columns as wide as their widest cell. */
struct table_column {
  const char *title;
  bool right; /* flush right */
};

#define TABLE_COLUMNS_MAX 20

struct table {
  const struct table_column *columns;
  size_t n_columns;
  size_t widths[TABLE_COLUMNS_MAX];
  struct table_cell {
    char *text;
    enum view_style style;
  } * cells; /* row by row */
  size_t n_cells, room;
};

void table__init(struct table *table, const struct table_column *columns, size_t n_columns);
void table__done(struct table *table);
/* Append a cell; the rows follow from the number of columns. */
void table__add(struct table *table, enum view_style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void table__add_size(struct table *table, uint64_t bytes);
void table__add_count(struct table *table, uint64_t count);    /* "-" when unknown */
void table__add_share(struct table *table, uint64_t permille); /* "12.5%"; "-" when unknown */
void table__add_duration(struct table *table, uint64_t ns);
size_t table__rows(const struct table *table);
/* Title and rows, each with a newline. */
void table__print(const struct table *table, FILE *to);

/* A line without newline or style, for those who draw by themselves; row (size_t)-1 is the titles. Returns `to`. */
char *table__line(const struct table *table, size_t row, char *to, size_t size);

#endif

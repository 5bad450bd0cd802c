/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Daemons and host in a line each, pools and workers as tables: what `status` prints once and `top` draws again and again. */
#ifndef CLI_OVERVIEW_H
#define CLI_OVERVIEW_H

#include <stddef.h>

#include "snapshot.h"
#include "view.h"

/* Who runs, and how much it sees; how the host does. Both return `to`. */
const char *overview__daemons(const struct snapshot *snapshot, char *to, size_t size);
const char *overview__host(const struct snapshot *snapshot, char *to, size_t size);
/* Both tables are begun here and ended by the caller with table__done. */
void overview__pools(const struct snapshot *snapshot, struct table *table);
void overview__workers_begin(struct table *table, bool with_trend);
/* A row; `trend` is a line of blocks, NULL when the table has none. */
void overview__worker(const struct snapshot *snapshot, const struct snapshot_worker *worker, const char *trend,
                      struct table *table);
enum view_style overview__style(enum snapshot_state state);

/* "full", "L1", "calm"; NULL when it is not known. */
const char *overview__tier(const struct snapshot *snapshot);
const char *overview__level(const struct snapshot *snapshot);
const char *overview__pressure(const struct snapshot *snapshot);

#endif

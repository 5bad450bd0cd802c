/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "board.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

/* Raise it whenever a record or the meaning of one of its fields changes. Tests make programs of a later version. */
#ifndef BOARD_VERSION
#define BOARD_VERSION 8
#endif

static const struct seqfile_part parts[] = {
    {offsetof(struct board, ebbd), sizeof(struct board_ebbd), 1},
    {offsetof(struct board, pools), sizeof(struct board_pool), EBB_POOLS_MAX},
    {offsetof(struct board, slots), sizeof(struct board_slot), EBB_SLOTS_MAX},
    {offsetof(struct board, pending), sizeof(struct board_pending), EBB_PENDING_MAX},
};

static const struct seqfile_format format = {
    .magic = {'e', 'b', 'b', 'b', 'o', 'a', 'r', 'd'},
    .version = BOARD_VERSION,
    .file_bytes = sizeof(struct board),
    .parts = parts,
    .n_parts = sizeof(parts) / sizeof(*parts),
};

_Static_assert(offsetof(struct board, ebbd) % 8 == 0, "records are aligned");

int board__create(struct seqfile *file, int run_dirfd, gid_t gid, bool *ret_kept) {
  return seqfile__open_write(file, run_dirfd, BOARD_NAME, &format, gid, ret_kept);
}

int board__open(struct seqfile *file, int run_dirfd) {
  return seqfile__open_read(file, run_dirfd, BOARD_NAME, &format);
}

/* Terminates it. Names go into the paths of leases and into lines of the FIFO: nothing else is a pool of ebbd's. */
static bool good_name(char *name) {
  name[EBB_NAME_BYTES - 1] = 0;
  for (; *name; name++)
    if (*name <= ' ' || *name > '~' || *name == '/')
      return false;
  return true;
}

static int take_ebbd(const struct board *board, struct board_view *view) {
  struct board_ebbd *ebbd = &view->ebbd;
  int r = seqfile__copy(ebbd, &board->ebbd, sizeof(*ebbd));
  if (r < 0)
    return r;
  if (ebbd->n_pools > EBB_POOLS_MAX || ebbd->n_slots > EBB_SLOTS_MAX || ebbd->watch_pid < 0)
    return -EPROTO;
  ebbd->pressure_source[sizeof(ebbd->pressure_source) - 1] = 0;
  ebbd->boot_id[sizeof(ebbd->boot_id) - 1] = 0;
  view->n_pools = ebbd->n_pools;
  return 0;
}

static int take_pool(const struct board *board, __u32 index, struct board_view *view) {
  struct board_pool *pool = &view->pools[index];
  int r = seqfile__copy(pool, &board->pools[index], sizeof(*pool));
  if (r < 0)
    return r;
  return good_name(pool->name) && pool->size <= EBB_SLOTS_MAX ? 0 : -EPROTO;
}

/* Counts and slots are written one after the other: a slot that was never written, or whose pool is not counted, is not
 * there yet, or not any more. */
static bool in_use(const struct board_slot *slot, __u32 n_pools) {
  return slot->seq != 0 && slot->pool < n_pools;
}

static int take_slot(const struct board *board, __u32 index, struct board_view *view) {
  struct board_slot *slot = &view->slots[view->n_slots];
  int r = seqfile__copy(slot, &board->slots[index], sizeof(*slot));
  if (r < 0)
    return r;
  if (slot->pool > EBB_POOLS_MAX || slot->slot >= EBB_SLOTS_MAX || slot->pid < 0 || slot->state >= EBB_SLOT_N)
    return -EPROTO;
  if (in_use(slot, view->n_pools))
    view->index[view->n_slots++] = index;
  return 0;
}

static int take_all(const struct board *board, struct board_view *view) {
  view->n_slots = 0;
  int r = take_ebbd(board, view);
  for (__u32 i = 0; r == 0 && i < view->n_pools; i++)
    r = take_pool(board, i, view);
  for (__u32 i = 0; r == 0 && i < view->ebbd.n_slots; i++)
    r = take_slot(board, i, view);
  return r;
}

int board__view(const struct seqfile *file, struct board_view *ret_view) {
  /* Too big for a stack, too often wanted for the heap; what is not in use is never touched. */
  static struct board_view view;
  int r = take_all(board__of(file), &view);
  if (r < 0)
    return r;
  view.ebbd_pid = file->head->writer_pid;
  view.alive = seqfile__writer_alive(file);
  memcpy(ret_view, &view, offsetof(struct board_view, pools));
  memcpy(ret_view->pools, view.pools, view.n_pools * sizeof(*view.pools));
  memcpy(ret_view->slots, view.slots, view.n_slots * sizeof(*view.slots));
  memcpy(ret_view->index, view.index, view.n_slots * sizeof(*view.index));
  return 0;
}

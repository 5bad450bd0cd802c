/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Does a reader see what ebbd said, and nothing that could harm it, whatever the file holds? */
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
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "board.h"
#include "small_fs.h"

struct place {
  char dir[64];
  int dirfd;
  struct seqfile file, reader;
  struct board_view view, before;
};

static struct board *board(struct place *place) {
  return board__of(&place->file);
}

#define STORE(place, record, ...)                                                                                      \
  seqfile__store(&(place)->file, (record), &(const __typeof__(*(record)))__VA_ARGS__, sizeof(*(record)))

static int begin(void **state) {
  struct place *place = calloc(1, sizeof(*place));
  bool kept;
  (void)snprintf(place->dir, sizeof(place->dir), "/tmp/ebb-board-XXXXXX");
  place->dirfd = mkdtemp(place->dir) ? open(place->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  *state = place;
  if (place->dirfd < 0 || board__create(&place->file, place->dirfd, (gid_t)-1, &kept) || kept)
    return -1;
  return board__open(&place->reader, place->dirfd);
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

/* Two pools, three records of which the middle one is not used. */
static void publish(struct place *place) {
  STORE(place, &board(place)->ebbd,
        {.n_pools = 2, .n_slots = 3, .watch_pid = 12, .rules = {.cooldown_ns = 15}, .pressure_source = "/proc/x"});
  STORE(place, &board(place)->pools[0], {.size = 2, .name = "reports", .rules = {.footprint_limit_bytes = 7}});
  STORE(place, &board(place)->pools[1], {.size = 1, .name = "thumbs"});
  STORE(place, &board(place)->slots[0], {.pool = 0, .slot = 1, .generation = 3, .pid = 4711, .state = EBB_SLOT_DUE});
  STORE(place, &board(place)->slots[1], {.pool = EBB_POOLS_MAX});
  STORE(place, &board(place)->slots[2], {.pool = 1, .generation = 1, .start_time = 99, .state = EBB_SLOT_LEAVING});
}

static void nothing_published(void **state) {
  struct place *place = *state;
  assert_int_equal(board__view(&place->reader, &place->view), 0);
  assert_int_equal(place->view.n_pools, 0);
  assert_int_equal(place->view.n_slots, 0);
  assert_int_equal(place->view.ebbd_pid, getpid());
  assert_true(place->view.alive);
}

static void what_was_published(void **state) {
  struct place *place = *state;
  struct board_view *view = &place->view;
  publish(place);
  assert_int_equal(board__view(&place->reader, view), 0);
  assert_int_equal(view->ebbd.watch_pid, 12);
  assert_int_equal(view->ebbd.rules.cooldown_ns, 15);
  assert_string_equal(view->ebbd.pressure_source, "/proc/x");
  assert_int_equal(view->n_pools, 2);
  assert_string_equal(view->pools[0].name, "reports");
  assert_int_equal(view->pools[0].rules.footprint_limit_bytes, 7);
  assert_string_equal(view->pools[1].name, "thumbs");
  assert_int_equal(view->n_slots, 2);
  assert_int_equal(view->index[0], 0);
  assert_int_equal(view->slots[0].pid, 4711);
  assert_int_equal(view->slots[0].state, EBB_SLOT_DUE);
  assert_int_equal(view->index[1], 2);
  assert_int_equal(view->slots[1].start_time, 99);
}

static void full_board(void **state) {
  struct place *place = *state;
  STORE(place, &board(place)->ebbd, {.n_pools = EBB_POOLS_MAX, .n_slots = EBB_SLOTS_MAX});
  for (__u32 i = 0; i < EBB_POOLS_MAX; i++)
    STORE(place, &board(place)->pools[i], {.size = EBB_SLOTS_MAX});
  for (__u32 i = 0; i < EBB_SLOTS_MAX; i++)
    STORE(place, &board(place)->slots[i], {.pool = EBB_POOLS_MAX - 1, .slot = i});
  assert_int_equal(board__view(&place->reader, &place->view), 0);
  assert_int_equal(place->view.n_slots, EBB_SLOTS_MAX);
  assert_int_equal(place->view.slots[EBB_SLOTS_MAX - 1].slot, EBB_SLOTS_MAX - 1);
}

/* ebbd writes its counts first. */
static void slots_that_are_not_there_yet(void **state) {
  struct place *place = *state;
  STORE(place, &board(place)->ebbd, {.n_pools = 1, .n_slots = 3});
  STORE(place, &board(place)->slots[1], {.pool = 0, .slot = 5});
  STORE(place, &board(place)->slots[2], {.pool = 1}); /* of a pool that is counted no more */
  assert_int_equal(board__view(&place->reader, &place->view), 0);
  assert_int_equal(place->view.n_slots, 1);
  assert_int_equal(place->view.index[0], 1);
}

static void kept(void **state) {
  struct place *place = *state;
  bool kept = false;
  publish(place);
  seqfile__close(&place->file);
  assert_int_equal(board__create(&place->file, place->dirfd, (gid_t)-1, &kept), 0);
  assert_true(kept);
  assert_int_equal(board__view(&place->file, &place->view), 0); /* the writer may look, too */
  assert_int_equal(place->view.n_slots, 2);
  assert_int_equal(place->view.slots[0].pid, 4711);
}

static void many_pools(struct board *board) {
  board->ebbd.n_pools = EBB_POOLS_MAX + 1;
}
static void many_slots(struct board *board) {
  board->ebbd.n_slots = EBB_SLOTS_MAX + 1;
}
static void most_slots(struct board *board) {
  board->ebbd.n_slots = UINT32_MAX;
}
static void bad_watch_pid(struct board *board) {
  board->ebbd.watch_pid = -1;
}
static void bad_size(struct board *board) {
  board->pools[1].size = EBB_SLOTS_MAX + 1;
}
static void name_is_path(struct board *board) {
  memcpy(board->pools[1].name, "../../etc", 10);
}
static void name_has_newline(struct board *board) {
  memcpy(board->pools[1].name, "a\nstop\n", 8);
}
static void name_has_blank(struct board *board) {
  memcpy(board->pools[1].name, "a b", 4);
}
static void name_is_not_ascii(struct board *board) {
  memcpy(board->pools[1].name, "\xc3\xa9", 3);
}
static void name_has_delete(struct board *board) {
  memcpy(board->pools[1].name, "a\x7f", 3);
}
static void slot_of_no_pool(struct board *board) {
  board->slots[2].pool = EBB_POOLS_MAX + 1;
}
static void bad_slot(struct board *board) {
  board->slots[2].slot = EBB_SLOTS_MAX;
}
static void bad_pid(struct board *board) {
  board->slots[2].pid = -1; /* kill(-1) means everybody */
}
static void bad_state(struct board *board) {
  board->slots[2].state = EBB_SLOT_N;
}

static void hostile_content(void **state) {
  struct place *place = *state;
  static void (*const spoil[])(struct board *) = {
      many_pools,     many_slots,        most_slots,      bad_watch_pid,   bad_size, name_is_path, name_has_newline,
      name_has_blank, name_is_not_ascii, name_has_delete, slot_of_no_pool, bad_slot, bad_pid,      bad_state,
  };
  for (size_t i = 0; i < sizeof(spoil) / sizeof(*spoil); i++) {
    publish(place);
    assert_int_equal(board__view(&place->reader, &place->view), 0);
    memcpy(&place->before, &place->view, sizeof(place->view));
    STORE(place, &board(place)->slots[0], {.pool = 0, .pid = 1});
    spoil[i](board(place));
    int r = board__view(&place->reader, &place->view);
    if (r != -EPROTO)
      fail_msg("row %zu: %d", i, r);
    assert_memory_equal(&place->before, &place->view, sizeof(place->view));
  }
}

/* All the rest of it is zero, and so could be. */
static void more_pools_than_there_are(void **state) {
  struct place *place = *state;
  static const __u32 counts[] = {EBB_POOLS_MAX + 1, UINT32_MAX};
  for (size_t i = 0; i < 2; i++) {
    board(place)->ebbd.n_pools = counts[i];
    assert_int_equal(board__view(&place->reader, &place->view), -EPROTO);
  }
}

static void strings_are_ended(void **state) {
  struct place *place = *state;
  publish(place);
  memset(board(place)->ebbd.pressure_source, 'p', sizeof(board(place)->ebbd.pressure_source));
  memset(board(place)->pools[0].name, 'n', EBB_NAME_BYTES);
  assert_int_equal(board__view(&place->reader, &place->view), 0);
  assert_int_equal(strlen(place->view.ebbd.pressure_source), sizeof(place->view.ebbd.pressure_source) - 1);
  assert_int_equal(strlen(place->view.pools[0].name), EBB_NAME_BYTES - 1);
}

static void any_bytes(void **state) {
  struct place *place = *state;
  srandom(1);
  for (int round = 0; round < 200; round++) {
    char *bytes = (char *)&board(place)->ebbd;
    for (size_t i = 0; i < 65536; i++)
      bytes[i] = (char)(random() % 3 ? 0 : random());
    for (__u32 i = 0; i < EBB_POOLS_MAX; i++)
      board(place)->pools[i].seq &= ~1u;
    board(place)->ebbd.seq = 0;
    board(place)->ebbd.n_pools %= EBB_POOLS_MAX + 2;
    board(place)->ebbd.n_slots %= 16;
    int r = board__view(&place->reader, &place->view);
    assert_true(r == 0 || r == -EPROTO || r == -EAGAIN);
  }
}

/* ebbd died within a record: whoever needs the board must rebuild it, and says -EAGAIN of each of them. */
static void odd_records(void **state) {
  struct place *place = *state;
  publish(place);
  void *const records[] = {&board(place)->ebbd, &board(place)->pools[1], &board(place)->slots[1]};
  for (size_t i = 0; i < sizeof(records) / sizeof(*records); i++) {
    bool kept = false;
    assert_int_equal(board__view(&place->reader, &place->view), 0);
    memcpy(&place->before, &place->view, sizeof(place->view));
    seqfile__begin(&place->file, records[i]);
    assert_int_equal(board__view(&place->reader, &place->view), -EAGAIN);
    assert_memory_equal(&place->before, &place->view, sizeof(place->view));
    struct seqfile next;
    assert_int_equal(board__create(&next, place->dirfd, (gid_t)-1, &kept), 0);
    seqfile__close(&next);
    assert_true(kept);
    assert_int_equal(board__view(&place->reader, &place->view), 0);
  }
}

static void not_a_board(void **state) {
  struct place *place = *state;
  struct seqfile file = {0};
  board(place)->head.version++;
  assert_int_equal(board__open(&file, place->dirfd), -EPROTONOSUPPORT);
  board(place)->head.version--;
  assert_int_equal(unlinkat(place->dirfd, BOARD_NAME, 0), 0);
  assert_int_equal(board__open(&file, place->dirfd), -ENOENT);
  assert_int_equal(symlinkat("elsewhere", place->dirfd, BOARD_NAME), 0);
  assert_int_equal(board__open(&file, place->dirfd), -ELOOP);
  bool kept;
  assert_int_equal(board__create(&file, place->dirfd, (gid_t)-1, &kept), -ELOOP);
  assert_null(file.head);
}

static int create_without_room(int dirfd) {
  struct seqfile file = {0};
  bool kept;
  return board__create(&file, dirfd, (gid_t)-1, &kept) == -ENOSPC && !file.head ? 0 : 1;
}

/* Better said at the start than by SIGBUS later. */
static void no_room(void **state) {
  small_fs__run(((struct place *)*state)->dir, "size=64k", create_without_room);
}

/* A pool comes and goes as ebbd does it, counts first; each look must find a board that could be. */
static void come_and_go(struct place *place, volatile int *stop) {
  for (__u64 i = 1; !*stop; i++) {
    __u32 pool = i & 1;
    STORE(place, &board(place)->ebbd, {.n_pools = pool + 1, .n_slots = 1, .wake_ups = i});
    STORE(place, &board(place)->slots[0], {.pool = pool, .generation = (__u32)i, .born_ns = i, .since_ns = i});
  }
}

static void while_it_changes(void **state) {
  struct place *place = *state;
  volatile int *stop = mmap(NULL, sizeof(*stop), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t pid = fork();
  if (pid == 0) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    come_and_go(place, stop);
    _exit(0);
  }
  int wrong = 0;
  __u64 seen = 0, last = 0;
  for (time_t deadline = time(NULL) + 60; time(NULL) < deadline && seen < 2000;) {
    int r = board__view(&place->reader, &place->view);
    const struct board_slot *slot = &place->view.slots[0];
    if (r == -EAGAIN)
      continue;
    wrong += r != 0 || place->view.n_pools > 2 || place->view.n_slots > 1;
    if (r == 0 && place->view.n_slots == 1) {
      wrong += slot->born_ns != slot->since_ns || slot->pool >= place->view.n_pools;
      seen += slot->born_ns != last;
      last = slot->born_ns;
    }
  }
  *stop = 1;
  int status;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status, 0);
  assert_int_equal(wrong, 0);
  assert_int_equal(seen, 2000);
  (void)munmap((void *)stop, sizeof(*stop));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(nothing_published),
      TEST(what_was_published),
      TEST(full_board),
      TEST(slots_that_are_not_there_yet),
      TEST(kept),
      TEST(hostile_content),
      TEST(any_bytes),
      TEST(strings_are_ended),
      TEST(more_pools_than_there_are),
      TEST(odd_records),
      TEST(not_a_board),
      TEST(no_room),
      TEST(while_it_changes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Does a reader only ever see whole records of a file that is what it says, and does the file outlive its writers? */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "cleanup.h"
#include "seqfile.h"
#include "small_fs.h"

#define RECORDS 8
#define NOBODYS_ID 54321

struct record {
  __u32 seq;
  __u32 words[1023]; /* all alike in a whole record */
};

struct content {
  struct seqfile_head head;
  struct record first;
  struct record records[RECORDS];
  char sparse[64 << 20];
};

static const struct seqfile_part parts[] = {
    {offsetof(struct content, first), sizeof(struct record), 1},
    {offsetof(struct content, records), sizeof(struct record), RECORDS},
};

static const struct seqfile_format format = {
    .magic = "magic!!", .version = 3, .file_bytes = sizeof(struct content), .parts = parts, .n_parts = 2};

struct place {
  char dir[64];
  int dirfd;
  struct seqfile file, reader;
};

static struct content *content_of(const struct seqfile *file) {
  return (struct content *)(void *)file->head;
}

static int begin(void **state) {
  struct place *place = calloc(1, sizeof(*place));
  /* Run directories are on a tmpfs, where even looking at a hole through a mapping fills it. */
  bool tmpfs = access("/dev/shm", W_OK) == 0;
  (void)snprintf(place->dir, sizeof(place->dir), "%s/ebb-seqfile-XXXXXX", tmpfs ? "/dev/shm" : "/tmp");
  place->dirfd = mkdtemp(place->dir) ? open(place->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  *state = place;
  return place->dirfd < 0;
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

static bool create(struct place *place) {
  bool kept = true;
  seqfile__close(&place->file);
  assert_int_equal(seqfile__open_write(&place->file, place->dirfd, "f", &format, (gid_t)-1, &kept), 0);
  return !kept;
}

static bool keep(struct place *place) {
  return !create(place);
}

static int read_again(struct place *place) {
  seqfile__close(&place->reader);
  return seqfile__open_read(&place->reader, place->dirfd, "f", &format);
}

static void put(struct place *place, struct record *record, __u32 word) {
  struct record from = {.seq = 77};
  for (size_t i = 0; i < sizeof(from.words) / sizeof(*from.words); i++)
    from.words[i] = word;
  seqfile__store(&place->file, record, &from, sizeof(from));
}

static struct stat stat_of(struct place *place, const char *name) {
  struct stat st = {0};
  assert_int_equal(fstatat(place->dirfd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
  return st;
}

static bool there_is(struct place *place, const char *name) {
  return faccessat(place->dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* In a child of ours that does not outlive us; true when it says so. */
static pid_t fork_child(void) {
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0)
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  return pid;
}

static int exit_code(pid_t pid) {
  int status;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void new_file(void **state) {
  struct place *place = *state;
  mode_t mask = umask(077);
  assert_true(create(place));
  (void)umask(mask);
  struct stat st = stat_of(place, "f");
  assert_int_equal(st.st_mode & 07777, 0640);
  assert_int_equal(st.st_size, sizeof(struct content));
  assert_false(there_is(place, "f.new"));
  assert_int_equal(read_again(place), 0);
  assert_int_equal(place->reader.head->changes, 0);
  assert_int_equal(place->reader.head->writer_pid, getpid());
  assert_int_equal(content_of(&place->reader)->records[RECORDS - 1].seq, 0);
}

static void group(void **state) {
  struct place *place = *state;
  if (geteuid() != 0) {
    print_message("only root may give a file to any group\n");
    skip();
  }
  bool kept;
  for (gid_t gid = NOBODYS_ID; gid < NOBODYS_ID + 2; gid++) { /* the second time the file is kept */
    assert_int_equal(seqfile__open_write(&place->file, place->dirfd, "f", &format, gid, &kept), 0);
    assert_int_equal(kept, gid != NOBODYS_ID);
    assert_int_equal(stat_of(place, "f").st_gid, gid);
    assert_int_equal(stat_of(place, "f").st_mode & 07777, 0640);
    seqfile__close(&place->file);
  }
}

static void store_and_copy(void **state) {
  struct place *place = *state;
  struct record seen;
  assert_true(create(place));
  assert_int_equal(read_again(place), 0);
  const struct record *record = &content_of(&place->reader)->records[4];
  for (__u32 i = 1; i <= 3; i++) {
    put(place, &content_of(&place->file)->records[4], i);
    assert_int_equal(seqfile__copy(&seen, record, sizeof(seen)), 0);
    assert_int_equal(seen.seq, 2 * i);
    assert_int_equal(seen.words[0], i);
    assert_int_equal(seen.words[1022], i);
    assert_int_equal(place->reader.head->changes, i);
  }
  assert_int_equal(content_of(&place->reader)->records[3].words[1022], 0);
  assert_int_equal(content_of(&place->reader)->records[5].seq, 0);
}

static void odd_is_not_read(void **state) {
  struct place *place = *state;
  struct record seen;
  assert_true(create(place));
  struct record *record = &content_of(&place->file)->first;
  put(place, record, 5);
  __u64 changes = place->file.head->changes;
  seqfile__begin(&place->file, record);
  assert_int_equal(record->seq & 1, 1);
  assert_int_equal(seqfile__copy(&seen, record, sizeof(seen)), -EAGAIN);
  seqfile__end(&place->file, record);
  assert_int_equal(record->seq & 1, 0);
  assert_int_equal(place->file.head->changes, changes + 1);
  assert_int_equal(seqfile__copy(&seen, record, sizeof(seen)), 0);
}

/* The writer writes once while the reader looks: what it saw does not count, and it looks again. */
struct meddling {
  struct place *place;
  int looks, meddle;
};

static void meddle(const void *record, void *arg) {
  struct meddling *meddling = arg;
  (void)record;
  if (meddling->looks++ < meddling->meddle)
    put(meddling->place, &content_of(&meddling->place->file)->first, 1);
}

static void changed_meanwhile(void **state) {
  struct place *place = *state;
  assert_true(create(place));
  struct meddling once = {.place = place, .meddle = 1}, always = {.place = place, .meddle = INT32_MAX};
  assert_int_equal(seqfile__read(&content_of(&place->file)->first, meddle, &once), 0);
  assert_int_equal(once.looks, 2);
  assert_int_equal(seqfile__read(&content_of(&place->file)->first, meddle, &always), -EAGAIN);
}

static void write_until_told(struct place *place, volatile int *stop) {
  struct content *content = content_of(&place->file);
  for (__u32 i = 1; !*stop; i++)
    put(place, &content->first, i);
}

/* 0: so many whole records, many of them different ones. 1: a torn one. 2: nothing more came. */
static int read_whole_records(struct place *place, int want) {
  struct record seen;
  __u32 last = 0;
  int whole = 0, changed = 0;
  for (time_t deadline = time(NULL) + 60; time(NULL) < deadline && (whole < want || changed < want / 100);) {
    if (seqfile__copy(&seen, &content_of(&place->reader)->first, sizeof(seen)) < 0)
      continue; /* its writer was preempted */
    for (size_t i = 1; i < sizeof(seen.words) / sizeof(*seen.words); i++)
      if (seen.words[i] != seen.words[0] || (seen.seq & 1) || seen.words[0] != seen.seq / 2)
        return 1;
    whole++;
    changed += seen.words[0] != last;
    last = seen.words[0];
  }
  return whole < want || changed < want / 100 ? 2 : 0;
}

static void no_torn_records(void **state) {
  struct place *place = *state;
  volatile int *stop = mmap(NULL, sizeof(*stop), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(create(place));
  assert_int_equal(read_again(place), 0);
  pid_t writer = fork_child();
  if (writer == 0) {
    write_until_told(place, stop);
    _exit(0);
  }
  pid_t reader = fork_child();
  if (reader == 0)
    _exit(read_whole_records(place, 20000));
  int here = read_whole_records(place, 20000), there = exit_code(reader);
  *stop = 1;
  assert_int_equal(exit_code(writer), 0);
  assert_int_equal(here, 0);
  assert_int_equal(there, 0);
  (void)munmap((void *)stop, sizeof(*stop));
}

static void kept_over_reopening(void **state) {
  struct place *place = *state;
  assert_true(create(place));
  put(place, &content_of(&place->file)->records[5], 4);
  ino_t inode = stat_of(place, "f").st_ino;
  assert_int_equal(read_again(place), 0);
  assert_true(keep(place));
  assert_int_equal(stat_of(place, "f").st_ino, inode);
  assert_int_equal(content_of(&place->file)->records[5].words[1022], 4);
  put(place, &content_of(&place->file)->records[5], 5);
  assert_int_equal(content_of(&place->reader)->records[5].words[1022], 5);
  assert_int_equal(place->reader.head->changes, 2);
}

static void writer_died_within_a_record(void **state) {
  struct place *place = *state;
  struct record seen;
  pid_t pid = fork_child();
  if (pid == 0) {
    (void)create(place);
    struct content *content = content_of(&place->file);
    put(place, &content->first, 1);
    put(place, &content->records[RECORDS - 1], 1);
    seqfile__begin(&place->file, &content->first);
    seqfile__begin(&place->file, &content->records[RECORDS - 1]);
    content->records[RECORDS - 1].words[0] = 2;
    (void)kill(getpid(), SIGKILL);
  }
  assert_int_equal(exit_code(pid), 128 + SIGKILL);
  assert_int_equal(read_again(place), 0);
  const struct content *content = content_of(&place->reader);
  assert_int_equal(seqfile__copy(&seen, &content->first, sizeof(seen)), -EAGAIN);
  assert_int_equal(seqfile__copy(&seen, &content->records[RECORDS - 1], sizeof(seen)), -EAGAIN);
  assert_true(keep(place));
  assert_int_equal(seqfile__copy(&seen, &content->first, sizeof(seen)), 0);
  assert_int_equal(seqfile__copy(&seen, &content->records[RECORDS - 1], sizeof(seen)), 0);
  assert_int_equal(seen.words[0], 2);
  assert_int_equal(seen.words[1], 1);
  assert_int_equal(seqfile__copy(&seen, &content->records[RECORDS - 2], sizeof(seen)), 0);
}

static blkcnt_t blocks(size_t bytes) {
  return (blkcnt_t)(bytes / 512);
}

/* Records have their room, the rest has none until it is asked for; neither making nor keeping the file fills it. */
static void room(void **state) {
  struct place *place = *state;
  const blkcnt_t dense = blocks(offsetof(struct content, sparse)), slack = blocks(32768);
  assert_true(create(place));
  assert_in_range(stat_of(place, "f").st_blocks, dense, dense + slack);
  assert_true(keep(place));
  assert_in_range(stat_of(place, "f").st_blocks, dense, dense + slack);
  assert_int_equal(seqfile__reserve(&place->file, &content_of(&place->file)->sparse[10 << 20], 1 << 20), 0);
  assert_in_range(stat_of(place, "f").st_blocks, dense + blocks(1 << 20), dense + blocks(1 << 20) + slack);
  assert_int_equal(stat_of(place, "f").st_size, sizeof(struct content));
}

static void writer_alive(void **state) {
  struct place *place = *state;
  assert_int_equal(prctl(PR_SET_NAME, "a) Z 1 (b"), 0);
  assert_true(create(place));
  assert_int_equal(read_again(place), 0);
  assert_true(seqfile__writer_alive(&place->reader));
  struct seqfile_head *head = place->file.head;
  head->writer_start++; /* another process has that pid now */
  assert_false(seqfile__writer_alive(&place->reader));
  head->writer_start--;
  static const __s32 pids[] = {0, -1, INT32_MIN, INT32_MAX};
  for (size_t i = 0; i < sizeof(pids) / sizeof(*pids); i++) {
    head->writer_pid = pids[i];
    assert_false(seqfile__writer_alive(&place->reader));
  }
}

static void writer_gone(void **state) {
  struct place *place = *state;
  pid_t pid = fork_child();
  if (pid == 0) {
    (void)create(place);
    _exit(0);
  }
  siginfo_t info;
  assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
  assert_int_equal(read_again(place), 0);
  assert_int_equal(place->reader.head->writer_pid, pid);
  assert_false(seqfile__writer_alive(&place->reader)); /* a zombie */
  assert_int_equal(exit_code(pid), 0);
  assert_false(seqfile__writer_alive(&place->reader));
  assert_true(keep(place));
  assert_true(seqfile__writer_alive(&place->reader));
}

static void other_magic(struct seqfile_head *head) {
  head->magic[6] ^= 1;
}
static void other_version(struct seqfile_head *head) {
  head->version++;
}
static void other_head_size(struct seqfile_head *head) {
  head->head_bytes += 8;
}
static void other_size(struct seqfile_head *head) {
  head->file_bytes--;
}
static void huge_size(struct seqfile_head *head) {
  head->file_bytes = UINT64_MAX;
}
static void other_layout(struct seqfile_head *head) {
  head->layout++;
}

/* A reader refuses it; a writer begins anew, and whoever has the old one open keeps it. */
static void check_other_format(struct place *place, int error) {
  assert_int_equal(read_again(place), error);
  assert_null(place->reader.head);
  ino_t inode = stat_of(place, "f").st_ino;
  assert_true(create(place));
  assert_int_not_equal(stat_of(place, "f").st_ino, inode);
  assert_int_equal(content_of(&place->file)->first.seq, 0);
  assert_int_equal(place->file.head->changes, 0);
  assert_int_equal(read_again(place), 0);
}

static void other_formats(void **state) {
  struct place *place = *state;
  static void (*const spoil[])(struct seqfile_head *) = {other_magic, other_version, other_head_size,
                                                         other_size,  huge_size,     other_layout};
  for (size_t i = 0; i < sizeof(spoil) / sizeof(*spoil); i++) {
    assert_int_equal(create(place), i == 0);
    struct seqfile old;
    assert_int_equal(seqfile__open_read(&old, place->dirfd, "f", &format), 0);
    put(place, &content_of(&place->file)->first, 1);
    spoil[i](place->file.head);
    check_other_format(place, spoil[i] == other_magic ? -EPROTO : -EPROTONOSUPPORT);
    assert_int_equal(content_of(&old)->first.words[0], 1);
    seqfile__close(&old);
  }
}

/* A build that forgot to raise the version. */
static void other_records(void **state) {
  struct place *place = *state;
  const struct seqfile_part other[] = {parts[0], {parts[1].at, parts[1].record_bytes + 8, parts[1].n - 1}};
  struct seqfile_format forgot = format;
  forgot.parts = other;
  assert_true(create(place));
  assert_int_equal(seqfile__open_read(&place->reader, place->dirfd, "f", &forgot), -EPROTONOSUPPORT);
}

static void too_short(void **state) {
  struct place *place = *state;
  static const off_t sizes[] = {sizeof(struct content) - 1, sizeof(struct seqfile_head),
                                sizeof(struct seqfile_head) - 1, 0};
  for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
    assert_int_equal(create(place), i == 0);
    seqfile__close(&place->file);
    seqfile__close(&place->reader);
    int fd = openat(place->dirfd, "f", O_WRONLY | O_CLOEXEC);
    assert_int_equal(ftruncate(fd, sizes[i]), 0);
    (void)close(fd);
    check_other_format(place, -EPROTO);
  }
}

static void any_bytes(void **state) {
  struct place *place = *state;
  char bytes[4096];
  srandom(1);
  for (int round = 0; round < 100; round++) {
    for (size_t i = 0; i < sizeof(bytes); i++)
      bytes[i] = (char)random();
    _cleanup_fd_ int fd = openat(place->dirfd, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
    assert_int_equal(ftruncate(fd, sizeof(struct content)), 0);
    assert_int_equal(read_again(place), -EPROTO);
  }
}

/* Whoever owns the file could cut it under the writer's feet. */
static void other_owner(void **state) {
  struct place *place = *state;
  if (geteuid() != 0) {
    print_message("only root may give files away\n");
    skip();
  }
  assert_true(create(place));
  assert_int_equal(fchownat(place->dirfd, "f", NOBODYS_ID, (gid_t)-1, 0), 0);
  assert_true(create(place));
  assert_int_equal(stat_of(place, "f").st_uid, 0);
}

static void links_and_others_are_refused(void **state) {
  struct place *place = *state;
  bool kept = true;
  assert_true(create(place));
  seqfile__close(&place->file);
  assert_int_equal(symlinkat("f", place->dirfd, "link"), 0);
  assert_int_equal(mkfifoat(place->dirfd, "fifo", 0600), 0);
  assert_int_equal(mkdirat(place->dirfd, "dir", 0700), 0);
  static const struct {
    const char *name;
    int write, read;
  } rows[] = {{"link", -ELOOP, -ELOOP}, {"fifo", -EEXIST, -EPROTO}, {"dir", -EEXIST, -EPROTO}};
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    mode_t mode = stat_of(place, rows[i].name).st_mode;
    assert_int_equal(seqfile__open_write(&place->file, place->dirfd, rows[i].name, &format, (gid_t)-1, &kept),
                     rows[i].write);
    assert_int_equal(seqfile__open_read(&place->reader, place->dirfd, rows[i].name, &format), rows[i].read);
    assert_int_equal(stat_of(place, rows[i].name).st_mode, mode);
    assert_null(place->file.head);
    assert_true(kept);
  }
  assert_int_equal(seqfile__open_read(&place->reader, place->dirfd, "none", &format), -ENOENT);
}

/* What a killed writer left, or somebody put there. */
static void stale_temporary_file(void **state) {
  struct place *place = *state;
  _cleanup_fd_ int fd = openat(place->dirfd, "victim", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  assert_int_equal(write(fd, "v", 1), 1);
  assert_int_equal(symlinkat("victim", place->dirfd, "f.new"), 0);
  assert_true(create(place));
  assert_int_equal(stat_of(place, "victim").st_size, 1);
  assert_false(there_is(place, "f.new"));
}

static void failure_leaves_nothing(void **state) {
  struct place *place = *state;
  pid_t pid = fork_child();
  if (pid == 0) {
    bool kept;
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)setrlimit(RLIMIT_FSIZE, &(struct rlimit){.rlim_cur = 4096, .rlim_max = 4096});
    int r = seqfile__open_write(&place->file, place->dirfd, "f", &format, (gid_t)-1, &kept);
    _exit(r == -EFBIG ? 0 : 1);
  }
  assert_int_equal(exit_code(pid), 0);
  assert_false(there_is(place, "f"));
  assert_false(there_is(place, "f.new"));
}

static int create_without_room(int dirfd) {
  struct seqfile file = {0};
  bool kept;
  if (seqfile__open_write(&file, dirfd, "f", &format, (gid_t)-1, &kept) != -ENOSPC || file.head)
    return 1;
  return faccessat(dirfd, "f", F_OK, 0) && faccessat(dirfd, "f.new", F_OK, 0) ? 0 : 2;
}

static int fill_file_system(int dirfd) {
  struct place place = {.dirfd = dirfd};
  bool kept;
  if (seqfile__open_write(&place.file, dirfd, "f", &format, (gid_t)-1, &kept) < 0)
    return 1;
  struct content *content = content_of(&place.file);
  size_t used = 0;
  while (seqfile__reserve(&place.file, content->sparse + used, 4096) == 0)
    memset(content->sparse + used, 1, 4096), used += 4096;
  for (int i = 0; i < RECORDS; i++)
    put(&place, &content->records[i], 1);
  return used > 0 && used < sizeof(content->sparse) ? 0 : 2;
}

/* It is said at the start; after that, no record can meet with it, and the rest can ask. */
static void no_room(void **state) {
  struct place *place = *state;
  small_fs__run(place->dir, "size=16k", create_without_room);
  small_fs__run(place->dir, "size=128k", fill_file_system);
}

static void closing(void **state) {
  struct place *place = *state;
  assert_true(create(place));
  int fd = place->file.fd;
  assert_true(fcntl(fd, F_GETFD) == FD_CLOEXEC);
  seqfile__close(&place->file);
  assert_int_equal(fcntl(fd, F_GETFD), -1);
  assert_null(place->file.head);
}

static void closing_nothing(void **state) {
  (void)state;
  struct seqfile file = {0};
  seqfile__close(&file);
  seqfile__close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(new_file),
      TEST(group),
      TEST(store_and_copy),
      TEST(odd_is_not_read),
      TEST(changed_meanwhile),
      TEST(no_torn_records),
      TEST(kept_over_reopening),
      TEST(writer_died_within_a_record),
      TEST(room),
      TEST(writer_alive),
      TEST(writer_gone),
      TEST(other_formats),
      TEST(other_records),
      TEST(too_short),
      TEST(any_bytes),
      TEST(other_owner),
      TEST(links_and_others_are_refused),
      TEST(stale_temporary_file),
      TEST(failure_leaves_nothing),
      TEST(no_room),
      TEST(closing),
      cmocka_unit_test(closing_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

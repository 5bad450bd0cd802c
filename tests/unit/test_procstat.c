/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Is what /proc says of a process read right, from any text and from real processes? */
#include "scene.h"

#include <limits.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "confine.h"
#include "procenv.h"
#include "procstat.h"

#define MIB (1024 * 1024)
#define STAT_TAIL " 7 8 9 34816 10 4194560 101 102 103 104 5 6 7 8 20 0 3 0 12345 1000 2000 18446744073709551615 1"

static void fields_are_found_behind_any_command(void **state) {
  static const char *const commands[] = {"cat", "a b", "", ")", "x) R 1 2 3 4 5 6 7", "((", "two\nlines", "\xff) Z ("};

  (void)state;
  for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
    struct procstat stat;
    char text[256];

    (void)snprintf(text, sizeof(text), "42 (%s) S" STAT_TAIL "\n", commands[i]);
    assert_int_equal(procstat__parse(text, &stat), 0);
    assert_int_equal(stat.pid, 42);
    assert_int_equal(stat.state, 'S');
    assert_int_equal(stat.ppid, 7);
    assert_int_equal(stat.pgid, 8);
    assert_int_equal(stat.session, 9);
    assert_int_equal(stat.minor_faults, 101);
    assert_int_equal(stat.major_faults, 103);
    assert_int_equal(stat.threads, 3);
    assert_false(stat.exiting);
    assert_int_equal(stat.start_time, 12345);
  }
}

/* pgrp and session of a process that is being released are -1. */
static void dying_process_has_no_group(void **state) {
  struct procstat stat;

  (void)state;
  assert_int_equal(procstat__parse("42 (x) X 1 -1 -1 0 -1 4 0 0 0 0 0 0 0 0 20 0 0 0 12345 0", &stat), 0);
  assert_int_equal(stat.pgid, -1);
  assert_int_equal(stat.session, -1);
  assert_true(stat.exiting);
  assert_false(stat.kernel);
}

static void cut_or_spoilt_text_is_refused(void **state) {
  static const char whole[] = "42 (x y) S 7 8 9 34816 10 4194560 101 102 103 104 5 6 7 8 20 0 3 0 12345";
  static const char *const texts[] = {
      "42",
      "42 x S" STAT_TAIL,
      ") (42 S" STAT_TAIL,
      "(x) S" STAT_TAIL,
      "0 (x) S" STAT_TAIL,
      "-1 (x) S" STAT_TAIL,
      "2147483648 (x) S" STAT_TAIL,
      "99999999999999999999 (x) S" STAT_TAIL,
      "42 (x)S" STAT_TAIL,
      "42 (x) 7" STAT_TAIL,
      "42 (x) S 7 8 9 34816 10 4194560 101 102 103 104 5 6 7 8 20 0 3 0 99999999999999999999",
      "42 (x) S 7 8 9 34816 10 4194560 101 102 \n 104 5 6 7 8 20 0 3 0 1",
      "42 (x) S 4294967297 8 9 34816 10 4194560 101 102 103 104 5 6 7 8 20 0 3 0 1",
      "42 (x) S 7 -2 9 34816 10 4194560 101 102 103 104 5 6 7 8 20 0 3 0 1",
  };
  struct procstat stat = {.pid = 77};

  (void)state;
  for (size_t n = 0; n < sizeof(whole) - 6; n++) { /* a number cut short is still a number */
    char *text = strndup(whole, n);

    assert_int_equal(procstat__parse(text, &stat), -EPROTO);
    free(text);
  }
  for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
    assert_int_equal(procstat__parse(texts[i], &stat), -EPROTO);
  assert_int_equal(stat.pid, 77);
  assert_int_equal(procstat__parse(whole, &stat), 0);
}

static void we_are_found_under_any_name(void **state) {
  struct procstat before, after;
  char *memory;

  (void)state;
  assert_int_equal(prctl(PR_SET_NAME, "x) Z 1 ("), 0);
  assert_int_equal(procstat__read(getpid(), &before), 0);
  assert_int_equal(before.pid, getpid());
  assert_int_equal(before.ppid, getppid());
  assert_int_equal(before.pgid, getpgrp());
  assert_int_equal(before.session, getsid(0));
  assert_int_equal(before.state, 'R');
  assert_true(before.start_time > 0);

  memory = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_true(memory != MAP_FAILED);
  assert_int_equal(madvise(memory, 8 * MIB, MADV_NOHUGEPAGE), 0);
  memset(memory, 1, 8 * MIB);
  assert_int_equal(procstat__read(getpid(), &after), 0);
  assert_true(after.minor_faults >= before.minor_faults + 8 * MIB / (uint64_t)sysconf(_SC_PAGESIZE));
  assert_int_equal(munmap(memory, 8 * MIB), 0);
}

static char state_of(pid_t pid) {
  struct procstat stat;

  assert_int_equal(procstat__read(pid, &stat), 0);
  return stat.state;
}

static void ends_are_told_apart(void **state) {
  struct procstat stat = {.pid = 77};
  struct procmem memory;
  uint64_t start;
  uid_t uid = 77;
  pid_t pid;

  (void)state;
  pid = fork_child();
  if (pid == 0)
    _exit(0);
  UNTIL(state_of(pid) == 'Z');
  assert_int_equal(procmem__read(pid, &memory), 0); /* a zombie has no memory */
  assert_int_equal(memory.anon_bytes + memory.shmem_bytes + memory.swap_bytes, 0);
  assert_int_equal(procrollup__read(pid, &(struct procrollup){0}), -ESRCH);
  assert_int_equal(procstat__read(pid, &stat), 0);
  start = stat.start_time;
  assert_true(procstat__same(pid, start));
  assert_false(procstat__same(pid, start + 1));

  (void)reap_child(pid);
  stat.pid = 77;
  assert_int_equal(procstat__read(pid, &stat), -ESRCH);
  assert_int_equal(stat.pid, 77);
  assert_int_equal(procmem__read(pid, &memory), -ESRCH);
  assert_int_equal(procrollup__read(pid, &(struct procrollup){0}), -ESRCH);
  assert_int_equal(procenv__read(pid, "HOME", (char[8]){0}, 8), -ESRCH);
  assert_int_equal(procuid__read(pid, &uid), -ESRCH);
  assert_int_equal(uid, 77);
  assert_false(procstat__same(pid, start));
  assert_int_equal(procstat__read(0, &stat), -ESRCH);
  assert_int_equal(procstat__read(-1, &stat), -ESRCH);
}

static void *live_on(void *unused) {
  void *memory = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

  (void)unused;
  memset(memory, 1, 8 * MIB);
  (void)pause();
  return NULL;
}

static bool has_memory(pid_t pid, uint64_t least, uint64_t most) {
  struct procmem memory;

  return !procmem__read(pid, &memory) && memory.anon_bytes >= least && memory.anon_bytes <= most;
}

static void memory_outlives_the_first_thread(void **state) {
  struct procrollup rollup;
  char path[4096];
  pthread_t thread;
  pid_t pid;

  (void)state;
  pid = fork_child();
  if (pid == 0) {
    (void)pthread_create(&thread, NULL, live_on, NULL);
    (void)syscall(SYS_exit, 0); /* of this thread alone */
  }
  UNTIL(state_of(pid) == 'Z');
  UNTIL(!procrollup__read(pid, &rollup) && rollup.own_bytes >= 8 * MIB); /* all of it has been touched */
  assert_true(has_memory(pid, 8 * MIB, UINT64_MAX));
  assert_int_equal(procenv__read(pid, "PATH", path, sizeof(path)), 0); /* so does its environment */
  assert_string_equal(path, getenv("PATH"));
  assert_int_equal(kill(pid, SIGKILL), 0);
  UNTIL(has_memory(pid, 0, 0));
  (void)reap_child(pid);
}

static void memory_lines_are_summed_or_absent(void **state) {
  struct procmem memory = {.anon_bytes = 77};
  struct procrollup rollup;

  (void)state;
  assert_int_equal(procmem__parse("Name:\tRssAnon: 9 kB\nVmSwap:\t     12 kB\nRssAnon:\t 100 kB\nRssFile:\t 7 kB\n"
                                  "RssShmem:\t       3 kB\nThreads:\t1\n",
                                  &memory),
                   0);
  assert_int_equal(memory.anon_bytes, 100 * 1024);
  assert_int_equal(memory.shmem_bytes, 3 * 1024);
  assert_int_equal(memory.swap_bytes, 12 * 1024);
  assert_int_equal(procmem__parse("Name:\tkthreadd\n", &memory), 0);
  assert_int_equal(memory.anon_bytes, 0);
  memory.anon_bytes = 77;
  assert_int_equal(procmem__parse("RssAnon:\t x kB\n", &memory), -EPROTO);
  assert_int_equal(procmem__parse("RssAnon:\t 12 MB\n", &memory), -EPROTO);
  assert_int_equal(procmem__parse("RssAnon:\t 18446744073709551615 kB\n", &memory), -EPROTO);
  assert_int_equal(procmem__parse("RssAnon:\t 99999999999999999999 kB\n", &memory), -EPROTO);
  assert_int_equal(memory.anon_bytes, 77);

  assert_int_equal(
      procrollup__parse("00400000-7fff 0000 0 [rollup]\nRss: 900 kB\nPss: 500 kB\nPss_Dirty: 1 kB\nPss_Anon: 200 kB\n"
                        "Pss_File: 260 kB\nPss_Shmem: 40 kB\nShared_Clean: 9 kB\nPrivate_Clean: 20 kB\n"
                        "Private_Dirty: 100 kB\nSwap: 16 kB\nSwapPss: 8 kB\n",
                        &rollup),
      0);
  assert_int_equal(rollup.own_bytes, 128 * 1024);
  assert_int_equal(rollup.share_bytes, 248 * 1024);
  assert_int_equal(procrollup__parse(
                       "0-1 [rollup]\nPss: 500 kB\nPrivate_Clean: 1 kB\nPrivate_Dirty: 2 kB\nSwapPss: 4 kB\n", &rollup),
                   0);
  assert_int_equal(rollup.own_bytes, 7 * 1024);
  assert_int_equal(rollup.share_bytes, 504 * 1024);
  assert_int_equal(procrollup__parse("", &rollup), -EPROTO);
  assert_int_equal(
      procrollup__parse("Pss: 1 kB\nPrivate_Clean: 18014398509481983 kB\nPrivate_Dirty: 18014398509481983 kB\n",
                        &rollup),
      -EPROTO);
}

/* A child with memory of each kind, which it holds when it has written to the pipe. */
static pid_t fork_holder(size_t private_bytes, size_t shmem_bytes) {
  int ends[2];
  pid_t pid;
  char byte;

  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  pid = fork_child();
  if (pid == 0) {
    char *mine = mmap(NULL, private_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *shared = mmap(NULL, shmem_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    memset(mine, 1, private_bytes);
    memset(shared, 1, shmem_bytes);
    if (write(ends[1], "", 1) != 1)
      _exit(1);
    pause_for_ever();
  }
  assert_int_equal(read(ends[0], &byte, 1), 1);
  (void)close(ends[0]);
  (void)close(ends[1]);
  return pid;
}

static void kinds_of_memory_are_told_apart(void **state) {
  pid_t small = fork_holder(4096, 4096), large = fork_holder(32 * MIB, 16 * MIB);
  struct procmem before, after;
  struct procrollup own_before, own_after;

  (void)state;
  assert_int_equal(procmem__read(small, &before), 0);
  assert_int_equal(procmem__read(large, &after), 0);
  assert_in_range(after.anon_bytes - before.anon_bytes, 31 * MIB, 34 * MIB);
  assert_in_range(after.shmem_bytes - before.shmem_bytes, 15 * MIB, 17 * MIB);
  assert_int_equal(procrollup__read(small, &own_before), 0);
  assert_int_equal(procrollup__read(large, &own_after), 0);
  assert_in_range(own_after.own_bytes - own_before.own_bytes, 46 * MIB, 51 * MIB);
  assert_in_range(own_after.share_bytes - own_before.share_bytes, 46 * MIB, 51 * MIB);
  end_child(small);
  end_child(large);
}

/* What a forked worker has in common with its parent is in RSS, but not its own. */
static void inherited_memory_is_shared_not_own(void **state) {
  char *inherited = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct procmem memory;
  struct procrollup rollup;
  pid_t child;

  (void)state;
  assert_true(inherited != MAP_FAILED);
  memset(inherited, 1, 32 * MIB);
  child = fork_holder(4096, 4096);
  assert_int_equal(procmem__read(child, &memory), 0);
  assert_int_equal(procrollup__read(child, &rollup), 0);
  assert_true(memory.anon_bytes > 32 * MIB);
  assert_true(rollup.own_bytes < 24 * MIB);
  assert_true(rollup.share_bytes >= 15 * MIB && rollup.share_bytes < memory.anon_bytes);
  end_child(child);
  assert_int_equal(munmap(inherited, 32 * MIB), 0);
}

/* exec a sleeper with that environment. */
static pid_t start_with(char *const *environment) {
  char *const argv[] = {"sleep", "100", NULL};
  int ends[2];
  pid_t pid;
  char byte;

  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  pid = fork_child();
  if (pid == 0) {
    (void)execve("/bin/sleep", argv, environment);
    _exit(127);
  }
  (void)close(ends[1]);
  assert_int_equal(read(ends[0], &byte, 1), 0); /* exec has closed it */
  (void)close(ends[0]);
  return pid;
}

static void variables_are_found_whole(void **state) {
  static char filler[4096], long_value[6000] = "LONG=";
  char *const environment[] = {
      "XEBB_LEASE=wrong",  "EBB_LEASE2=wrong", "EBB_LEAS=wrong", "NOTHING", filler, "EBB_LEASE=/a=b",
      "EBB_LEASE=/second", "EMPTY=",           long_value,       "LAST=1",  NULL};
  char value[8192] = "untouched";
  pid_t pid;

  (void)state;
  memset(filler, 'f', sizeof(filler) - 1);
  memset(long_value + 5, 'v', sizeof(long_value) - 6);
  pid = start_with(environment);
  assert_int_equal(procenv__read(pid, "EBB", value, sizeof(value)), -ENOENT);
  assert_int_equal(procenv__read(pid, "wrong", value, sizeof(value)), -ENOENT);
  assert_int_equal(procenv__read(pid, "NOTHING", value, sizeof(value)), -ENOENT);
  assert_string_equal(value, "untouched");
  assert_int_equal(procenv__read(pid, "EBB_LEASE", value, sizeof(value)), 0);
  assert_string_equal(value, "/a=b");
  assert_int_equal(procenv__read(pid, "EBB_LEASE", value, 5), 0);
  assert_int_equal(procenv__read(pid, "EBB_LEASE", value, 4), -ENAMETOOLONG);
  assert_int_equal(procenv__read(pid, "EMPTY", value, 1), 0);
  assert_string_equal(value, "");
  assert_int_equal(procenv__read(pid, "LONG", value, sizeof(value)), 0);
  assert_string_equal(value, long_value + 5);
  assert_int_equal(procenv__read(pid, "LAST", value, sizeof(value)), 0);
  assert_string_equal(value, "1");
  end_child(pid);

  /* every place relative to the pieces in which it is read */
  for (size_t n = 4096 - 24; n < 4096; n++) {
    memset(filler, 'f', sizeof(filler));
    filler[n] = '\0';
    pid = start_with((char *const[]){filler, "EBB_LEASE=/some/where", NULL});
    assert_int_equal(procenv__read(pid, "EBB_LEASE", value, sizeof(value)), 0);
    assert_string_equal(value, "/some/where");
    end_child(pid);
  }
  pid = start_with((char *const[]){NULL});
  assert_int_equal(procenv__read(pid, "EBB_LEASE", value, sizeof(value)), -ENOENT);
  end_child(pid);
}

static void environment_of_others_needs_the_right_to_it(void **state) {
  char value[16];
  pid_t pid;

  (void)state;
  if (geteuid() != 0)
    SKIP("only root becomes others");
  pid = fork_child();
  if (pid == 0) {
    if (setresuid(NOBODY, NOBODY, NOBODY))
      _exit(2);
    _exit(procenv__read(getppid(), "HOME", value, sizeof(value)) != -EACCES);
  }
  assert_int_equal(reap_child(pid), 0);
}

/* With what ebb-watch, and ebbd, keep: the file is closed to them, the memory is not. */
static void environment_of_others_is_read_by_the_right_to_trace(void **state) {
  static char filler[9000];
  char value[32];
  int ends[2];
  pid_t pid, reader;
  char byte;

  (void)state;
  if (geteuid() != 0)
    SKIP("only root becomes others");
  memset(filler, 'f', sizeof(filler) - 1);
  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  pid = fork_child();
  if (pid == 0) {
    if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
      _exit(2);
    (void)execve("/bin/sleep", (char *const[]){"sleep", "100", NULL}, (char *const[]){filler, "LAST=of all", NULL});
    _exit(127);
  }
  (void)close(ends[1]);
  assert_int_equal(read(ends[0], &byte, 1), 0); /* exec has closed it */
  (void)close(ends[0]);
  reader = fork_child();
  if (reader == 0) {
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/environ", pid);
    if (confine__watch_capabilities())
      _exit(3);
    if (open(path, O_RDONLY | O_CLOEXEC) >= 0)
      _exit(4);
    _exit(procenv__read(pid, "LAST", value, sizeof(value)) || strcmp(value, "of all") != 0 ? 5
          : procenv__read(pid, "FIRST", value, sizeof(value)) != -ENOENT                   ? 6
                                                                                           : 0);
  }
  assert_int_equal(reap_child(reader), 0);
  end_child(pid);
}

static void range_of_an_environment(void **state) {
  (void)state;
  static const struct {
    const char *after;
    int error;
    unsigned long start, end;
  } rows[] = {
      {"8192 8200 0\n", 0, 8192, 8200},        {"0 0 0\n", 0, 0, 0},        {"9 8 0\n", 0, 9, 9},
      {"1 18446744073709551615 0\n", 0, 1, 1}, {"8192\n", -EPROTO, 77, 78}, {"", -EPROTO, 77, 78},
  };
  for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
    unsigned long start = 77, end = 78;
    char text[512] = "7 (a) b) S";
    for (int field = 4; field < 50; field++)
      strcat(text, " 1");
    strcat(strcat(text, " "), rows[i].after);
    assert_int_equal(procenv__range(text, &start, &end), rows[i].error);
    assert_int_equal(start, rows[i].start);
    assert_int_equal(end, rows[i].end);
  }
}

static void user_is_the_real_one(void **state) {
  uid_t uid = 77;
  int ends[2];
  pid_t pid;
  char byte;

  (void)state;
  assert_int_equal(procuid__read(getpid(), &uid), 0);
  assert_int_equal(uid, getuid());
  if (geteuid() != 0)
    SKIP("only root becomes others");
  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  pid = fork_child();
  if (pid == 0) {
    if (setresuid(NOBODY, 0, 0) || write(ends[1], "", 1) != 1)
      _exit(1);
    pause_for_ever();
  }
  assert_int_equal(read(ends[0], &byte, 1), 1);
  assert_int_equal(procuid__read(pid, &uid), 0);
  assert_int_equal(uid, NOBODY);
  end_child(pid);
  (void)close(ends[0]);
  (void)close(ends[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fields_are_found_behind_any_command),
      cmocka_unit_test(dying_process_has_no_group),
      cmocka_unit_test(cut_or_spoilt_text_is_refused),
      cmocka_unit_test(we_are_found_under_any_name),
      cmocka_unit_test(ends_are_told_apart),
      cmocka_unit_test(memory_outlives_the_first_thread),
      cmocka_unit_test(memory_lines_are_summed_or_absent),
      cmocka_unit_test(kinds_of_memory_are_told_apart),
      cmocka_unit_test(inherited_memory_is_shared_not_own),
      cmocka_unit_test(variables_are_found_whole),
      cmocka_unit_test(environment_of_others_needs_the_right_to_it),
      cmocka_unit_test(environment_of_others_is_read_by_the_right_to_trace),
      cmocka_unit_test(range_of_an_environment),
      cmocka_unit_test(user_is_the_real_one),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

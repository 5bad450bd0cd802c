/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The C SDK against a lease that this test plays ebbd for. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static int trims;
#define EBB_WORKER_TRIM() ((void)trims++)
#include "ebb/worker.h"

#define DEADLINE_S 20

struct fixture {
  char path[256];
  int fd; /* ebbd's */
};

static int setup(void **state) {
  static struct fixture f;

  assert_true(snprintf(f.path, sizeof(f.path), "%s/ebb-lease.XXXXXX", getenv("TMPDIR") ?: "/tmp") <
              (int)sizeof(f.path));
  f.fd = mkstemp(f.path);
  assert_true(f.fd >= 0);
  assert_int_equal(ftruncate(f.fd, EBB_LEASE_BYTES), 0);
  assert_int_equal(pwrite(f.fd, "R\n", 2, 0), 2);
  setenv(EBB_LEASE_ENV, f.path, 1);
  trims = 0;
  *state = &f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;

  close(f->fd);
  unlink(f->path);
  unsetenv(EBB_LEASE_ENV);
  return 0;
}

static void order(const struct fixture *f, char byte) {
  assert_int_equal(pwrite(f->fd, &byte, 1, 0), 1);
}

/* Could ebbd fence the worker now? Leaves the lease as it was. */
static bool is_free(const struct fixture *f) {
  if (flock(f->fd, LOCK_EX | LOCK_NB) < 0) {
    assert_int_equal(errno, EWOULDBLOCK);
    return false;
  }
  assert_int_equal(flock(f->fd, LOCK_UN), 0);
  return true;
}

static const char *field(const struct fixture *f, int at) {
  static char text[EBB_LEASE_LABEL_FIELD + 1];
  char *end;

  assert_int_equal(pread(f->fd, text, EBB_LEASE_LABEL_FIELD, at), EBB_LEASE_LABEL_FIELD);
  end = memchr(text, '\n', EBB_LEASE_LABEL_FIELD);
  if (end)
    *end = '\0';
  return text;
}

static struct ebb_worker opened(int how) {
  struct ebb_worker w;

  assert_int_equal(ebb_worker_open(&w, how), 0);
  return w;
}

static void unmanaged_without_the_variable(void **state) {
  struct ebb_worker w;

  (void)state;
  unsetenv(EBB_LEASE_ENV);
  assert_int_equal(ebb_worker_open(&w, EBB_WORKER_ALONE), 0);
  assert_int_equal(ebb_worker_ready(&w), EBB_WORKER_RUN);
  assert_int_equal(ebb_worker_begin(&w, "job"), EBB_WORKER_RUN);
  assert_int_equal(ebb_worker_label(&w, "other"), 0);
  assert_int_equal(ebb_worker_end(&w), 0);
  ebb_worker_close(&w);
}

static void a_lease_that_is_not_there_is_an_error(void **state) {
  struct ebb_worker w = {.fd = 77};

  (void)state;
  setenv(EBB_LEASE_ENV, "/nonexistent/lease", 1);
  assert_int_equal(ebb_worker_open(&w, EBB_WORKER_ALONE), -ENOENT);
  ebb_worker_close(&w); /* there is nothing to close, and that is no harm */
  assert_int_equal(w.fd, -1);
}

static void a_file_too_short_is_an_error_and_let_go(void **state) {
  struct fixture *f = *state;
  struct ebb_worker w = opened(EBB_WORKER_ALONE);

  assert_int_equal(ftruncate(f->fd, 0), 0);
  assert_int_equal(ebb_worker_begin(&w, NULL), -EPROTO);
  assert_true(is_free(f));
  ebb_worker_close(&w);
}

static void fetch_then_lock(void **state) {
  struct fixture *f = *state;
  struct ebb_worker w = opened(EBB_WORKER_ALONE);

  assert_int_equal(ebb_worker_ready(&w), EBB_WORKER_RUN);
  assert_true(is_free(f));
  assert_string_equal(w.own + EBB_LEASE_LABEL_OFFSET(0), EBB_LEASE_READY); /* said of that turn … */
  assert_memory_equal(w.own + EBB_LEASE_COPY_THREAD, "\0\0\0", 4);         /* … and of no other */
  assert_string_equal(field(f, 16), "");
  assert_int_equal(ebb_worker_begin(&w, "first"), EBB_WORKER_RUN);
  assert_false(is_free(f));
  assert_int_equal(flock(f->fd, LOCK_SH | LOCK_NB), -1);
  assert_string_equal(field(f, 128), "1 first");
  order(f, 'X'); /* in the middle of a job: it goes on */
  assert_int_equal(ebb_worker_end(&w), 0);
  assert_true(is_free(f));
  assert_int_equal(ebb_worker_begin(&w, "second"), EBB_WORKER_EXIT);
  assert_true(is_free(f));
  assert_string_equal(field(f, 16), "");
  order(f, 'R'); /* kept after all */
  assert_int_equal(ebb_worker_begin(&w, "third"), EBB_WORKER_RUN);
  assert_string_equal(field(f, 16), "2 third");
  ebb_worker_close(&w);
  assert_true(is_free(f));
}

static void lock_then_fetch(void **state) {
  struct fixture *f = *state;
  struct ebb_worker w = opened(EBB_WORKER_ALONE);

  assert_int_equal(ebb_worker_begin(&w, NULL), EBB_WORKER_RUN);
  assert_false(is_free(f));
  assert_string_equal(field(f, 128), "1 -"); /* so that a turn that finds nothing does not count as a job */
  assert_int_equal(ebb_worker_label(&w, "one"), 0);
  assert_int_equal(ebb_worker_end(&w), 0);
  assert_string_equal(field(f, 16), "2 one"); /* stands until the next turn, for attribution */
  assert_int_equal(ebb_worker_begin(&w, NULL), EBB_WORKER_RUN);
  assert_string_equal(field(f, 128), "3 -");
  assert_int_equal(ebb_worker_end(&w), 0);
  assert_int_equal(ebb_worker_begin(&w, NULL), EBB_WORKER_RUN);
  assert_string_equal(field(f, 16), "2 one"); /* two turns without a job write once */
  assert_int_equal(ebb_worker_label(&w, "two"), 0);
  assert_string_equal(field(f, 16), "4 two");
  assert_int_equal(ebb_worker_end(&w), 0);
  ebb_worker_close(&w);
}

static void labels_stay_within_their_fields(void **state) {
  struct fixture *f = *state;
  struct ebb_worker w = opened(EBB_WORKER_ALONE);
  char longest[1000], tail[16], zero[16] = {0};

  memset(longest, 'x', sizeof(longest) - 1);
  longest[sizeof(longest) - 1] = '\0';
  assert_int_equal(ebb_worker_label(&w, "two\nlines\001\177\t."), 0);
  assert_string_equal(field(f, 128), "1 two?lines???.");
  assert_int_equal(ebb_worker_label(&w, longest), 0);
  assert_int_equal(strlen(field(f, 16)), EBB_LEASE_LABEL_FIELD - 1);
  assert_string_equal(field(f, 128), "1 two?lines???.");
  assert_int_equal(ebb_worker_label(&w, longest), 0);
  assert_int_equal(strlen(field(f, 128)), EBB_LEASE_LABEL_FIELD - 1);
  assert_int_equal(pread(f->fd, tail, 16, 240), 16);
  assert_memory_equal(tail, zero, 16);
  assert_int_equal(pread(f->fd, tail, 2, 0), 2);
  assert_memory_equal(tail, "R\n", 2);
  assert_int_equal(ebb_worker_label(&w, ""), 0);
  assert_string_equal(field(f, 16), "4 -");
  ebb_worker_close(&w);
  w = opened(EBB_WORKER_ALONE); /* numbers go on where the file is */
  assert_int_equal(ebb_worker_label(&w, "next"), 0);
  assert_string_equal(field(f, 128), "5 next");
  ebb_worker_close(&w);
}

static void threads_share_the_lease(void **state) {
  struct fixture *f = *state;
  struct ebb_worker a = opened(EBB_WORKER_SHARED), b = opened(EBB_WORKER_SHARED);

  assert_int_equal(ebb_worker_begin(&a, "a"), EBB_WORKER_RUN);
  assert_int_equal(ebb_worker_begin(&b, "b"), EBB_WORKER_RUN);
  assert_string_equal(field(f, 16), "2 b"); /* b has seen the label of a */
  assert_int_equal(ebb_worker_end(&a), 0);
  assert_false(is_free(f));
  order(f, 'X');
  assert_int_equal(ebb_worker_begin(&a, "a"), EBB_WORKER_EXIT);
  assert_false(is_free(f)); /* b is still at it */
  assert_int_equal(ebb_worker_end(&b), 0);
  assert_true(is_free(f));
  ebb_worker_close(&a);
  ebb_worker_close(&b);
}

static void trims_when_told(void **state) {
  struct fixture *f = *state;
  struct ebb_worker w = opened(EBB_WORKER_ALONE);

  assert_int_equal(ebb_worker_begin(&w, NULL), EBB_WORKER_RUN);
  assert_int_equal(trims, 0);
  ebb_worker_end(&w);
  order(f, 'T');
  assert_int_equal(ebb_worker_begin(&w, NULL), EBB_WORKER_RUN);
  assert_int_equal(trims, 1);
  assert_false(is_free(f));
  ebb_worker_close(&w);
}

static void a_fenced_worker_does_not_wait(void **state) {
  struct fixture *f = *state;
  struct ebb_worker w = opened(EBB_WORKER_ALONE);

  order(f, 'X');
  assert_int_equal(flock(f->fd, LOCK_EX | LOCK_NB), 0);
  assert_int_equal(ebb_worker_begin(&w, "job"), EBB_WORKER_EXIT);
  ebb_worker_close(&w);
}

static void other_programs_do_not_inherit_it(void **state) {
  struct ebb_worker w = opened(EBB_WORKER_ALONE);

  (void)state;
  assert_int_equal(fcntl(w.fd, F_GETFD), FD_CLOEXEC);
  ebb_worker_close(&w);
}

static void a_forked_helper_keeps_it_held(void **state) {
  struct fixture *f = *state;
  struct ebb_worker w = opened(EBB_WORKER_ALONE);
  int ends[2];
  char byte;
  pid_t pid;

  assert_int_equal(pipe(ends), 0);
  assert_int_equal(ebb_worker_begin(&w, "job"), EBB_WORKER_RUN);
  pid = fork();
  if (pid == 0) {
    close(f->fd);
    close(ends[1]);
    _exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
  }
  ebb_worker_close(&w); /* as if the worker had died */
  assert_false(is_free(f));
  close(ends[0]);
  close(ends[1]);
  assert_int_equal(waitpid(pid, NULL, 0), pid);
  assert_true(is_free(f));
}

/* A child that says ready, and what it got. */
static void ignore(int signal) {
  (void)signal;
}

static pid_t waiting_child(const struct fixture *f) {
  struct sigaction action = {.sa_handler = ignore}; /* without SA_RESTART */
  struct ebb_worker w;
  pid_t pid = fork();

  if (pid)
    return pid;
  close(f->fd);
  sigaction(SIGUSR1, &action, NULL);
  if (ebb_worker_open(&w, EBB_WORKER_ALONE) < 0)
    _exit(99);
  _exit(ebb_worker_ready(&w) == EBB_WORKER_RUN ? 10 : 11);
}

/* As ebbd sees it: a line "… -> FLOCK … <device>:<inode> …" in /proc/locks. */
static bool somebody_waits(const struct fixture *f) {
  char line[256], inode[32];
  struct stat st;
  bool found = false;
  FILE *locks = fopen("/proc/locks", "re");

  assert_non_null(locks);
  assert_int_equal(fstat(f->fd, &st), 0);
  snprintf(inode, sizeof(inode), ":%lu ", (unsigned long)st.st_ino);
  while (fgets(line, sizeof(line), locks))
    found |= strstr(line, "-> FLOCK") && strstr(line, inode);
  fclose(locks);
  return found;
}

static void until_somebody_waits(const struct fixture *f) {
  const struct timespec tick = {.tv_nsec = 2000000};

  for (int i = 0; i < DEADLINE_S * 500; i++, nanosleep(&tick, NULL))
    if (somebody_waits(f))
      return;
  fail_msg("nobody waits for the lease");
}

static int result(pid_t pid) {
  int status;

  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static void ready_waits_to_be_let_in(void **state) {
  struct fixture *f = *state;
  pid_t pid;

  assert_int_equal(flock(f->fd, LOCK_EX), 0);
  pid = waiting_child(f);
  until_somebody_waits(f);
  assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
  assert_int_equal(flock(f->fd, LOCK_UN), 0);
  assert_int_equal(result(pid), 10);
}

/* The order X comes while the worker waits: the signal that follows must not find it deaf. */
static void a_signal_ends_the_wait_of_a_fenced_worker(void **state) {
  struct fixture *f = *state;
  pid_t pid;

  assert_int_equal(flock(f->fd, LOCK_EX), 0);
  pid = waiting_child(f);
  until_somebody_waits(f);
  order(f, 'X');
  assert_int_equal(kill(pid, SIGUSR1), 0);
  assert_int_equal(result(pid), 11);
}

static void another_signal_does_not(void **state) {
  struct fixture *f = *state;
  pid_t pid;

  assert_int_equal(flock(f->fd, LOCK_EX), 0);
  pid = waiting_child(f);
  until_somebody_waits(f);
  assert_int_equal(kill(pid, SIGUSR1), 0);
  until_somebody_waits(f);
  assert_int_equal(flock(f->fd, LOCK_UN), 0);
  assert_int_equal(result(pid), 10);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(unmanaged_without_the_variable),
      TEST(a_lease_that_is_not_there_is_an_error),
      TEST(a_file_too_short_is_an_error_and_let_go),
      TEST(fetch_then_lock),
      TEST(lock_then_fetch),
      TEST(labels_stay_within_their_fields),
      TEST(threads_share_the_lease),
      TEST(trims_when_told),
      TEST(a_fenced_worker_does_not_wait),
      TEST(other_programs_do_not_inherit_it),
      TEST(a_forked_helper_keeps_it_held),
      TEST(ready_waits_to_be_let_in),
      TEST(a_signal_ends_the_wait_of_a_fenced_worker),
      TEST(another_signal_does_not),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

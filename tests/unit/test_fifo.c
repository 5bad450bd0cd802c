/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Is the control FIFO made right, never mistaken for something else, and never a place to hang? */
#include "scene.h"

#include <limits.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fifo.h"

#define NAME "control"
#define LINE_BYTES 512

static int serve(void) {
  int fd = fifo__serve(scene_dirfd, NAME, (gid_t)-1);

  assert_true(fd >= 0);
  return fd;
}

static void made_for_its_group_whatever_the_umask(void **state) {
  mode_t before = umask(geteuid() == 0 ? 0777 : 0077); /* modes bind others, who could not open what they made */
  struct stat st;
  int fd;

  (void)state;
  fd = fifo__serve(scene_dirfd, NAME, geteuid() == 0 ? 12 : (gid_t)-1);
  (void)umask(before);
  assert_true(fd >= 0);
  assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
  assert_int_equal(fstat(fd, &st), 0);
  assert_int_equal(st.st_mode, S_IFIFO | 0620);
  assert_int_equal(st.st_gid, geteuid() == 0 ? 12 : getegid());
  (void)close(fd);
}

static void lines_arrive_and_end_of_file_never(void **state) {
  char text[64];
  int reader = serve(), writer;

  (void)state;
  assert_int_equal(read(reader, text, sizeof(text)), -1);
  assert_int_equal(errno, EAGAIN);
  writer = fifo__open(scene_dirfd, NAME);
  assert_true(writer >= 0);
  assert_true(fcntl(writer, F_GETFD) & FD_CLOEXEC);
  assert_int_equal(fifo__send(writer, "retire a\n", 9), 0);
  assert_int_equal(fifo__send(writer, "stop\n", 5), 0);
  (void)close(writer);
  assert_int_equal(read(reader, text, sizeof(text)), 14);
  assert_memory_equal(text, "retire a\nstop\n", 14);
  assert_int_equal(read(reader, text, sizeof(text)), -1);
  assert_int_equal(errno, EAGAIN);
  (void)close(reader);
}

static void one_of_ours_is_taken_over(void **state) {
  struct stat st;
  int fd;

  (void)state;
  assert_int_equal(mkfifoat(scene_dirfd, NAME, 0600), 0);
  assert_int_equal(fchmodat(scene_dirfd, NAME, 0666, 0), 0);
  fd = serve();
  assert_int_equal(fstat(fd, &st), 0);
  assert_int_equal(st.st_mode & 07777, 0620);
  (void)close(fd);
}

static void nothing_else_is(void **state) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd;

  (void)state;
  put_file(in_scene("file"), "x", 0600);
  assert_int_equal(fifo__serve(scene_dirfd, "file", (gid_t)-1), -EEXIST);
  assert_int_equal(mkdirat(scene_dirfd, "directory", 0700), 0);
  assert_int_equal(fifo__serve(scene_dirfd, "directory", (gid_t)-1), -EEXIST);
  assert_int_equal(mkfifoat(scene_dirfd, "real", 0600), 0);
  assert_int_equal(symlinkat("real", scene_dirfd, "link"), 0);
  assert_int_equal(fifo__serve(scene_dirfd, "link", (gid_t)-1), -EEXIST);
  (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", in_scene("socket"));
  fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
  assert_int_equal(fifo__serve(scene_dirfd, "socket", (gid_t)-1), -EEXIST);
  (void)close(fd);
  assert_int_equal(fifo__serve(scene_dirfd, "missing/fifo", (gid_t)-1), -ENOENT);
}

static void somebody_elses_is_not_taken(void **state) {
  struct stat st;

  (void)state;
  if (geteuid() != 0)
    SKIP("only root gives files away");
  assert_int_equal(mkfifoat(scene_dirfd, NAME, 0666), 0);
  assert_int_equal(fchownat(scene_dirfd, NAME, NOBODY, NOBODY, 0), 0);
  assert_int_equal(fifo__serve(scene_dirfd, NAME, 12), -EEXIST);
  assert_int_equal(fstatat(scene_dirfd, NAME, &st, 0), 0);
  assert_int_equal(st.st_gid, NOBODY); /* nor touched */
}

static void writer_learns_that_nobody_serves(void **state) {
  (void)state;
  assert_int_equal(fifo__open(scene_dirfd, NAME), -ENOENT);
  (void)close(serve());
  assert_int_equal(fifo__open(scene_dirfd, NAME), -ENXIO);
  put_file(in_scene("file"), "", 0600);
  assert_int_equal(fifo__open(scene_dirfd, "file"), -ENOTSUP);
  assert_int_equal(mkdirat(scene_dirfd, "directory", 0700), 0);
  assert_int_equal(fifo__open(scene_dirfd, "directory"), -ENOTSUP);
  assert_int_equal(symlinkat(NAME, scene_dirfd, "link"), 0);
  assert_int_equal(fifo__open(scene_dirfd, "link"), -ENOTSUP);
}

static void others_may_not_write(void **state) {
  int fd = serve();
  pid_t pid;

  (void)state;
  if (geteuid() != 0) {
    (void)close(fd);
    SKIP("only root becomes others");
  }
  pid = fork_child();
  if (pid == 0)
    _exit(setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY)
              ? 2
              : fifo__open(scene_dirfd, NAME) != -EACCES);
  assert_int_equal(reap_child(pid), 0);
  (void)close(fd);
}

static void full_pipe_takes_whole_lines_or_none(void **state) {
  char line[LINE_BYTES], back[LINE_BYTES], overlong[PIPE_BUF + 1] = {0};
  int reader = serve(), writer = fifo__open(scene_dirfd, NAME), sent = 0, err;

  (void)state;
  memset(line, 'x', sizeof(line));
  line[LINE_BYTES - 1] = '\n';
  assert_int_equal(fifo__send(writer, "#\n", 2), 0); /* so that lines lie across pages */
  while (!(err = fifo__send(writer, line, sizeof(line))))
    sent++;
  assert_int_equal(err, -EAGAIN);
  assert_true(sent > 8);
  assert_int_equal(read(reader, back, 2), 2);
  for (int i = 0; i < sent; i++) {
    assert_int_equal(read(reader, back, sizeof(back)), sizeof(back));
    assert_memory_equal(back, line, sizeof(line));
  }
  assert_int_equal(read(reader, back, sizeof(back)), -1);
  assert_int_equal(fifo__send(writer, overlong, sizeof(overlong)), -EMSGSIZE);
  assert_int_equal(fifo__send(writer, overlong, PIPE_BUF), 0);

  (void)signal(SIGPIPE, SIG_IGN);
  (void)close(reader);
  assert_int_equal(fifo__send(writer, "stop\n", 5), -EPIPE);
  (void)signal(SIGPIPE, SIG_DFL);
  (void)close(writer);
}

int main(void) {
#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, scene__open, scene__close)
  const struct CMUnitTest tests[] = {
      IN_SCENE(made_for_its_group_whatever_the_umask),
      IN_SCENE(lines_arrive_and_end_of_file_never),
      IN_SCENE(one_of_ours_is_taken_over),
      IN_SCENE(nothing_else_is),
      IN_SCENE(somebody_elses_is_not_taken),
      IN_SCENE(writer_learns_that_nobody_serves),
      IN_SCENE(others_may_not_write),
      IN_SCENE(full_pipe_takes_whole_lines_or_none),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}

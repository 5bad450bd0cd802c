/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Are configuration files read whole, in their order, and is the one at fault named? */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cleanup.h"
#include "source.h"

struct place {
  char dir[64], main[96];
  struct sources sources;
};

static char *at(const struct place *place, const char *name) {
  static char path[512];
  (void)snprintf(path, sizeof(path), "%s/%s", place->dir, name);
  return path;
}

static void put(const char *path, const char *data, size_t n) {
  _cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, data, n), n);
}

static int begin(void **state) {
  struct place *place = calloc(1, sizeof(*place));
  (void)snprintf(place->dir, sizeof(place->dir), "/tmp/ebb-source-XXXXXX");
  if (!mkdtemp(place->dir))
    return -1;
  (void)snprintf(place->main, sizeof(place->main), "%s/ebb.conf", place->dir);
  *state = place;
  return 0;
}

static int end(void **state) {
  struct place *place = *state;
  char command[128];
  sources__free(&place->sources);
  (void)snprintf(command, sizeof(command), "rm -rf %s", place->dir);
  int r = system(command);
  free(place);
  return r;
}

static void one_file(void **state) {
  struct place *place = *state;
  put(place->main, "[ebb]\0\n", 7);
  assert_int_equal(sources__read(&place->sources, place->main), 0);
  assert_int_equal(place->sources.n, 1);
  assert_string_equal(place->sources.items[0].name, place->main);
  assert_int_equal(place->sources.items[0].n, 7);
  assert_memory_equal(place->sources.items[0].data, "[ebb]\0\n\0", 8);
}

static void empty_file(void **state) {
  struct place *place = *state;
  put(place->main, "", 0);
  assert_int_equal(sources__read(&place->sources, place->main), 0);
  assert_int_equal(place->sources.items[0].n, 0);
  assert_string_equal(place->sources.items[0].data, "");
}

static void pools_in_byte_order(void **state) {
  struct place *place = *state;
  static const char *const names[] = {"pools.d/b.conf",  "pools.d/a.conf",       "pools.d/B.conf",
                                      "pools.d/10.conf", "pools.d/.hidden.conf", "pools.d/a.conf~",
                                      "pools.d/.conf",   "pools.d/aconf",        "pools.d/x"};
  static const char *const order[] = {"pools.d/10.conf", "pools.d/B.conf", "pools.d/a.conf", "pools.d/b.conf"};
  put(place->main, "m", 1);
  assert_int_equal(mkdir(at(place, "pools.d"), 0755), 0);
  for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
    put(at(place, names[i]), names[i], strlen(names[i]));
  assert_int_equal(sources__read(&place->sources, place->main), 0);
  assert_int_equal(place->sources.n, 5);
  for (size_t i = 0; i < 4; i++) {
    assert_string_equal(place->sources.items[i + 1].name, at(place, order[i]));
    assert_string_equal(place->sources.items[i + 1].data, order[i]);
  }
}

static void path_without_directory(void **state) {
  struct place *place = *state;
  char before[4096];
  assert_non_null(getcwd(before, sizeof(before)));
  put(place->main, "m", 1);
  assert_int_equal(mkdir(at(place, "pools.d"), 0755), 0);
  put(at(place, "pools.d/a.conf"), "a", 1);
  assert_int_equal(chdir(place->dir), 0);
  int r = sources__read(&place->sources, "ebb.conf");
  assert_int_equal(chdir(before), 0);
  assert_int_equal(r, 0);
  assert_int_equal(place->sources.n, 2);
  assert_string_equal(place->sources.items[1].name, "pools.d/a.conf");
}

static void refuse(struct place *place, int error, const char *blamed) {
  assert_int_equal(sources__read(&place->sources, place->main), error);
  assert_string_equal(place->sources.items[0].name, blamed);
  sources__free(&place->sources);
}

static void faults_are_named(void **state) {
  struct place *place = *state;
  refuse(place, -ENOENT, place->main);
  assert_int_equal(mkdir(place->main, 0755), 0);
  refuse(place, -EISDIR, place->main);
  assert_int_equal(rmdir(place->main), 0);
  put(place->main, "m", 1);
  put(at(place, "pools.d"), "", 0);
  refuse(place, -ENOTDIR, at(place, "pools.d"));
  assert_int_equal(unlink(at(place, "pools.d")), 0);
  assert_int_equal(mkdir(at(place, "pools.d"), 0755), 0);
  put(at(place, "pools.d/a.conf"), "a", 1);
  assert_int_equal(symlink("nowhere", at(place, "pools.d/b.conf")), 0);
  refuse(place, -ENOENT, at(place, "pools.d/b.conf"));
}

static void too_large(void **state) {
  struct place *place = *state;
  put(place->main, "", 0);
  assert_int_equal(truncate(place->main, SOURCE_BYTES_MAX), 0);
  assert_int_equal(sources__read(&place->sources, place->main), 0);
  assert_int_equal(place->sources.items[0].n, SOURCE_BYTES_MAX);
  sources__free(&place->sources);
  assert_int_equal(truncate(place->main, SOURCE_BYTES_MAX + 1), 0);
  refuse(place, -EFBIG, place->main);
  assert_int_equal(unlink(place->main), 0);
  assert_int_equal(symlink("/dev/zero", place->main), 0);
  refuse(place, -EFBIG, place->main);
}

static void too_many(void **state) {
  struct place *place = *state;
  char name[32];
  put(place->main, "m", 1);
  assert_int_equal(mkdir(at(place, "pools.d"), 0755), 0);
  for (int i = 1; i < SOURCES_MAX; i++) {
    (void)snprintf(name, sizeof(name), "pools.d/%03d.conf", i);
    put(at(place, name), "", 0);
  }
  assert_int_equal(sources__read(&place->sources, place->main), 0);
  assert_int_equal(place->sources.n, SOURCES_MAX);
  sources__free(&place->sources);
  put(at(place, "pools.d/zzz.conf"), "", 0);
  refuse(place, -E2BIG, at(place, "pools.d/zzz.conf"));
}

/* Would hang for ever in open(2). */
static void fifo_does_not_block(void **state) {
  struct place *place = *state;
  assert_int_equal(mkfifo(place->main, 0600), 0);
  assert_int_equal(sources__read(&place->sources, place->main), 0);
  assert_int_equal(place->sources.items[0].n, 0);
}

static void freeing_nothing(void **state) {
  (void)state;
  sources__free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(one_file),
      TEST(empty_file),
      TEST(pools_in_byte_order),
      TEST(path_without_directory),
      TEST(faults_are_named),
      TEST(too_large),
      TEST(too_many),
      TEST(fifo_does_not_block),
      cmocka_unit_test(freeing_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}

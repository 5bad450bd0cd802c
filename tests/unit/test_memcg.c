/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Is the memory that a container leaves us found: by either version, by the tightest cgroup around us, and only what is there? */
#include "scene.h"

#include "memcg.h"

#define MIB (1024ULL * 1024)

static void put(const char *name, const char *format, ...) {
  char path[4096], text[4096];
  va_list args;
  va_start(args, format);
  (void)vsnprintf(text, sizeof(text), format, args);
  va_end(args);
  (void)snprintf(path, sizeof(path), "%s", in_scene(name));
  for (char *at = path + strlen(scene_path) + 1; (at = strchr(at, '/')); *at++ = '/') {
    *at = 0;
    if (mkdir(path, 0755) && errno != EEXIST)
      fail_msg("%s: %s", path, strerror(errno));
  }
  put_file(path, text, 0644);
}

/* A cgroup of version 1, with its limit, what is used, and how much of that is idle page cache. */
static void put_v1(const char *dir, uint64_t limit_mib, uint64_t used_mib, uint64_t inactive_mib) {
  char name[256];
  (void)snprintf(name, sizeof(name), "%s/memory.limit_in_bytes", dir);
  put(name, "%llu\n", limit_mib * MIB);
  (void)snprintf(name, sizeof(name), "%s/memory.usage_in_bytes", dir);
  put(name, "%llu\n", used_mib * MIB);
  (void)snprintf(name, sizeof(name), "%s/memory.stat", dir);
  put(name, "cache 1\ninactive_file 7\ntotal_cache 1\ntotal_inactive_file %llu\n", inactive_mib * MIB);
}

static void put_v2(const char *dir, const char *limit, uint64_t used_mib, uint64_t inactive_mib) {
  char name[256];
  (void)snprintf(name, sizeof(name), "%s/memory.max", dir);
  put(name, "%s\n", limit);
  (void)snprintf(name, sizeof(name), "%s/memory.current", dir);
  put(name, "%llu\n", used_mib * MIB);
  (void)snprintf(name, sizeof(name), "%s/memory.stat", dir);
  put(name, "anon 1\ninactive_file %llu\n", inactive_mib * MIB);
}

#define NO_LIMIT_MIB (9223372036854771712ULL / MIB)
#define V1 "9:name=systemd:/a\n4:cpu,memory:/a/b\n0::/\n"
#define V2 "0::/a/b\n"

/* "limit/left" in MiB, "-": there is none. */
static void expect_in(const char *expected, const char *cgroup, const char *root) {
  struct memcg memcg;
  uint64_t limit, left;
  char said[64] = "-", own[4096], mounts[4096];
  (void)snprintf(own, sizeof(own), "%s", in_scene("cgroup"));
  (void)snprintf(mounts, sizeof(mounts), "%s", in_scene("mountinfo"));
  put_file(own, cgroup, 0644);
  char text[16384], m1[4096], m2[4096];
  (void)snprintf(m1, sizeof(m1), "%s", in_scene("m1"));
  (void)snprintf(m2, sizeof(m2), "%s", in_scene("m2"));
  (void)snprintf(text, sizeof(text),
                 "31 23 0:28 / /sys rw,relatime shared:1 - tmpfs tmpfs rw,mode=755\n"
                 "32 31 0:29 %s %s/cpu rw,relatime - cgroup cgroup rw,cpu\n"
                 "35 31 0:32 %s %s rw,relatime shared:7 master:2 - cgroup cgroup rw,cpu,memory\n"
                 "41 31 0:38 %s %s rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n",
                 root, m1, root, m1, root, m2);
  put_file(mounts, text, 0644);
  int error = memcg__find_in(&memcg, own, mounts);
  if (!error && !memcg__read(&memcg, &limit, &left))
    (void)snprintf(said, sizeof(said), "%llu/%llu", (unsigned long long)(limit / MIB),
                   (unsigned long long)(left / MIB));
  assert_string_equal(said, expected);
}

static void version_1(void **state) {
  (void)state;
  put_v1("m1", NO_LIMIT_MIB, 5000, 0);
  put_v1("m1/a", NO_LIMIT_MIB, 500, 0);
  put_v1("m1/a/b", NO_LIMIT_MIB, 50, 0);
  expect_in("-", V1, "/");
  put_v1("m1/a/b", 100, 50, 20);
  expect_in("100/70", V1, "/");
  put_v1("m1/a", 600, 590, 0); /* around it, and nearly full */
  expect_in("100/10", V1, "/");
  put_v1("m1/a", 90, 95, 0); /* over it, for a moment */
  expect_in("90/0", V1, "/");
  put_v1("m1/a", 90, 10, 95); /* figures of two moments */
  expect_in("90/70", V1, "/");
}

static void version_2(void **state) {
  (void)state;
  put_v2("m2/a", "max", 500, 0);
  put_v2("m2/a/b", "max", 50, 0);
  expect_in("-", V2, "/"); /* the root has no such files */
  put_v2("m2/a", "629145600", 590, 30);
  expect_in("600/40", V2, "/");
  put_v2("m2/a/b", "104857600", 50, 20);
  expect_in("100/40", V2, "/");
}

/* A container whose cgroup is all that is mounted: with a namespace of its own, and without. */
static void a_part_of_the_hierarchy(void **state) {
  (void)state;
  put_v1("m1", 100, 50, 0);
  expect_in("100/50", "4:memory:/\n", "/");
  expect_in("100/50", "4:memory:/docker/f00\n", "/docker/f00");
  put_v1("m10", 10, 5, 0);
  expect_in("-", "4:memory:/docker/f00\n", "/docker/f0"); /* another one's */
  expect_in("-", "4:memory:/a\n", "/docker/f00");
  put_v1("m1/in", 80, 50, 0);
  expect_in("80/30", "4:memory:/docker/f00/in\n", "/docker/f00");
}

static void any_text_is_taken(void **state) {
  (void)state;
  struct memcg memcg;
  uint64_t limit, left;
  static const char *const owns[] = {"",         "\n", "4", "4:memory", ":::", "4:mem:/\n", "4:memoryx,xmemory:/\n",
                                     "x\n\n::\n"};
  put_v1("m1", 100, 50, 0);
  for (size_t i = 0; i < sizeof(owns) / sizeof(*owns); i++)
    expect_in("-", owns[i], "/");
  put("m1/memory.limit_in_bytes", "what\n");
  expect_in("-", "4:memory:/\n", "/");
  put("m1/memory.limit_in_bytes", "104857600\n");
  put("m1/memory.stat", "nothing\n");
  expect_in("100/50", "4:memory:/\n", "/");
  assert_int_equal(memcg__find_in(&memcg, in_scene("nowhere"), in_scene("nowhere")), -ENOENT);
  assert_int_equal(memcg__read(&memcg, &limit, &left), -ENOENT);
}

static void our_own(void **state) {
  (void)state;
  struct memcg memcg;
  uint64_t limit = 0, left = 0;
  if (memcg__find(&memcg))
    SKIP("no memory cgroup around us");
  print_message("%s\n", memcg.path);
  assert_int_equal(access(memcg.path, F_OK), 0);
  if (!memcg__read(&memcg, &limit, &left))
    assert_true(left <= limit);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, scene__open, scene__close)
  const struct CMUnitTest tests[] = {T(version_1), T(version_2), T(a_part_of_the_hierarchy), T(any_text_is_taken),
                                     T(our_own)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}

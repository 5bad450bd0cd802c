/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "memcg.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernfile.h"
#include "text.h"

/* "No limit" of version 1 is the highest multiple of a page; nobody has that much. */
#define NO_LIMIT (1ULL << 62)

/* What the two versions call the same things. */
static const struct names {
  const char *limit, *used, *inactive;
} names[] = {
    [1] = {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"},
    [2] = {"memory.max", "memory.current", "inactive_file"},
};

/* Is it one of the words between commas? */
static bool has_word(const char *list, size_t n, const char *word) {
  size_t length = strlen(word);
  for (const char *end = list + n; list < end;) {
    const char *comma = memchr(list, ',', (size_t)(end - list));
    size_t m = (size_t)((comma ?: end) - list);
    if (m == length && !memcmp(list, word, length))
      return true;
    list += m + 1;
  }
  return false;
}

struct search {
  char own[PATH_MAX]; /* our cgroup, as its hierarchy names it */
  int version;
  struct memcg found;
};

/* "4:memory:/docker/f00" of version 1, "0::/docker/f00" of version 2. */
static bool take_own(const char *line, void *arg) {
  struct search *search = arg;
  const char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
  if (!path)
    return true;
  controllers++;
  bool first = has_word(controllers, (size_t)(path - controllers), "memory"), second = path == controllers;
  if ((!first && !second) || search->version == 1 || strlen(path + 1) >= sizeof(search->own))
    return true;
  search->version = first ? 1 : 2;
  (void)text__copy(search->own, sizeof(search->own), path + 1);
  return true;
}

/* How much of the path is the mount's root; what is mounted may be a part of the hierarchy that is not around us. */
static bool is_below(const char *path, const char *root, size_t *ret_n) {
  size_t n = strcmp(root, "/") ? strlen(root) : 0;
  *ret_n = n;
  return !strncmp(path, root, n) && (path[n] == '/' || path[n] == 0);
}

/* "35 24 0:30 /root /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory" */
static bool take_mount(const char *line, void *arg) {
  struct search *search = arg;
  char root[PATH_MAX], mount[PATH_MAX], kind[32];
  int at = 0;
  const char *dash = strstr(line, " - ");
  if (!dash || sscanf(line, "%*d %*d %*s %4095s %4095s", root, mount) != 2 ||
      sscanf(dash, " - %31s %*s %n", kind, &at) != 1 || !at)
    return true;
  const char *options = dash + at;
  bool fits = search->version == 1 ? !strcmp(kind, "cgroup") && has_word(options, strlen(options), "memory")
                                   : !strcmp(kind, "cgroup2");
  size_t above, top = strlen(mount);
  if (!fits || !is_below(search->own, root, &above))
    return true;
  const char *rest = strcmp(search->own + above, "/") ? search->own + above : "";
  if (top + strlen(rest) >= sizeof(search->found.path))
    return true;
  search->found = (struct memcg){.top = top, .version = search->version};
  (void)snprintf(search->found.path, sizeof(search->found.path), "%s%s", mount, rest);
  return false;
}

int memcg__find_in(struct memcg *ret, const char *cgroup_path, const char *mountinfo_path) {
  static struct search search; /* too big for a stack */
  search = (struct search){.version = 0};
  *ret = (struct memcg){.path = ""};
  if (kernfile__each_line(cgroup_path, take_own, &search) || !search.version ||
      kernfile__each_line(mountinfo_path, take_mount, &search) || !search.found.version)
    return -ENOENT;
  *ret = search.found;
  return 0;
}

int memcg__find(struct memcg *ret) {
  return memcg__find_in(ret, "/proc/self/cgroup", "/proc/self/mountinfo");
}

static int read_file(const char *dir, const char *name, char *to, size_t size) {
  char path[PATH_MAX + 32];
  (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
  return kernfile__read(path, to, size);
}

/* false: not there, or no number: "max". */
static bool read_number(const char *dir, const char *name, uint64_t *ret) {
  char text[64], *end;
  if (read_file(dir, name, text, sizeof(text)))
    return false;
  errno = 0;
  *ret = strtoull(text, &end, 10);
  return !errno && end != text && (*end == '\n' || *end == 0);
}

struct least {
  uint64_t limit, left;
};

static void look_at(const char *dir, const struct names *by, struct least *least) {
  char stat[8 * 1024];
  uint64_t limit, used, inactive;
  if (!read_number(dir, by->limit, &limit) || limit >= NO_LIMIT || !read_number(dir, by->used, &used))
    return;
  if (read_file(dir, "memory.stat", stat, sizeof(stat)) || kernfile__number(stat, by->inactive, &inactive))
    inactive = 0;
  used -= inactive < used ? inactive : used;
  uint64_t left = limit > used ? limit - used : 0;
  least->limit = limit < least->limit ? limit : least->limit;
  least->left = left < least->left ? left : least->left;
}

int memcg__read(const struct memcg *memcg, uint64_t *ret_limit_bytes, uint64_t *ret_left_bytes) {
  struct least least = {UINT64_MAX, UINT64_MAX};
  char dir[PATH_MAX];
  if (!memcg->path[0])
    return -ENOENT;
  (void)text__copy(dir, sizeof(dir), memcg->path);
  for (;;) {
    look_at(dir, &names[memcg->version], &least);
    char *slash = strrchr(dir, '/');
    if (strlen(dir) <= memcg->top || !slash)
      break;
    *slash = 0;
  }
  if (least.limit == UINT64_MAX)
    return -ENOENT;
  *ret_limit_bytes = least.limit;
  *ret_left_bytes = least.left;
  return 0;
}

int memory__read_in(const struct memcg *memcg, struct meminfo *ret) {
  uint64_t limit_bytes, left_bytes;
  struct meminfo found;
  int error = meminfo__read(&found);
  if (error)
    return error;
  if (!memcg__read(memcg, &limit_bytes, &left_bytes)) {
    found.total_bytes = limit_bytes < found.total_bytes ? limit_bytes : found.total_bytes;
    found.available_bytes = left_bytes < found.available_bytes ? left_bytes : found.available_bytes;
  }
  *ret = found;
  return 0;
}

int memory__read(struct meminfo *ret) {
  struct memcg memcg;
  return memcg__find(&memcg) ? meminfo__read(ret) : memory__read_in(&memcg, ret);
}

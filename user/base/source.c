/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cleanup.h"

#define POOLS_DIRECTORY "pools.d"
#define POOL_SUFFIX ".conf"

void sources__free(struct sources *sources) {
  if (!sources)
    return;
  for (size_t i = 0; i < sources->n; i++) {
    free(sources->items[i].name);
    free(sources->items[i].data);
  }
  *sources = (struct sources){0};
}

/* All of it, at most `size` bytes. */
static ssize_t read_whole(int fd, char *to, size_t size) {
  size_t used = 0;
  while (used < size) {
    ssize_t n = read(fd, to + used, size - used);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return -errno;
    if (n == 0)
      break;
    used += (size_t)n;
  }
  return (ssize_t)used;
}

static int read_data(const char *path, char **ret_data, size_t *ret_n) {
  /* Non-blocking: a FIFO of that name must not stop the daemon. */
  _cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0)
    return -errno;
  _cleanup_free_ char *data = malloc(SOURCE_BYTES_MAX + 1);
  if (!data)
    return -ENOMEM;
  ssize_t n = read_whole(fd, data, SOURCE_BYTES_MAX + 1);
  if (n < 0)
    return (int)n;
  if (n > SOURCE_BYTES_MAX)
    return -EFBIG;
  data[n] = 0;
  char *shrunk = realloc(data, (size_t)n + 1);
  *ret_data = shrunk ? shrunk : data;
  *ret_n = (size_t)n;
  data = NULL;
  // cppcheck-suppress memleak ; the caller has it
  return 0;
}

/* What was read is of no use now; keep the name of the file that was at fault. Takes the path. */
static int fail(struct sources *sources, char *path, int error) {
  sources__free(sources);
  sources->items[0].name = path;
  sources->n = path ? 1 : 0;
  return error;
}

/* Takes the path. */
static int add_source(struct sources *sources, char *path) {
  struct source source = {.name = path};
  if (!path)
    return fail(sources, NULL, -ENOMEM);
  if (sources->n == SOURCES_MAX)
    return fail(sources, path, -E2BIG);
  int r = read_data(path, &source.data, &source.n);
  if (r < 0)
    return fail(sources, path, r);
  sources->items[sources->n++] = source;
  return 0;
}

static int is_pool_file(const struct dirent *entry) {
  size_t n = strlen(entry->d_name), suffix = strlen(POOL_SUFFIX);
  return entry->d_name[0] != '.' && n > suffix && strcmp(entry->d_name + n - suffix, POOL_SUFFIX) == 0;
}

/* Not alphasort, whose order is that of the locale. */
static int by_bytes(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

static char *join(const char *directory, const char *name) {
  char *path;
  return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

static int read_pools(struct sources *sources, const char *directory) {
  struct dirent **entries;
  int n = scandir(directory, &entries, is_pool_file, by_bytes), error = errno;
  if (n < 0)
    return error == ENOENT ? 0 : fail(sources, strdup(directory), -error);
  int r = 0;
  for (int i = 0; i < n; i++) {
    if (r == 0)
      r = add_source(sources, join(directory, entries[i]->d_name));
    free(entries[i]);
  }
  free(entries);
  return r;
}

int sources__read(struct sources *ret, const char *path) {
  *ret = (struct sources){0};
  int r = add_source(ret, strdup(path));
  if (r < 0)
    return r;
  const char *slash = strrchr(path, '/');
  _cleanup_free_ char *pools = NULL;
  if (asprintf(&pools, "%.*s" POOLS_DIRECTORY, slash ? (int)(slash - path + 1) : 0, path) < 0) {
    pools = NULL;
    return fail(ret, NULL, -ENOMEM);
  }
  return read_pools(ret, pools);
}

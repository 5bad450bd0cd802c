/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "proccgroup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kernfile.h"

bool proccgroup__line_is_within(const char *line, const char *path) {
  const char *controllers = strchr(line, ':'), *at = controllers ? strchr(controllers + 1, ':') : NULL;
  size_t n = strlen(path);

  while (n > 0 && path[n - 1] == '/')
    n--;
  if (!at || at[1] != '/' || path[0] != '/')
    return false;
  return strncmp(at + 1, path, n) == 0 && (at[1 + n] == '\0' || at[1 + n] == '/');
}

struct search {
  const char *path;
  bool found;
};

static bool look(const char *line, void *arg) {
  struct search *search = arg;

  search->found = proccgroup__line_is_within(line, search->path);
  return !search->found;
}

int proccgroup__is_within(pid_t pid, const char *path) {
  struct search search = {.path = path};
  char name[48];
  int err;

  (void)snprintf(name, sizeof(name), "/proc/%d/cgroup", pid);
  err = kernfile__each_line(name, look, &search);
  if (err)
    return err == -ENOENT ? -ESRCH : err;
  return search.found;
}

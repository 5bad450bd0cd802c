/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cleanup.h"
#include "kernfile.h"
#include "pidfd.h"
#include "rundir.h"

/* Up to 5.13: so many are seen at one look, and so often it is looked whether others have come. */
#define KILL_MAX 1024
#define LOOKS_MAX 8

static int open_directory(int dirfd, const char *path) {
  int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

  return fd < 0 ? -errno : fd;
}

static int put(int dirfd, const char *file, const char *value) {
  _cleanup_fd_ int fd = openat(dirfd, file, O_WRONLY | O_CLOEXEC);

  if (fd < 0)
    return -errno;
  return write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

static int get(int dirfd, const char *file, char *to, size_t size) {
  _cleanup_fd_ int fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? -1 : read(fd, to, size - 1);

  if (got < 0)
    return -errno;
  to[got] = '\0';
  return 0;
}

/* Where the kernel says that we are. */

static bool take_mount(const char *line, void *arg) {
  char path[PATH_MAX], kind[32];

  if (sscanf(line, "%*s %4095s %31s", path, kind) != 2 || strcmp(kind, "cgroup2") != 0)
    return true;
  (void)snprintf(arg, PATH_MAX, "%s", path);
  return false;
}

static bool take_own(const char *line, void *arg) {
  if (strncmp(line, "0::/", 4) != 0)
    return true;
  (void)snprintf(arg, PATH_MAX, "%s", line + 3);
  return false;
}

static bool is_delegated(int fd) {
  char value[8];

  return fgetxattr(fd, "user.delegate", value, sizeof(value)) > 0;
}

/* The cgroup to divide. *ret_own: we live in it ourselves. */
static int open_ours(bool *ret_own) {
  char mount[PATH_MAX] = "", own[PATH_MAX] = "", path[2 * PATH_MAX];
  int err = kernfile__each_line("/proc/self/mounts", take_mount, mount);

  if (!err)
    err = kernfile__each_line("/proc/self/cgroup", take_own, own);
  if (err || !*mount || !*own)
    return err ? err : -ENOENT;
  (void)snprintf(path, sizeof(path), "%s%s", mount, own);
  _cleanup_fd_ int fd = open_directory(AT_FDCWD, path);
  if (fd < 0)
    return fd;
  _cleanup_fd_ int above = strcmp(own, "/") != 0 ? open_directory(fd, "..") : -1;
  *ret_own = is_delegated(fd) || above < 0 || !is_delegated(above);
  return steal_fd(*ret_own ? &fd : &above);
}

int cgroup__open(int run_dirfd) {
  char name[64];
  bool own;
  int err = rundir__tag(run_dirfd, name, sizeof(name));
  _cleanup_fd_ int above = err ? err : open_ours(&own);

  if (above < 0)
    return above;
  if (mkdirat(above, name, 0755) && errno != EEXIST)
    return -errno;
  int fd = open_directory(above, name);
  if (fd >= 0)
    (void)cgroup__sweep(fd);
  return fd;
}

void cgroup__close(int dirfd, int run_dirfd) {
  _cleanup_fd_ int fd = dirfd, above = open_directory(dirfd, "..");
  char name[64];

  if (fd < 0 || above < 0 || rundir__tag(run_dirfd, name, sizeof(name)))
    return;
  (void)cgroup__sweep(fd);
  (void)unlinkat(above, name, AT_REMOVEDIR);
}

int cgroup__make(int dirfd, const char *name) {
  return mkdirat(dirfd, name, 0755) ? -errno : open_directory(dirfd, name);
}

int cgroup__find(int dirfd, const char *name) {
  return open_directory(dirfd, name);
}

struct sweep {
  int dirfd;
  int depth; /* of cgroups beneath; only a worker that may write here makes any, as many as it likes */
  int result;
};
#define DEPTH_MAX 8

static int sweep_below(int dirfd, int depth);

/* The kernel says no where somebody is in, or where another one lies beneath. */
static int remove_from(int dirfd, const char *name, int depth) {
  if (!unlinkat(dirfd, name, AT_REMOVEDIR) || errno == ENOENT)
    return 0;
  if (errno != EBUSY || depth == DEPTH_MAX)
    return -errno;
  _cleanup_fd_ int leaf = open_directory(dirfd, name);
  bool empty = cgroup__populated(leaf) == 0 && sweep_below(leaf, depth + 1) == 0;
  return empty && !unlinkat(dirfd, name, AT_REMOVEDIR) ? 0 : -EBUSY;
}

static int sweep_one(const char *name, void *arg) {
  struct sweep *sweep = arg;
  struct stat status;

  if (name[0] != '.' && !fstatat(sweep->dirfd, name, &status, AT_SYMLINK_NOFOLLOW) && S_ISDIR(status.st_mode) &&
      remove_from(sweep->dirfd, name, sweep->depth))
    sweep->result = -EBUSY;
  return 0;
}

static int sweep_below(int dirfd, int depth) {
  _cleanup_fd_ int fd = open_directory(dirfd, ".");
  struct sweep sweep = {.dirfd = dirfd, .depth = depth};
  int err = fd < 0 ? fd : kernfile__each_name(fd, sweep_one, &sweep);

  return err ? err : sweep.result;
}

int cgroup__remove(int dirfd, const char *name) {
  return remove_from(dirfd, name, 0);
}

int cgroup__sweep(int dirfd) {
  return sweep_below(dirfd, 0);
}

/*
 * A controller comes down one level at a time. Where we live in the upper one ourselves we leave it alone: no process could
 * be put there any more while workers are beneath it, so the service manager could not start us again. The root of all is
 * an exception.
 */
static int switch_pids_on(int dirfd) {
  char text[256];
  bool own = true;
  _cleanup_fd_ int above = open_ours(&own);

  if (above < 0 || get(dirfd, "cgroup.controllers", text, sizeof(text)))
    return -ENOENT;
  bool root = faccessat(above, "cgroup.type", F_OK, 0) != 0;
  if (!strstr(text, "pids") && (!own || root))
    (void)put(above, "cgroup.subtree_control", "+pids");
  return put(dirfd, "cgroup.subtree_control", "+pids");
}

int cgroup__limit_pids(int dirfd, int leaf, uint32_t most) {
  char value[16];
  int err;

  (void)snprintf(value, sizeof(value), "%u", most);
  err = put(leaf, "pids.max", value);
  if (err != -ENOENT || switch_pids_on(dirfd))
    return err;
  return put(leaf, "pids.max", value);
}

uint64_t cgroup__refused_pids(int leaf) {
  char text[256];
  uint64_t refused;

  return get(leaf, "pids.events", text, sizeof(text)) || kernfile__number(text, "max", &refused) ? 0 : refused;
}

int cgroup__populated(int leaf) {
  char text[256];
  uint64_t populated;
  int err = get(leaf, "cgroup.events", text, sizeof(text));

  if (!err)
    err = kernfile__number(text, "populated", &populated);
  return err ? err : populated != 0;
}

struct listing {
  pid_t *to;
  size_t n, max;
};

static int take_member(uint64_t pid, void *arg) {
  struct listing *listing = arg;

  if (pid > 0) /* 0: of another pid namespace than ours */
    listing->to[listing->n++] = (pid_t)pid;
  return listing->n == listing->max;
}

int cgroup__members(int leaf, pid_t *to, size_t max) {
  _cleanup_fd_ int fd = openat(leaf, "cgroup.procs", O_RDONLY | O_CLOEXEC);
  struct listing listing = {.to = to, .max = max};

  if (fd < 0)
    return -errno;
  int err = kernfile__each_number(fd, take_member, &listing);
  return err < 0 ? err : (int)listing.n;
}

static int is_it(uint64_t pid, void *arg) {
  return (pid_t)pid == *(pid_t *)arg;
}

static int holds(int leaf, pid_t pid) {
  _cleanup_fd_ int fd = openat(leaf, "cgroup.procs", O_RDONLY | O_CLOEXEC);

  return fd < 0 ? -errno : kernfile__each_number(fd, is_it, &pid);
}

/* Opened before the look: if it lives when the signal is sent, it has borne the pid all the time, so it is the one that
 * was in there. */
int cgroup__signal(int leaf, pid_t pid, int signal) {
  _cleanup_fd_ int fd = pidfd__open(pid);
  int held = fd < 0 ? fd : holds(leaf, pid);

  return held < 0 ? held : held ? pidfd__signal(fd, signal) : -ESRCH;
}

static int kill_each(int leaf) {
  static pid_t pids[KILL_MAX];
  int n = 1;

  (void)put(leaf, "cgroup.freeze", "1"); /* takes a moment; SIGKILL ends the frozen, too */
  for (int look = 0; look < LOOKS_MAX && n > 0; look++) {
    n = cgroup__members(leaf, pids, KILL_MAX);
    for (int i = 0; i < n; i++)
      (void)cgroup__signal(leaf, pids[i], SIGKILL);
  }
  return n < 0 ? n : 0;
}

int cgroup__kill(int leaf) {
  int err = put(leaf, "cgroup.kill", "1");

  return err == -ENOENT ? kill_each(leaf) : err;
}

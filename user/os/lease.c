/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cleanup.h"
#include "ebb/lease.h"
#include "fault.h"
#include "kernfile.h"

static int write_at(int fd, const void *bytes, size_t n, off_t at) {
  ssize_t written = pwrite(fd, bytes, n, at);

  if (written < 0)
    return -errno;
  return (size_t)written == n ? 0 : -EIO;
}

/* Locked before it is given away, so that nobody can be quicker; modes before the owner, because changing the mode of
 * somebody else's file would take CAP_FOWNER. */
static int set_up(int fd, uid_t uid, gid_t gid) {
  static const char blank[EBB_LEASE_BYTES] = {EBB_ORDER_RUN, '\n'};
  int err = lease__try_lock(fd);

  if (!err)
    err = FAULT_FAILS(NO_LEASE_ROOM) ? -errno : write_at(fd, blank, sizeof(blank), 0);
  if (!err && fchmod(fd, 0660))
    err = -errno;
  if (!err && fchown(fd, uid, gid))
    err = -errno;
  return err;
}

int lease__create(int dirfd, const char *name, uid_t uid, gid_t gid) {
  const int flags = O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC;
  _cleanup_fd_ int fd = FAULT_FAILS(NO_LEASE_FILE) ? -1 : openat(dirfd, name, flags, 0600);
  int err;

  if (fd < 0)
    return -errno;
  err = set_up(fd, uid, gid);
  if (err) {
    (void)unlinkat(dirfd, name, 0);
    return err;
  }
  return steal_fd(&fd);
}

/* O_NONBLOCK: should somebody have put a FIFO there, opening it must not hang. */
static int open_as_it_is(int dirfd, const char *name) {
  return openat(dirfd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* Its worker has changed mode or group, and we may not override that: set it right as its owner may. No name in this
 * directory changes its file meanwhile: it is ours. */
static int open_as_owner(int dirfd, const char *name) {
  struct stat st;
  int fd = -1, before;

  if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode)) {
    errno = EACCES;
    return -1;
  }
  before = setfsuid(st.st_uid);
  if (!fchmodat(dirfd, name, 0660, 0))
    fd = open_as_it_is(dirfd, name);
  (void)setfsuid((uid_t)before);
  return fd;
}

int lease__open(int dirfd, const char *name) {
  _cleanup_fd_ int fd = open_as_it_is(dirfd, name);
  struct stat st;

  if (fd < 0 && errno == EACCES)
    fd = open_as_owner(dirfd, name);
  if (fd < 0)
    return errno == EISDIR || errno == ENXIO ? -EPROTO : -errno;
  if (fstat(fd, &st))
    return -errno;
  if (!S_ISREG(st.st_mode))
    return -EPROTO;
  return steal_fd(&fd);
}

int lease__order(int fd, char order) {
  if (FAULT_FAILS(NO_ORDER))
    return -errno;
  return write_at(fd, &order, 1, 0);
}

int lease__try_lock(int fd) {
  return flock(fd, LOCK_EX | LOCK_NB) ? -errno : 0;
}

int lease__unlock(int fd) {
  return flock(fd, LOCK_UN) ? -errno : 0;
}

int lease__read(int fd, char *to) {
  char bytes[EBB_LEASE_BYTES] = {0};

  if (pread(fd, bytes, sizeof(bytes), 0) < 0)
    return -errno;
  memcpy(to, bytes, sizeof(bytes));
  return 0;
}

/* "<mount id> <parent> <major>:<minor> …" */
struct mount_search {
  uint64_t id;
  struct lease_key *key;
};

static bool is_mount(const char *line, void *arg) {
  struct mount_search *search = arg;
  uint64_t id;
  uint32_t major, minor;

  if (sscanf(line, "%lu %*u %u:%u", &id, &major, &minor) != 3 || id != search->id)
    return true;
  search->key->major = major;
  search->key->minor = minor;
  return false;
}

/*
 * /proc/locks (and eBPF) name the device of the superblock and the inode in memory. On btrfs and some kinds of
 * overlayfs stat(2) answers with others, made up for each subvolume or layer; fdinfo and mountinfo tell the true ones.
 */
int lease__key(int fd, struct lease_key *ret) {
  char path[64], info[4096];
  struct mount_search search;
  struct lease_key key;
  struct stat st;

  if (FAULT_FAILS(NO_LEASE_KEY) || fstat(fd, &st))
    return -errno;
  key = (struct lease_key){.major = major(st.st_dev), .minor = minor(st.st_dev), .inode = st.st_ino};
  (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
  if (!kernfile__read(path, info, sizeof(info)) && !kernfile__number(info, "mnt_id:", &search.id)) {
    (void)kernfile__number(info, "ino:", &key.inode); /* from 5.14 on */
    search.key = &key;
    (void)kernfile__each_line("/proc/self/mountinfo", is_mount, &search);
  }
  *ret = key;
  return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "pindir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "rundir.h"

#define BPFFS "/sys/fs/bpf"

static bool is_mounted(void) {
  struct statfs fs;
  return !statfs(BPFFS, &fs) && (uint32_t)fs.f_type == BPF_FS_MAGIC;
}

static int mount_it(void) {
  if (is_mounted())
    return 0;
  return mount("bpf", BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") ? -errno : 0;
}

/* Of the names of its directories, one for each version. Names in bpffs hold no dots. */
static int prefix_of(int run_dirfd, char *to, size_t size) {
  char tag[48];
  int r = rundir__tag(run_dirfd, tag, sizeof(tag));
  if (!r)
    (void)snprintf(to, size, "%s-", tag);
  return r;
}

int pindir__make(int run_dirfd, uint64_t version, char ret_path[PINDIR_PATH_BYTES]) {
  char prefix[64], path[PINDIR_PATH_BYTES];
  struct stat status;
  int r = prefix_of(run_dirfd, prefix, sizeof(prefix));
  if (!r)
    r = mount_it();
  if (r)
    return r;
  (void)snprintf(path, sizeof(path), BPFFS "/%s%llx", prefix, (unsigned long long)version);
  if (mkdir(path, 0700) && errno != EEXIST)
    return -errno;
  /* Where bpffs was mounted open to all, somebody else may have been here first. */
  if (lstat(path, &status))
    return -errno;
  if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || status.st_mode & (S_IWGRP | S_IWOTH))
    return -EPERM;
  memcpy(ret_path, path, sizeof(path));
  return 0;
}

static void remove_one(int dirfd, const char *name) {
  _cleanup_fd_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *dir = fd < 0 ? NULL : fdopendir(dup(fd));
  for (struct dirent *entry; dir && (entry = readdir(dir));)
    if (entry->d_name[0] != '.')
      (void)unlinkat(fd, entry->d_name, 0);
  if (dir)
    (void)closedir(dir);
  (void)unlinkat(dirfd, name, AT_REMOVEDIR);
}

void pindir__remove(int run_dirfd, uint64_t keep) {
  char prefix[64], kept[PINDIR_PATH_BYTES];
  if (!is_mounted() || prefix_of(run_dirfd, prefix, sizeof(prefix)))
    return;
  (void)snprintf(kept, sizeof(kept), "%s%llx", prefix, (unsigned long long)keep);
  DIR *dir = opendir(BPFFS);
  for (struct dirent *entry; dir && (entry = readdir(dir));)
    if (!strncmp(entry->d_name, prefix, strlen(prefix)) && strcmp(entry->d_name, kept) != 0)
      remove_one(dirfd(dir), entry->d_name);
  if (dir)
    (void)closedir(dir);
}

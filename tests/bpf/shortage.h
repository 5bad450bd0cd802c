/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Where memory is short without the machine's noticing: a memory cgroup with a small limit, the cgroup-v2 leaf whose
 * memory.pressure is the oracle (one and the same where version 2 has the memory controller), and swap to go with it.
 */
#ifndef TESTS_SHORTAGE_H
#define TESTS_SHORTAGE_H

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "kernfile.h"
#include "psi.h"

/* Above that of whatever else swaps here. */
#define SWAP_PRIORITY 1000

/* A folder on a disk: what is in memory anyway cannot be waited for. */
static inline const char *disk(void) {
  const char *named = getenv("EBB_TEST_DISK");
  return named ? named : "/var/tmp";
}

static inline bool is_on_disk(const char *path) {
  struct statfs fs;
  return !statfs(path, &fs) && fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC;
}

struct shortage {
  char leaf[96];  /* of version 2 */
  char limit[96]; /* empty: the leaf itself is limited */
  char slow[96];  /* empty: likewise */
  bool slowed;
  uint64_t bytes; /* the limit */
};

struct swap_space {
  char path[128]; /* empty: none */
  int zram;       /* number of the device; -1: a file */
};

static inline int set_in(const char *group, const char *key, const char *value) {
  char path[160];
  (void)snprintf(path, sizeof(path), "%s/%s", group, key);
  return kernfile__write(path, value);
}

static inline int set_number_in(const char *group, const char *key, uint64_t value) {
  char text[32];
  (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
  return set_in(group, key, text);
}

/* Remove what is left of it; its processes have been reaped. */
static inline void shortage__end(struct shortage *shortage) {
  const char *groups[] = {shortage->leaf, shortage->limit, shortage->slow};
  for (int i = 0; i < 3; i++)
    for (int tries = 0; groups[i][0] && rmdir(groups[i]) && errno == EBUSY && tries < 2000; tries++)
      (void)usleep(1000);
  *shortage = (struct shortage){.leaf = ""};
}

/* Negative errno: this machine has no such cgroups, or does not let us. */
static inline int shortage__begin(struct shortage *ret, int number, uint64_t bytes) {
  bool hybrid = !access("/sys/fs/cgroup/unified/cgroup.procs", F_OK);
  const char *mount = hybrid ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup";
  struct shortage shortage = {.bytes = bytes};
  (void)snprintf(shortage.leaf, sizeof(shortage.leaf), "%s/ebb-test-%d-%d", mount, (int)getpid(), number);
  if (!hybrid)
    (void)set_in(mount, "cgroup.subtree_control", "+memory");
  if (mkdir(shortage.leaf, 0755))
    return -errno;
  int r = hybrid ? -ENOENT : set_number_in(shortage.leaf, "memory.max", bytes);
  if (r == -ENOENT) {
    (void)snprintf(shortage.limit, sizeof(shortage.limit), "/sys/fs/cgroup/memory/ebb-test-%d-%d", (int)getpid(),
                   number);
    r = mkdir(shortage.limit, 0755) ? -errno : set_number_in(shortage.limit, "memory.limit_in_bytes", bytes);
  }
  if (!r && shortage.limit[0])
    r = set_in(shortage.limit, "memory.oom_control", "1");
  struct psi_totals totals;
  char path[128];
  (void)snprintf(path, sizeof(path), "%s/memory.pressure", shortage.leaf);
  if (!r)
    r = psi__read(path, &totals);
  if (r)
    shortage__end(&shortage);
  else
    *ret = shortage;
  return r;
}

static inline int shortage__enter(const struct shortage *shortage, pid_t pid) {
  int r = set_number_in(shortage->leaf, "cgroup.procs", (uint64_t)pid);
  return r || !shortage->limit[0] ? r : set_number_in(shortage->limit, "cgroup.procs", (uint64_t)pid);
}

/* Reclaim may be unlucky too often in a row. With version 1 the worker then waits for somebody to help; else it is dead. */
static inline void shortage__help(struct shortage *shortage) {
  char path[128], text[128];
  uint64_t stuck = 0;
  (void)snprintf(path, sizeof(path), "%s/memory.oom_control", shortage->limit);
  if (!shortage->limit[0] || kernfile__read(path, text, sizeof(text)) || kernfile__number(text, "under_oom", &stuck) ||
      !stuck)
    return;
  shortage->bytes += 64 * 1024;
  (void)set_number_in(shortage->limit, "memory.limit_in_bytes", shortage->bytes);
}

/* Let one of its processes read from the device of a file that slowly; 0: as fast as it goes. 0 or negative errno. */
static inline int shortage__slow(struct shortage *shortage, pid_t pid, const char *path, unsigned bytes_per_s) {
  struct stat st;
  char value[64], text[32] = "max";
  bool first = !shortage->slow[0], alone = !shortage->limit[0];
  if (!bytes_per_s && !shortage->slowed)
    return 0;
  if (stat(path, &st))
    return -errno;
  shortage->slowed = true;
  (void)snprintf(value, sizeof(value), "%u:%u %u", major(st.st_dev), minor(st.st_dev), bytes_per_s);
  if (alone) {
    if (bytes_per_s)
      (void)snprintf(text, sizeof(text), "%u", bytes_per_s);
    (void)snprintf(value, sizeof(value), "%u:%u rbps=%s", major(st.st_dev), minor(st.st_dev), text);
    (void)set_in("/sys/fs/cgroup", "cgroup.subtree_control", "+io");
    return set_in(shortage->leaf, "io.max", value);
  }
  if (first) {
    (void)snprintf(shortage->slow, sizeof(shortage->slow), "/sys/fs/cgroup/blkio/%s", strrchr(shortage->leaf, '/') + 1);
    if (mkdir(shortage->slow, 0755)) {
      shortage->slow[0] = 0;
      return -errno;
    }
  }
  int r = set_in(shortage->slow, "blkio.throttle.read_bps_device", value);
  return r || !first ? r : set_number_in(shortage->slow, "cgroup.procs", (uint64_t)pid);
}

/* What the kernel says of its stall so far. */
static inline uint64_t shortage__stall_us(const struct shortage *shortage) {
  struct psi_totals totals;
  char path[128];
  (void)snprintf(path, sizeof(path), "%s/memory.pressure", shortage->leaf);
  assert_int_equal(psi__read(path, &totals), 0);
  return totals.some_us;
}

/* What mkswap writes: version, last page, and the magic word at the end of the first page. */
static inline int sign_swap(int fd, uint64_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *header = calloc(1, page);
  uint32_t numbers[] = {1, (uint32_t)(bytes / page - 1)};
  memcpy(header + 1024, numbers, sizeof(numbers));
  memcpy(header + page - 10, "SWAPSPACE2", 10);
  ssize_t n = pwrite(fd, header, page, 0);
  free(header);
  return n == (ssize_t)page && !fsync(fd) ? 0 : -EIO;
}

static inline void swap_space__end(struct swap_space *swap) {
  if (swap->path[0])
    (void)swapoff(swap->path);
  if (swap->path[0] && swap->zram < 0)
    (void)unlink(swap->path);
  if (swap->zram >= 0) {
    char device[32];
    (void)snprintf(device, sizeof(device), "/sys/block/zram%d", swap->zram);
    (void)set_in(device, "reset", "1");
    (void)set_number_in("/sys/class/zram-control", "hot_remove", (uint64_t)swap->zram);
  }
  *swap = (struct swap_space){.zram = -1};
}

static inline int swap_space__on(struct swap_space *swap, int fd, uint64_t bytes) {
  int r = fd < 0 ? -errno : sign_swap(fd, bytes);
  if (fd >= 0)
    (void)close(fd);
  if (!r && swapon(swap->path, SWAP_FLAG_PREFER | SWAP_PRIORITY))
    r = -errno;
  if (r)
    swap_space__end(swap);
  return r;
}

/* On a disk. 0 or negative errno. */
static inline int swap_space__file(struct swap_space *ret, uint64_t bytes) {
  ret->zram = -1;
  (void)snprintf(ret->path, sizeof(ret->path), "%s/ebb-test-swap.%d", disk(), (int)getpid());
  int fd = open(ret->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  int r = fd < 0 ? -errno : -posix_fallocate(fd, 0, (off_t)bytes);
  if (!r)
    return swap_space__on(ret, fd, bytes);
  (void)close(fd);
  swap_space__end(ret);
  return r;
}

/* In memory, compressed: waits for it are spent on the CPU. 0, or negative errno where there is no zram. */
static inline int swap_space__zram(struct swap_space *ret, uint64_t bytes) {
  char text[32], device[64];
  if (access("/sys/class/zram-control/hot_add", F_OK))
    (void)!system("modprobe zram >/dev/null 2>&1");
  int r = kernfile__read("/sys/class/zram-control/hot_add", text, sizeof(text));
  if (r)
    return r;
  ret->zram = atoi(text);
  (void)snprintf(ret->path, sizeof(ret->path), "/dev/zram%d", ret->zram);
  (void)snprintf(device, sizeof(device), "/sys/block/zram%d", ret->zram);
  r = set_number_in(device, "disksize", bytes);
  if (r) {
    ret->path[0] = 0;
    swap_space__end(ret);
    return r;
  }
  return swap_space__on(ret, open(ret->path, O_RDWR | O_CLOEXEC), bytes);
}

#endif

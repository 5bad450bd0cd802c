/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Any table of processes (parents that are nobody's, circles, groups and sessions of others) and any list of children: is
 * each process put down to the worker that it descends from, or that its numbers or its lease name, never we ourselves,
 * nor one whose root is another process by now?
 *
 * family.c reads a /proc of ours in place of the kernel's.
 */
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "procstat.h"

#define PROCESSES 12
#define ROOTS 3

static int told_open(const char *path);
static int told_stat(pid_t pid, struct procstat *ret);
static int told_environment(pid_t pid, const char *name, char *to, size_t size);
static ssize_t told_entries(int fd, void *to, size_t size);
static ssize_t told_bytes(int fd, void *to, size_t size);
static pid_t told_pid(void);

#define open(path, ...) told_open(path)
#define procstat__read told_stat
#define procenv__read told_environment
#define getdents64 told_entries
#define read told_bytes
#define getpid told_pid
#include "../../user/os/family.c"
#include "../../user/os/kernfile.c"
#undef open
#undef read
#undef getpid

/* The processes are numbered from 1 on, so that any may be any other's parent; 1 is init and 2 is we. */
static struct told {
  struct procstat stat;
  uint8_t lease; /* of which root; others: of none */
} told[PROCESSES + 1];
static pid_t n_told, next_entry;
static struct bytes children;

static bool is_told(pid_t pid) {
  return pid > 0 && pid <= n_told && told[pid].stat.state != '-';
}

static int told_open(const char *path) {
  MUST(!strncmp(path, "/proc", 5));
  return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static pid_t told_pid(void) {
  return 2;
}

static int told_stat(pid_t pid, struct procstat *ret) {
  if (!is_told(pid))
    return -ESRCH;
  *ret = told[pid].stat;
  return 0;
}

static int told_environment(pid_t pid, const char *name, char *to, size_t size) {
  MUST(!strcmp(name, EBB_LEASE_ENV));
  if (told[pid].lease >= ROOTS)
    return told[pid].lease & 1 ? -ENOENT : -EACCES;
  (void)snprintf(to, size, "/run/ebb/lease/%d", told[pid].lease);
  return 0;
}

static ssize_t told_entries(int fd, void *to, size_t size) {
  struct dirent64 *entry = to;
  (void)fd;
  MUST(size >= sizeof(*entry));
  if (next_entry > n_told)
    return 0;
  *entry = (struct dirent64){.d_reclen = sizeof(*entry)};
  (void)snprintf(entry->d_name, sizeof(entry->d_name), next_entry == 0 ? "self" : "%d", next_entry);
  next_entry++;
  return sizeof(*entry);
}

static ssize_t told_bytes(int fd, void *to, size_t size) {
  (void)fd;
  size_t n = children.left < size ? children.left : size;
  n = n > 7 ? 7 : n; /* numbers are cut in two */
  take_bytes(&children, to, n);
  return (ssize_t)n;
}

static void take_table(struct bytes *bytes) {
  n_told = 3 + take_byte(bytes) % (PROCESSES - 2);
  for (pid_t pid = 1; pid <= n_told; pid++) {
    uint8_t state = take_byte(bytes), lease = take_byte(bytes);
    told[pid] = (struct told){.lease = lease};
    told[pid].stat = (struct procstat){
        .pid = pid,
        .ppid = take_byte(bytes) % (PROCESSES + 2) - 1,
        .pgid = take_byte(bytes) % (PROCESSES + 2) - 1,
        .session = take_byte(bytes) % (PROCESSES + 2) - 1,
        .state = "SSSRZXD-"[state % 8],
        .threads = 1 + (state >> 7),
        .start_time = 100 + (state >> 3 & 1),
    };
  }
  told[2].stat.state = 'R';
  told[2].stat.start_time = 200;
}

static bool is_of(pid_t pid, uint32_t root, const struct family_member *members, int n) {
  for (int i = 0; i < n; i++)
    if (members[i].pid == pid)
      return members[i].root == root;
  return false;
}

/* A group's or session's number is the worker's as long as nobody else bears it as his pid. */
static bool names_root(const struct family_member *member, pid_t root, const struct family_member *members, int n) {
  const struct procstat *stat = &told[member->pid].stat;
  bool anothers = is_told(root) && !is_of(root, member->root, members, n);
  return root > 0 && !anothers && (stat->pgid == root || stat->session == root);
}

/* Why a process may belong to a worker: it is its root, or its parent belongs there, or its numbers or its lease say so. */
static bool has_ground(const struct family_root *root, const struct family_member *member,
                       const struct family_member *members, int n) {
  const struct procstat *stat = &told[member->pid].stat;
  bool is_root = member->pid == root->pid && (!root->start_time || root->start_time == stat->start_time);
  return is_root || is_of(stat->ppid, member->root, members, n) || names_root(member, root->pid, members, n) ||
         told[member->pid].lease == member->root;
}

static void check_scan(struct bytes *bytes) {
  static const char *const leases[ROOTS] = {"/run/ebb/lease/0", "/run/ebb/lease/1", "/run/ebb/lease/2"};
  struct family_root roots[ROOTS];
  struct family_member members[PROCESSES];
  uint8_t max = take_byte(bytes);
  for (int i = 0; i < ROOTS; i++) {
    uint8_t pid = take_byte(bytes);
    roots[i] = (struct family_root){.pid = pid % (PROCESSES + 2), .lease = pid & 0x80 ? NULL : leases[i]};
    roots[i].start_time = pid & 0x40 || roots[i].pid == 2 ? 100 : 0; /* our pid was a worker's once */
  }
  next_entry = 0;
  int n = family__scan(roots, ROOTS, members, PROCESSES);
  MUST(n >= 0 && n <= n_told);
  for (int i = 0; i < n; i++) {
    MUST(members[i].pid != 2 && members[i].pid > 0 && members[i].pid <= n_told && members[i].root < ROOTS);
    MUST(i == 0 || members[i].pid > members[i - 1].pid);
    MUST(members[i].ppid == told[members[i].pid].stat.ppid);
    MUST(has_ground(&roots[members[i].root], &members[i], members, n));
  }
  next_entry = 0;
  int fewer = family__scan(roots, ROOTS, members, max % PROCESSES);
  MUST(fewer == (n < max % PROCESSES ? n : max % PROCESSES));
}

/* Children. */

struct asked {
  size_t n;
  uint64_t sum;
};

static enum family_child is_known(pid_t pid, void *arg) {
  struct asked *asked = arg;
  asked->n++;
  asked->sum += (unsigned)pid;
  return pid % 2 ? FAMILY_CHILD_STRAY : FAMILY_CHILD_KNOWN;
}

/* As the kernel writes them, with the input's numbers; and any bytes. */
static void check_children(const struct bytes *bytes) {
  char text[256], *to = text;
  struct asked asked = {0};
  uint64_t sum = 0;
  size_t n = bytes->left < 20 ? bytes->left : 20;
  bool odd = false;
  for (size_t i = 0; i < n; i++) {
    unsigned pid = 1 + bytes->at[i] * 16777u;
    to += sprintf(to, "%u ", pid);
    sum += pid;
    odd |= pid % 2;
  }
  children = (struct bytes){(const uint8_t *)text, (size_t)(to - text)};
  n_told = next_entry = 2; /* one thread, ours */
  MUST(family__has_strays(is_known, &asked) == odd);
  MUST(asked.n == n && asked.sum == sum);
  children = *bytes;
  next_entry = 2;
  MUST(family__has_strays(is_known, &asked) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  struct bytes bytes = {data, n};
  take_table(&bytes);
  check_scan(&bytes);
  check_children(&bytes);
  return 0;
}

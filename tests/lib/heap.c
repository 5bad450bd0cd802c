/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The malloc hook: preloaded into the daemons as they are, it counts each call that takes memory from the heap or maps some,
 * and who made it, in the file EBB_HEAP/<program>.<pid>. Whoever reads that file at two moments knows what was allocated
 * between them. Programs other than the daemons are left alone.
 *
 * The file: the number of calls (8 bytes), then the last LINES of them, of LINE_BYTES each, NUL-terminated:
 * "malloc 24 /path/of/ebbd+0x1234 /path/of/libsystemd.so.0+0x5678 …", from the caller up.
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINES 64
#define LINE_BYTES 1024
#define DEPTH 14

struct heap {
  _Atomic uint64_t n;
  char lines[LINES][LINE_BYTES];
};

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *at, size_t n);
extern void *__libc_memalign(size_t alignment, size_t n);

static struct heap *heap; /* NULL: not one of the daemons */
static __thread int within __attribute__((tls_model("initial-exec")));

__attribute__((constructor)) static void begin(void) {
  const char *folder = getenv("EBB_HEAP"), *name = program_invocation_short_name;
  void *caller[1];
  char path[4096];
  if (!folder || (strcmp(name, "ebbd") != 0 && strcmp(name, "ebb-watch") != 0))
    return;
  (void)backtrace(caller, 1); /* the first one loads a library */
  (void)snprintf(path, sizeof(path), "%s/%s.%d", folder, name, (int)getpid());
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0 || ftruncate(fd, sizeof(*heap)))
    abort();
  void *at = (void *)syscall(SYS_mmap, NULL, sizeof(*heap), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED)
    abort();
  (void)close(fd);
  heap = at;
}

static void note(const char *what, size_t n) {
  if (!heap || within++)
    return;
  int saved = errno;
  void *callers[DEPTH];
  Dl_info found;
  char *line = heap->lines[atomic_load(&heap->n) % LINES];
  int depth = backtrace(callers, DEPTH), used = snprintf(line, LINE_BYTES, "%s %zu", what, n);
  for (int i = 2; i < depth && used < LINE_BYTES; i++)
    if (dladdr(callers[i], &found) && found.dli_fname)
      used += snprintf(line + used, (size_t)(LINE_BYTES - used), " %s+0x%zx", found.dli_fname,
                       (size_t)((char *)callers[i] - (char *)found.dli_fbase));
  (void)atomic_fetch_add(&heap->n, 1);
  errno = saved;
  within--;
}

void *malloc(size_t n) {
  note("malloc", n);
  return __libc_malloc(n);
}

void *calloc(size_t n, size_t size) {
  note("calloc", n * size);
  return __libc_calloc(n, size);
}

void *realloc(void *at, size_t n) {
  note("realloc", n);
  return __libc_realloc(at, n);
}

void *reallocarray(void *at, size_t n, size_t size) {
  size_t bytes;
  note("reallocarray", n * size);
  if (!__builtin_mul_overflow(n, size, &bytes))
    return __libc_realloc(at, bytes);
  errno = ENOMEM;
  return NULL;
}

void *memalign(size_t alignment, size_t n) {
  note("memalign", n);
  return __libc_memalign(alignment, n);
}

void *aligned_alloc(size_t alignment, size_t n) {
  note("aligned_alloc", n);
  return __libc_memalign(alignment, n);
}

int posix_memalign(void **ret, size_t alignment, size_t n) {
  note("posix_memalign", n);
  void *at = __libc_memalign(alignment, n);
  if (!at)
    return ENOMEM;
  *ret = at;
  return 0;
}

static void *map(void *at, size_t n, int protection, int flags, int fd, off_t offset) {
  return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset) {
  note("mmap", n);
  return map(at, n, protection, flags, fd, offset);
}

void *mmap64(void *at, size_t n, int protection, int flags, int fd, off_t offset) {
  note("mmap", n);
  return map(at, n, protection, flags, fd, offset);
}

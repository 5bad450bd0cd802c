/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Whether two processes are, in part, one: by kcmp(2). */
#ifndef OS_KCMP_H
#define OS_KCMP_H

#include <stdbool.h>
#include <sys/types.h>

/* Have both the same address space (vfork, CLONE_VM)? False also when the kernel does not tell us: it was built without
 * kcmp, or we may not look into one of them. */
bool kcmp__same_memory(pid_t a, pid_t b);

#endif

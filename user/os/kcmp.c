/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "kcmp.h"

#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

bool kcmp__same_memory(pid_t a, pid_t b) {
  return syscall(SYS_kcmp, a, b, KCMP_VM, 0, 0) == 0;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "pidfd.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1U << 2) /* Linux 6.9 */
#endif

int pidfd__open(pid_t pid) {
  long fd = syscall(SYS_pidfd_open, pid, 0);

  return fd < 0 ? -errno : (int)fd;
}

static int send_signal(int pidfd, int signal, unsigned int flags) {
  return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, flags) ? -errno : 0;
}

int pidfd__signal(int pidfd, int signal) {
  return send_signal(pidfd, signal, 0);
}

/* Older kernels refuse the flag with EINVAL; so does every kernel a signal that does not exist, and kill(2) says so. */
int pidfd__signal_group(int pidfd, pid_t pid, int signal) {
  int err;

  if (pid <= 1) /* kill(-1) is everybody */
    return -EINVAL;
  err = send_signal(pidfd, signal, PIDFD_SIGNAL_PROCESS_GROUP);
  if (err != -EINVAL)
    return err;
  return kill(-pid, signal) ? -errno : 0;
}

int pidfd__signal_group_or_process(int pidfd, int signal) {
  int err = send_signal(pidfd, signal, PIDFD_SIGNAL_PROCESS_GROUP);

  return err == -EINVAL ? pidfd__signal(pidfd, signal) : err;
}

int pidfd__wait(int pidfd, bool leave, int *ret_code, int *ret_signal) {
  siginfo_t info = {0};

  if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | (leave ? WNOWAIT : 0)))
    return -errno;
  if (!info.si_pid)
    return 0;
  *ret_code = info.si_code == CLD_EXITED ? info.si_status : -1;
  *ret_signal = info.si_code == CLD_EXITED ? -1 : info.si_status;
  return 1;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Processes by descriptor. */
#ifndef OS_PIDFD_H
#define OS_PIDFD_H

#include <stdbool.h>
#include <sys/types.h>

/* Descriptor (close-on-exec) or negative errno. */
int pidfd__open(pid_t pid);
int pidfd__signal(int pidfd, int signal);
/* To the process group that the process leads: PIDFD_SIGNAL_PROCESS_GROUP from 6.9 on, else kill(-pid) provided that
 * the caller has not reaped `pid` (so that its number cannot have been given to anyone else). */
int pidfd__signal_group(int pidfd, pid_t pid, int signal);
/* The same without a number: before 6.9 the process alone. */
int pidfd__signal_group_or_process(int pidfd, int signal);
/* Reap our child. 1 and how it ended (code for exit, signal otherwise; the other is -1), 0 when it still runs, negative
 * errno (-ECHILD: not our child, or reaped). With `leave`, it stays a zombie. */
int pidfd__wait(int pidfd, bool leave, int *ret_code, int *ret_signal);

#endif

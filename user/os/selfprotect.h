/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A daemon that must outlive the shortage that it fights. Each answers 0 or a negative errno; callers go on. */
#ifndef OS_SELFPROTECT_H
#define OS_SELFPROTECT_H

/* Lock pages as they are touched (MCL_ONFAULT), so that sparse maps stay sparse; and all code at once: what has not run yet
 * would have to come from the disk when it is wanted most. Also of what is mapped later. */
int selfprotect__lock_memory(void);
/* Have so much of the calling thread's stack at hand: more than the daemons ever use. */
#define SELFPROTECT_STACK_BYTES (128 * 1024)
void selfprotect__touch_stack(void);
/* Of this process, or of another one. */
int selfprotect__oom_score_adj(int value);
int selfprotect__oom_score_adj_of(int pid, int value);
/* A descriptor or two a worker: raise the soft limit of open files to the hard one. *ret_before: what it was. */
int selfprotect__open_files(unsigned long *ret_before);
/*
 * Run as soon as woken, also where others compute all the time: before all ordinary processes (SCHED_FIFO, not for children),
 * for who sleeps nearly always and does little; one that runs for 5 s without a sleep is killed (RLIMIT_RTTIME). Without the right to that (CAP_SYS_NICE) ask for short turns, 0.1 ms, which
 * needs none and gains no share of the CPU; up to 6.11 the kernel makes nothing of those.
 */
int selfprotect__run_soon(void);
/* Orphans of our children become our children. */
int selfprotect__subreaper(void);

#endif

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Programs that do nothing: what a program at these places costs in any case. Attached one at a time. */
#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf/rss_stat")
int floor_rss(void *context) {
  (void)context;
  return 0;
}

SEC("tp_btf/flock_lock_inode")
int floor_lock(void *context) {
  (void)context;
  return 0;
}

SEC("tp_btf/sched_switch")
int floor_switch(void *context) {
  (void)context;
  return 0;
}

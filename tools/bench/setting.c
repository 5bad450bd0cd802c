/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "setting.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "feed.h"
#include "floor.skel.h"

#define FAR_BYTES (1ULL << 36)
#define STRANGER_NEAR_BYTES (8 * MIB) /* over what the stranger holds, and far under the hands' ballast */
#define NEAR_MARGIN_BYTES (4 * MIB)   /* from what a hand will hold at most to its threshold */
#define EVENTS_MAX 256

static int empty__attach(struct setting *setting, enum hand_work work) {
  if (!setting->empty)
    setting->empty = floor__open_and_load();
  struct floor *empty = setting->empty;
  if (!empty)
    return -errno;
  struct bpf_program *program = work == HAND_LOCK     ? empty->progs.floor_lock
                                : work == HAND_SWITCH ? empty->progs.floor_switch
                                                      : empty->progs.floor_rss;
  empty->links.floor_rss = bpf_program__attach(program);
  return empty->links.floor_rss ? 0 : -errno;
}

static int follow(struct sensor *sensor, unsigned index, const struct hand *hand) {
  return sensor->ops->add(sensor, &(struct sensor_target){.worker = index,
                                                          .generation = 1,
                                                          .pid = hand->pid,
                                                          .lease_fd = hand->lease_fd,
                                                          .lease_path = hand->lease_path});
}

static int arm_near(struct sensor *sensor, unsigned index, const struct hand *hand, unsigned n_pieces) {
  struct sensor_reading r;
  int error = sensor->ops->read(sensor, index, true, &r);
  if (error)
    return error;
  uint64_t most = r.anon_bytes + r.shmem_bytes + r.swap_bytes + n_pieces * hand_work__piece_bytes(hand->work);
  sensor->ops->arm(sensor, index, most + NEAR_MARGIN_BYTES);
  return 0;
}

static int track(struct setting *setting, const struct hand *hands, unsigned n_hands, const unsigned *n_pieces) {
  struct sensor *sensor = setting->sensor;
  int error = 0;
  for (unsigned i = 0; i < n_hands && !error; i++)
    error = follow(sensor, i, &hands[i]);
  for (unsigned i = 0; i < n_hands && !error; i++)
    if (setting->variant->near)
      error = arm_near(sensor, i, &hands[i], n_pieces[i]);
    else
      sensor->ops->arm(sensor, i, FAR_BYTES);
  return error;
}

static int ours__attach(struct setting *setting, const struct hand *hands, unsigned n_hands, const unsigned *n_pieces,
                        const struct hand *stranger, char *why, size_t why_bytes) {
  const struct variant *variant = setting->variant;
  int error = feed__open(&(struct loader_options){0}, &setting->sensor, why, why_bytes);
  if (error)
    return error;
  struct sensor *sensor = setting->sensor;
  sensor->ops->set_level(sensor, variant->level);
  if (sensor->ops->level(sensor) != variant->level) {
    (void)snprintf(why, why_bytes, "this kernel has no such level");
    return -ENOTSUP;
  }
  if (variant->tracked) {
    error = track(setting, hands, n_hands, n_pieces);
  } else {
    error = follow(sensor, 0, stranger);
    sensor->ops->arm(sensor, 0, variant->near ? STRANGER_NEAR_BYTES : FAR_BYTES);
  }
  /* Only a sweep finds the address spaces. */
  return error ? error : sensor->ops->sweep(sensor);
}

/* Counts each change of a counter by process, which is what one would write to see who faults. Says when it is up. */
static int bpftrace__attach(struct setting *setting, char *why, size_t why_bytes) {
  int up[2];
  char line[256];
  if (pipe2(up, O_CLOEXEC))
    return -errno;
  setting->bpftrace = fork();
  if (!setting->bpftrace) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(up[1], STDOUT_FILENO);
    (void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
    (void)execlp("bpftrace", "bpftrace", "-B", "none", "-e",
                 "tracepoint:kmem:rss_stat { @[pid] = count(); } interval:ms:20 { printf(\"up\\n\"); }", (char *)NULL);
    _exit(127);
  }
  (void)close(up[1]);
  ssize_t n;
  do {
    n = read(up[0], line, sizeof(line) - 1);
    line[n > 0 ? n : 0] = 0;
  } while (n > 0 && !strstr(line, "up\n"));
  setting->up = up[0]; /* it ends when nobody reads what it says */
  if (n > 0)
    return 0;
  (void)snprintf(why, why_bytes, "bpftrace is not installed, or does not run here");
  return -ENOTSUP;
}

int setting__open(struct setting *setting, const struct variant *variant, const struct hand *hands, unsigned n_hands,
                  const unsigned *n_pieces, const struct hand *stranger, char *why, size_t why_bytes) {
  setting->variant = variant;
  int error = 0;
  switch (variant->kind) {
  case SETTING_NOTHING:
    break;
  case SETTING_EMPTY:
    error = empty__attach(setting, hands[0].work);
    break;
  case SETTING_OURS:
    error = ours__attach(setting, hands, n_hands, n_pieces, stranger, why, why_bytes);
    break;
  case SETTING_BPFTRACE:
    error = bpftrace__attach(setting, why, why_bytes);
    break;
  }
  if (error && !why[0])
    (void)snprintf(why, why_bytes, "%s", strerror(-error));
  if (error)
    setting__close(setting);
  return error;
}

bool setting__settle(struct setting *setting, unsigned n_hands) {
  struct sensor_event events[EVENTS_MAX];
  struct sensor *sensor = setting->sensor;
  if (!sensor)
    return true;
  while (sensor->ops->events(sensor, events, EVENTS_MAX) == EVENTS_MAX)
    ;
  for (unsigned i = 0; setting->variant->tracked && i < n_hands; i++)
    if (feed__of(sensor)->loader.workers[i].armed_pages == EBB_UNKNOWN)
      return false;
  return true;
}

void setting__close(struct setting *setting) {
  if (setting->empty && setting->empty->links.floor_rss) {
    (void)bpf_link__destroy(setting->empty->links.floor_rss);
    setting->empty->links.floor_rss = NULL;
  }
  if (setting->sensor)
    setting->sensor->ops->close(setting->sensor);
  setting->sensor = NULL;
  if (setting->bpftrace > 0) {
    (void)kill(setting->bpftrace, SIGKILL);
    (void)waitpid(setting->bpftrace, NULL, 0);
    (void)close(setting->up);
  }
  setting->bpftrace = 0;
}

void setting__done(struct setting *setting) {
  setting__close(setting);
  if (setting->empty)
    floor__destroy(setting->empty);
  setting->empty = NULL;
}

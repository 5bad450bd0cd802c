/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A reader of a shared record and its writer, step by step in any order, the writer dying anywhere: is what the reader
 * takes for whole ever torn? Each version of the record is its number in every word.
 *
 * The input is what the writer does before each word that the reader copies: nothing, or some of its own steps.
 */
#include "fuzz.h"

#include <sched.h>
#include <unistd.h>

#include "seqfile.h"

#define WORDS 6
#define STEPS_MAX 400 /* of the reader: a schedule that goes on for ever is not more than a long one */

/* Nobody else is there to let run. */
int sched_yield(void) {
  return 0;
}

struct record {
  uint32_t seq, pad;
  uint64_t words[WORDS];
};

struct scene {
  struct bytes *schedule;
  struct seqfile_head head;
  struct seqfile file;
  struct record record;
  unsigned at; /* the writer's next step: begin, each word, end */
  uint64_t version;
  unsigned steps;
  uint64_t copy[WORDS];
  unsigned looks;
};

static void write_step(struct scene *scene) {
  if (scene->at == 0) {
    scene->version++;
    seqfile__begin(&scene->file, &scene->record);
    MUST(scene->record.seq & 1);
  } else if (scene->at <= WORDS) {
    scene->record.words[scene->at - 1] = scene->version;
  } else {
    seqfile__end(&scene->file, &scene->record);
    MUST(!(scene->record.seq & 1) && scene->head.changes > 0);
  }
  scene->at = (scene->at + 1) % (WORDS + 2);
}

static void let_write(struct scene *scene) {
  if (!scene->schedule->left || scene->steps++ > STEPS_MAX)
    return; /* it is dead, maybe in the middle */
  for (unsigned n = take_byte(scene->schedule) % (2 * WORDS + 5); n > 0; n--)
    write_step(scene);
}

static void look(const void *record, void *arg) {
  struct scene *scene = arg;
  const struct record *from = record;
  scene->looks++;
  for (int i = 0; i < WORDS; i++) {
    scene->copy[i] = from->words[i];
    let_write(scene);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  struct bytes schedule = {data, n};
  struct scene scene = {.schedule = &schedule};
  scene.file = (struct seqfile){.head = &scene.head, .bytes = sizeof(scene.head), .writable = true, .fd = -1};
  scene.record.seq = take_byte(&schedule) ? UINT32_MAX - 1u : 0; /* the number runs over, too */
  for (int i = 0; i < 3; i++) {
    let_write(&scene);
    uint64_t known = scene.at ? scene.version - 1 : scene.version;
    scene.looks = 0;
    int r = seqfile__read(&scene.record, look, &scene);
    MUST(r == 0 || r == -EAGAIN);
    MUST(r == 0 || schedule.left || scene.at); /* a dead writer's whole record can be read */
    MUST(r != 0 || scene.looks > 0);
    MUST(r != 0 || scene.copy[0] >= known); /* and it is no older than when the reading began */
    for (int word = 1; r == 0 && word < WORDS; word++)
      MUST(scene.copy[word] == scene.copy[0]);
  }
  return 0;
}

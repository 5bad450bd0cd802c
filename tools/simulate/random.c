/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "random.h"

static uint64_t splitmix(uint64_t *state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15ULL;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
  return z ^ z >> 31;
}

static uint64_t rotated(uint64_t x, int by) {
  return x << by | x >> (64 - by);
}

void random__seed(struct random *random, uint64_t seed, uint64_t stream) {
  uint64_t mixed = splitmix(&seed) ^ stream * 0xd1342543de82ef95ULL;
  for (int i = 0; i < 4; i++)
    random->state[i] = splitmix(&mixed);
}

uint64_t random__next(struct random *random) {
  uint64_t *s = random->state, result = rotated(s[1] * 5, 7) * 9, t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotated(s[3], 45);
  return result;
}

double random__unit(struct random *random) {
  return ((double)(random__next(random) >> 12) + 0.5) * 0x1p-52;
}

/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Numbers that look random and are the same on each run: xoshiro256**, seeded by splitmix64 (Blackman and Vigna, 2018). */
#ifndef SIMULATE_RANDOM_H
#define SIMULATE_RANDOM_H

#include <stdint.h>

struct random {
  uint64_t state[4];
};

/* One stream a purpose, so that drawing more for one of them does not change what the others get. */
void random__seed(struct random *random, uint64_t seed, uint64_t stream);
uint64_t random__next(struct random *random);
/* Evenly between 0 and 1, neither of them included. */
double random__unit(struct random *random);

#endif

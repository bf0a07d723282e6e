/*
 * Chance that a seed fixes: the same seed, the same run. (Steele, Lea and Flood's splitmix64.)
 */
#ifndef GRAFTD_TESTS_SIM_CHANCE_H
#define GRAFTD_TESTS_SIM_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

struct chance {
    uint64_t state;
};

static inline uint64_t chance_next(struct chance *c)
{
    uint64_t z = (c->state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline unsigned chance_below(struct chance *c, unsigned n) { return (unsigned)(chance_next(c) % n); } /* n > 0 */
/* n 0: never. */
static inline bool chance_one_in(struct chance *c, unsigned n) { return n > 0 && chance_below(c, n) == 0; }

#endif

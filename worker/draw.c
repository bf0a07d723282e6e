#include "worker/draw.h"

#include <sodium.h>

_Static_assert((size_t)WIRE_SEED == randombytes_SEEDBYTES, "a call's seed is a seed of the generator");

void draw(uint8_t state[WIRE_SEED], void *out, size_t n)
{
    uint8_t both[2 * WIRE_SEED]; /* the next state, then the key of this draw */

    randombytes_buf_deterministic(both, sizeof both, state);
    for (size_t i = 0; i < WIRE_SEED; i++)
        state[i] = both[i];
    randombytes_buf_deterministic(out, n, both + WIRE_SEED);
    sodium_memzero(both, sizeof both);
}

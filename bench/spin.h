/* The same work for all servers: Park and Miller's generator, so many rounds. Its numbers are exact in C, in PL/pgSQL's bigint and in
 * Lua's doubles, so all give the same answer. */
#ifndef BENCH_SPIN_H
#define BENCH_SPIN_H

#include <stdint.h>

static inline int64_t spin(int64_t rounds)
{
    uint64_t x = 1;

    for (int64_t i = 0; i < rounds; i++)
        x = x * 16807 % 2147483647;
    return (int64_t)x;
}

#endif

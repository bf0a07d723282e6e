/*
 * What the fuzzers share: NAME [SEED [COUNT]], chance that is the same for the same seed, and kept inputs (corpus.h).
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "tests/fuzz/corpus.h"

static uint64_t random_state;

static inline size_t random_below(size_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state >> 11) % n;
}

/* How many rounds it shall go; says so. Seed 1 without a word. */
static inline uint64_t fuzz_begin(const char *name, int argc, char **argv, uint64_t count_default)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 0) : count_default;

    alarm(CORPUS_ALARM_S);
    random_state = seed == 0 ? 1 : seed; /* 0 is the one state that xorshift does not leave */
    printf("%s: seed %llu count %llu\n", name, (unsigned long long)seed, (unsigned long long)count);
    fflush(stdout);
    return count;
}

#endif

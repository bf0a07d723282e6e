/* Counts of durations in ns: 64 steps to each doubling, so a percentile is right to 1.6 %; exact up to 127 ns. */
#ifndef GRAFTD_BENCH_HISTOGRAM_H
#define GRAFTD_BENCH_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_STEPS = 64, HISTOGRAM_SIZE = 60 * HISTOGRAM_STEPS };

struct histogram {
    uint64_t count, max;
    uint64_t steps[HISTOGRAM_SIZE];
};

static inline void histogram_add(struct histogram *h, uint64_t ns)
{
    unsigned doublings = ns < 2 * HISTOGRAM_STEPS ? 0 : (unsigned)(57 - __builtin_clzll(ns));

    h->steps[doublings * HISTOGRAM_STEPS + (unsigned)(ns >> doublings)]++;
    h->count++;
    if (ns > h->max)
        h->max = ns;
}

/* The least duration that a part (0 to 1) of all did not exceed; 0 when there is none. */
static inline double histogram_at(const struct histogram *h, double part)
{
    uint64_t seen = 0, wanted = (uint64_t)(part * (double)h->count);

    for (unsigned i = 0; i < HISTOGRAM_SIZE; i++) {
        seen += h->steps[i];
        if (seen > wanted) {
            unsigned doublings = i < 2 * HISTOGRAM_STEPS ? 0 : i / HISTOGRAM_STEPS - 1;

            return (double)((uint64_t)(i - doublings * HISTOGRAM_STEPS) << doublings);
        }
    }
    return (double)h->max;
}

#endif

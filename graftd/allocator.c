#include "graftd/allocator.h"

#ifdef GRAFTD_JEMALLOC

#include <jemalloc/jemalloc.h>
#include <stdint.h>

static size_t figure(const char *name)
{
    size_t value = 0, size = sizeof value;

    return mallctl(name, &value, &size, NULL, 0) == 0 ? value : 0;
}

void allocator_stats(struct allocator_stats *s)
{
    uint64_t epoch = 1;
    size_t size = sizeof epoch;

    (void)mallctl("epoch", &epoch, &size, &epoch, size); /* the figures are of the last epoch */
    *s = (struct allocator_stats){
        .name = "jemalloc-" JEMALLOC_VERSION,
        .allocated = figure("stats.allocated"),
        .active = figure("stats.active"),
        .resident = figure("stats.resident"),
        .mapped = figure("stats.mapped"),
    };
}

#else

void allocator_stats(struct allocator_stats *s) { *s = (struct allocator_stats){ .name = "libc" }; }

#endif

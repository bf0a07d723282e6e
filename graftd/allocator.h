/*
 * The daemon's memory, as its allocator counts it. The only home of jemalloc.
 */
#ifndef GRAFTD_ALLOCATOR_H
#define GRAFTD_ALLOCATOR_H

#include <stddef.h>

struct allocator_stats {
    const char *name; /* "jemalloc-5.3.0", or "libc" where it stands aside for a sanitizer; then all zero */
    size_t allocated, active, resident, mapped; /* bytes */
};
void allocator_stats(struct allocator_stats *s);

#endif

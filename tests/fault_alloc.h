/*
 * The nth allocation fails: malloc, calloc, realloc and reallocarray of all that is linked, while they are armed.
 * Link with -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=reallocarray.
 */
#ifndef GRAFTD_TESTS_FAULT_ALLOC_H
#define GRAFTD_TESTS_FAULT_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

extern bool armed;           /* one may fail now */
extern bool hit;             /* one has failed; no more do */
extern unsigned until_fault; /* allocations that succeed before the one that fails */

/* What the test and its world do, while nothing can fail. */
#define SPARED(what) \
    do { \
        bool before_ = armed; \
        armed = false; \
        what; \
        armed = before_; \
    } while (0)

/* The allocator's own, which never fail. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);

#endif

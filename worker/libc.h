/*
 * C functions that a graft may call and whose usual form does not fit a jail: abort() and assert() raise signals,
 * qsort() allocates.
 */
#ifndef GRAFTD_WORKER_LIBC_H
#define GRAFTD_WORKER_LIBC_H

#include <stddef.h>

_Noreturn void libc_abort(void);
_Noreturn void libc_assert_fail(const char *assertion, const char *file, unsigned line, const char *function);
/* In place, not stable, n log n whatever the input (heapsort). */
void libc_qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *));

#endif

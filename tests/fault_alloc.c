#include "tests/fault_alloc.h"

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

bool armed, hit;
unsigned until_fault;

static bool fault(void)
{
    if (!armed || hit || until_fault-- > 0)
        return false;
    return hit = true;
}

void *__wrap_malloc(size_t size) { return fault() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t n, size_t size) { return fault() ? NULL : __real_calloc(n, size); }
void *__wrap_realloc(void *p, size_t size) { return fault() ? NULL : __real_realloc(p, size); }
void *__wrap_reallocarray(void *p, size_t n, size_t size) { return fault() ? NULL : __real_reallocarray(p, n, size); }

#include "worker/interpose.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum { BOOT_SIZE = 1024 * 1024 }; /* bytes; building the filters of the jail takes about a tenth of it */

static _Alignas(HEAP_ALIGN) uint8_t boot_memory[BOOT_SIZE];
static struct heap boot;
static struct heap *current;

static struct heap *heap_now(void)
{
    if (current == NULL) {
        heap_init(&boot, boot_memory, sizeof boot_memory);
        current = &boot;
    }
    return current;
}

void interpose_use(struct heap *heap) { current = heap; }

static struct heap *heap_of(const void *p)
{
    struct heap *heap = heap_now();

    return p != NULL && heap_owns(&boot, p) ? &boot : heap;
}

static void *or_errno(void *p)
{
    if (p == NULL)
        errno = ENOMEM;
    return p;
}

void *malloc(size_t n) { return or_errno(heap_alloc(heap_now(), n)); }
void free(void *p) { heap_free(heap_of(p), p); }

void *calloc(size_t count, size_t each)
{
    size_t n;
    void *p;

    if (__builtin_mul_overflow(count, each, &n))
        n = SIZE_MAX;
    p = malloc(n);
    return p == NULL ? NULL : memset(p, 0, n);
}

void *realloc(void *p, size_t n)
{
    struct heap *heap = heap_of(p);
    void *moved;

    if (n == 0 && p != NULL) {
        free(p);
        return NULL;
    }
    if (heap == heap_now())
        return or_errno(heap_resize(heap, p, n));
    moved = malloc(n); /* from the static block into the heap in use */
    if (moved != NULL)
        memcpy(moved, p, heap_usable(heap, p) < n ? heap_usable(heap, p) : n);
    return moved;
}

static bool power_of_two(size_t n) { return n != 0 && (n & (n - 1)) == 0; }

void *memalign(size_t align, size_t n)
{
    return or_errno(power_of_two(align) ? heap_alloc_aligned(heap_now(), align, n) : NULL);
}

void *aligned_alloc(size_t align, size_t n) { return memalign(align, n); }

int posix_memalign(void **out, size_t align, size_t n)
{
    void *p;

    if (!power_of_two(align) || align < sizeof(void *))
        return EINVAL;
    p = heap_alloc_aligned(heap_now(), align, n);
    if (p == NULL)
        return ENOMEM;
    *out = p;
    return 0;
}

void *valloc(size_t n) { return memalign(4096, n); }
void *pvalloc(size_t n) { return n > SIZE_MAX - 4095 ? memalign(4096, n) : memalign(4096, (n + 4095) & ~(size_t)4095); }
size_t malloc_usable_size(void *p) { return p == NULL ? 0 : heap_usable(heap_of(p), p); }

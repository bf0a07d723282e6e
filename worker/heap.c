/*
 * The graft's heap. Invariants, for the memory from floor to end:
 *  H1 blocks lie gapless from floor to end; each head holds its own size and that of the block before it (0: none);
 *  H2 no two neighbours are both free;
 *  H3 a free block is in exactly the bin of its size.
 */
#include "worker/heap.h"

#include <stdlib.h>
#include <string.h>

struct heap_block {
    size_t size;   /* bytes with this head, a multiple of 16; lowest bit: in use */
    size_t before; /* bytes of the block before this one, or 0 */
    struct heap_block *next, *prev; /* of its bin; only while free: content begins here */
};

enum {
    BLOCK_MIN = sizeof(struct heap_block),
    BIN_TRIES = 16, /* blocks of a bin that are looked at before a larger one is cut */
};
#define IN_USE ((size_t)1)

static _Noreturn void broken(const struct heap *heap, const char *what)
{
    if (heap->broken != NULL)
        heap->broken(what);
    abort();
}

static size_t block_size(const struct heap_block *b) { return b->size & ~IN_USE; }
static struct heap_block *block_at(void *p) { return p; }
static struct heap_block *block_of(void *content) { return block_at((uint8_t *)content - HEAP_HEAD); }
static void *content_of(struct heap_block *b) { return (uint8_t *)b + HEAP_HEAD; }
static unsigned bin_of(size_t size) { return 63u - (unsigned)__builtin_clzll(size); }

/* NULL: b is the last one. */
static struct heap_block *block_after(const struct heap *heap, struct heap_block *b)
{
    uint8_t *p = (uint8_t *)b + block_size(b);

    return p == heap->end ? NULL : block_at(p);
}

static bool block_sane(const struct heap *heap, struct heap_block *b)
{
    uint8_t *p = (uint8_t *)b;
    size_t size;
    struct heap_block *after;

    if (p < heap->base || p >= heap->end || ((size_t)(p - heap->base) & (HEAP_ALIGN - 1)) != 0)
        return false;
    size = block_size(b);
    if (size < BLOCK_MIN || (size & (HEAP_ALIGN - 1)) != 0 || size > (size_t)(heap->end - p))
        return false;
    if (p < heap->floor)
        return true;
    after = block_after(heap, b);
    return after == NULL || after->before == size;
}

static void bin_add(struct heap *heap, struct heap_block *b)
{
    unsigned i = bin_of(b->size);

    b->prev = NULL;
    b->next = heap->bins[i];
    if (b->next != NULL)
        b->next->prev = b;
    heap->bins[i] = b;
    heap->bins_set |= (uint64_t)1 << i;
}

/* A link that may be followed: none, or one to where a block can lie. */
static bool link_sane(const struct heap *heap, const struct heap_block *link)
{
    const uint8_t *p = (const uint8_t *)link;

    return link == NULL || (p >= heap->floor && p < heap->end && (size_t)(heap->end - p) >= BLOCK_MIN &&
                            ((size_t)(p - heap->base) & (HEAP_ALIGN - 1)) == 0);
}

static void bin_remove(struct heap *heap, struct heap_block *b)
{
    unsigned i = bin_of(b->size);

    if (!link_sane(heap, b->next) || !link_sane(heap, b->prev) ||
        (b->prev != NULL ? b->prev->next : heap->bins[i]) != b || (b->next != NULL && b->next->prev != b))
        broken(heap, "the heap is damaged: a freed block was written to");
    if (b->prev != NULL)
        b->prev->next = b->next;
    else
        heap->bins[i] = b->next;
    if (b->next != NULL)
        b->next->prev = b->prev;
    if (heap->bins[i] == NULL)
        heap->bins_set &= ~((uint64_t)1 << i);
}

static void set_size(const struct heap *heap, struct heap_block *b, size_t size, size_t in_use)
{
    struct heap_block *after;

    b->size = size | in_use;
    after = block_after(heap, b);
    if (after != NULL)
        after->before = size;
}

void heap_init(struct heap *heap, void *memory, size_t size)
{
    *heap = (struct heap){ .base = memory, .floor = memory };
    heap->end = heap->base + (size & ~(size_t)(HEAP_ALIGN - 1));
    heap_reset(heap);
}

bool heap_owns(const struct heap *heap, const void *p)
{
    return (const uint8_t *)p >= heap->base && (const uint8_t *)p < heap->end;
}

/* The first of at most `tries` blocks in the bin that is large enough. */
static struct heap_block *bin_find(const struct heap *heap, unsigned i, size_t need, size_t tries)
{
    for (struct heap_block *b = heap->bins[i]; b != NULL && tries > 0; b = b->next, tries--) {
        if (!block_sane(heap, b) || (b->size & IN_USE) != 0)
            broken(heap, "the heap is damaged: something was written past the end of a block");
        if (b->size >= need)
            return b;
    }
    return NULL;
}

static struct heap_block *find(const struct heap *heap, size_t need)
{
    unsigned i = bin_of(need);
    uint64_t larger = heap->bins_set & ~((((uint64_t)1 << i) << 1) - 1);
    struct heap_block *b = bin_find(heap, i, need, BIN_TRIES);

    if (b == NULL && larger != 0)
        return bin_find(heap, (unsigned)__builtin_ctzll(larger), need, 1);
    return b != NULL ? b : bin_find(heap, i, need, heap_size(heap) / BLOCK_MIN);
}

/* Gives back what is past `size` bytes of a block in use. */
static void cut(struct heap *heap, struct heap_block *b, size_t size)
{
    size_t rest = block_size(b) - size;
    struct heap_block *tail, *after;

    if (rest < BLOCK_MIN)
        return;
    heap->used -= rest;
    after = block_after(heap, b);
    if (after != NULL && (after->size & IN_USE) == 0) {
        bin_remove(heap, after);
        rest += after->size;
    }
    b->size = size | IN_USE;
    tail = block_at((uint8_t *)b + size);
    tail->before = size;
    set_size(heap, tail, rest, 0);
    bin_add(heap, tail);
}

/* 0: too large for any heap. */
static size_t size_for(const struct heap *heap, size_t n)
{
    size_t size;

    if (n > heap_size(heap))
        return 0;
    size = ((n + HEAP_ALIGN - 1) & ~(size_t)(HEAP_ALIGN - 1)) + HEAP_HEAD;
    return size < BLOCK_MIN ? BLOCK_MIN : size;
}

static void *refuse(const struct heap *heap, size_t n)
{
    if (heap->refused != NULL)
        heap->refused(heap, n);
    return NULL;
}

void *heap_alloc(struct heap *heap, size_t n)
{
    size_t size = size_for(heap, n);
    struct heap_block *b = size == 0 ? NULL : find(heap, size);

    if (b == NULL)
        return refuse(heap, n);
    bin_remove(heap, b);
    b->size |= IN_USE;
    heap->used += block_size(b);
    cut(heap, b, size);
    return content_of(b);
}

void *heap_alloc_aligned(struct heap *heap, size_t align, size_t n)
{
    uint8_t *p, *q;
    struct heap_block *front, *b;
    size_t skip;

    if (align <= HEAP_ALIGN)
        return heap_alloc(heap, n);
    if (align > heap_size(heap) || n > heap_size(heap))
        return refuse(heap, n);
    p = heap_alloc(heap, n + align + BLOCK_MIN);
    if (p == NULL || ((uintptr_t)p & (align - 1)) == 0)
        return p;
    q = p + (align - ((uintptr_t)p & (align - 1)));
    if ((size_t)(q - p) < BLOCK_MIN)
        q += align;
    front = block_of(p);
    b = block_of(q);
    skip = (size_t)(q - p);
    set_size(heap, b, block_size(front) - skip, IN_USE);
    front->size = skip | IN_USE;
    b->before = skip;
    heap_free(heap, p);
    cut(heap, b, size_for(heap, n));
    return q;
}

static struct heap_block *checked_block(const struct heap *heap, void *p)
{
    struct heap_block *b = block_of(p);

    if (!block_sane(heap, b) || (b->size & IN_USE) == 0)
        broken(heap, "free() or realloc() of what malloc() did not give, of what was freed, or of an overrun block");
    return b;
}

void heap_free(struct heap *heap, void *p)
{
    struct heap_block *b, *other;
    size_t size;

    if (p == NULL)
        return;
    b = checked_block(heap, p);
    if ((uint8_t *)b < heap->floor)
        return;
    size = block_size(b);
    heap->used -= size;
    other = block_after(heap, b);
    if (other != NULL && (other->size & IN_USE) == 0) {
        bin_remove(heap, other);
        size += other->size;
    }
    if (b->before != 0) {
        if (b->before > (size_t)((uint8_t *)b - heap->floor))
            broken(heap, "the heap is damaged: something was written past the end of a block");
        other = block_at((uint8_t *)b - b->before);
        if ((other->size & IN_USE) == 0) {
            if (other->size != b->before)
                broken(heap, "the heap is damaged: something was written past the end of a block");
            bin_remove(heap, other);
            size += other->size;
            b = other;
        }
    }
    set_size(heap, b, size, 0);
    bin_add(heap, b);
}

size_t heap_usable(struct heap *heap, void *p) { return block_size(checked_block(heap, p)) - HEAP_HEAD; }

/* In place, if the block after it is free and large enough. */
static bool grow(struct heap *heap, struct heap_block *b, size_t size)
{
    struct heap_block *after = block_after(heap, b);
    size_t have = block_size(b);

    if (after == NULL || (after->size & IN_USE) != 0 || after->size < size - have)
        return false;
    bin_remove(heap, after);
    heap->used += after->size;
    set_size(heap, b, have + after->size, IN_USE);
    cut(heap, b, size);
    return true;
}

void *heap_resize(struct heap *heap, void *p, size_t n)
{
    struct heap_block *b;
    size_t size, had;
    void *fresh;

    if (p == NULL)
        return heap_alloc(heap, n);
    b = checked_block(heap, p);
    had = block_size(b) - HEAP_HEAD;
    size = size_for(heap, n);
    if ((uint8_t *)b < heap->floor) {
        if (n <= had)
            return p;
    } else if (size != 0 && size <= block_size(b)) {
        cut(heap, b, size);
        return p;
    } else if (size != 0 && grow(heap, b, size)) {
        return p;
    }
    fresh = heap_alloc(heap, n);
    if (fresh == NULL)
        return NULL;
    memcpy(fresh, p, had < n ? had : n);
    heap_free(heap, p);
    return fresh;
}

/* The start of the free block that ends the heap, or its end. */
static uint8_t *free_tail(const struct heap *heap)
{
    uint8_t *p = heap->floor;

    while (p < heap->end) {
        struct heap_block *b = block_at(p);

        if (!block_sane(heap, b))
            broken(heap, "the heap is damaged: something was written past the end of a block");
        p += block_size(b);
        if (p == heap->end && (b->size & IN_USE) == 0)
            return (uint8_t *)b;
    }
    return p;
}

void heap_mark(struct heap *heap)
{
    heap->floor = free_tail(heap);
    heap->used_at_mark = heap->used;
    heap_reset(heap);
}

void heap_reset(struct heap *heap)
{
    size_t room = (size_t)(heap->end - heap->floor);

    heap->bins_set = 0;
    memset(heap->bins, 0, sizeof heap->bins);
    heap->used = heap->used_at_mark;
    if (room < BLOCK_MIN) {
        heap->end = heap->floor;
        return;
    }
    block_at(heap->floor)->before = 0;
    set_size(heap, block_at(heap->floor), room, 0);
    bin_add(heap, block_at(heap->floor));
}

/*
 * A bounded heap inside one block of memory: the graft's malloc.
 *
 * Boundary tags and bins by power of two, neighbours are joined when freed. 16-byte aligned. What graft code does to
 * the tags harms only its own process: a tag that cannot be right ends it through heap->broken, and no search is
 * longer than the number of blocks that fit.
 *
 * A mark makes what is allocated permanent; heap_reset() then takes back all that came after it, at once. Freeing a
 * permanent block later does nothing: it would be forgotten by the next reset.
 */
#ifndef GRAFTD_WORKER_HEAP_H
#define GRAFTD_WORKER_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HEAP_ALIGN = 16, /* bytes */
    HEAP_HEAD = 16,  /* bytes before each block's content */
    HEAP_BINS = 64,
};

struct heap_block;

struct heap {
    uint8_t *base, *end;                /* borrowed memory */
    uint8_t *floor;                     /* below it: permanent */
    size_t used;                        /* bytes of blocks in use, heads included */
    size_t used_at_mark;                /* the same for the permanent ones */
    uint64_t bins_set;                  /* bit i: bins[i] is not empty */
    struct heap_block *bins[HEAP_BINS]; /* free blocks of 2^i to 2^(i+1)-1 bytes */
    /* Called for each refused allocation, before NULL is returned; may be NULL. */
    void (*refused)(const struct heap *heap, size_t wanted);
    /* Called when a pointer or a tag cannot be right; must not return; NULL: abort(). */
    void (*broken)(const char *what);
};

/* Takes the memory over for good; it is written only as far as it is used. size is cut to a multiple of 16. */
void heap_init(struct heap *heap, void *memory, size_t size);
static inline size_t heap_size(const struct heap *heap) { return (size_t)(heap->end - heap->base); }
bool heap_owns(const struct heap *heap, const void *p);

/* NULL when it does not fit. n may be 0: a block of its own all the same. Content is not cleared. */
void *heap_alloc(struct heap *heap, size_t n);
/* align: a power of two. */
void *heap_alloc_aligned(struct heap *heap, size_t align, size_t n);
/* As realloc(3): p may be NULL; NULL leaves the old block as it was. n is at least 1. */
void *heap_resize(struct heap *heap, void *p, size_t n);
void heap_free(struct heap *heap, void *p); /* p may be NULL */
size_t heap_usable(struct heap *heap, void *p); /* bytes that p may hold */

void heap_mark(struct heap *heap);
void heap_reset(struct heap *heap);

#endif

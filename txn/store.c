/*
 * What every engine behind store.h shares: the memory of a request's answer.
 *
 * An answer lives in few blocks, chained, so that its pointers stay where they are while it grows.
 * It never passes STORE_ANSWER_MAX.
 */
#include "txn/store.h"


#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_MIN = 4096 }; /* bytes */

struct block {
    struct block *next;  /* older */
    size_t used, size;   /* bytes of data */
    size_t total;        /* size of this and all older ones */
    alignas(max_align_t) char data[];
};

static struct block *block_new(struct store_request *r, size_t size)
{
    struct block *last = r->memory, *block;
    size_t total = last == NULL ? 0 : last->total;
    size_t want = last == NULL || last->size * 2 < size ? size : last->size * 2;

    if (size > STORE_ANSWER_MAX - total) {
        fail(&r->why, ERR_LIMIT, "the answer passes %d bytes; ask for less at a time", STORE_ANSWER_MAX);
        return NULL;
    }
    want = want < BLOCK_MIN ? BLOCK_MIN : want;
    want = want > STORE_ANSWER_MAX - total ? size : want;
    block = malloc(sizeof *block + want);
    if (block == NULL) {
        fail(&r->why, ERR_NOMEM, "no memory for an answer of %zu bytes and more; ask for less at a time", total);
        return NULL;
    }
    *block = (struct block){ .next = last, .size = want, .total = total + want };
    r->memory = block;
    return block;
}

void *store_request_alloc(struct store_request *r, size_t size)
{
    struct block *block = r->memory;
    void *p;

    if (size > STORE_ANSWER_MAX)
        size = STORE_ANSWER_MAX + 1;
    size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (block == NULL || block->size - block->used < size)
        block = block_new(r, size);
    if (block == NULL)
        return NULL;
    p = block->data + block->used;
    block->used += size;
    return memset(p, 0, size);
}

void *store_request_copy(struct store_request *r, struct bytes b)
{
    char *copy = store_request_alloc(r, b.len + 1);

    if (copy != NULL && b.len > 0)
        memcpy(copy, b.data, b.len);
    return copy;
}

void store_request_fini(struct store_request *r)
{
    struct block *block = r->memory;

    while (block != NULL) {
        struct block *next = block->next;
        free(block);
        block = next;
    }
    r->memory = NULL;
    r->pairs = NULL;
    r->rows = NULL;
    r->effects = NULL;
    r->grafts = NULL;
    r->nested = NULL;
    r->events = NULL;
    r->topics = NULL;
    r->pair_count = r->row_count = r->effect_count = r->graft_count = r->nested_count = 0;
    r->event_count = r->topic_count = 0;
    r->more = r->idem.found = false;
    r->next = r->idem.txn = r->inode = 0;
    r->idem.reply = bytes_of(NULL, 0);
}

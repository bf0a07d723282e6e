#include "txn/undo.h"

#include "lib/check.h"

#include <stdlib.h>
#include <string.h>

void undo_init(struct undo_log *log)
{
    log->records = log->small;
    log->count = 0;
    log->cap = UNDO_INLINE;
    log->bytes = 0;
}

void undo_fini(struct undo_log *log)
{
    CHECK(log->count == 0);
    if (log->records != log->small)
        free(log->records);
    undo_init(log);
}

static enum err grow(struct undo_log *log)
{
    bool inside = log->records == log->small;
    struct undo_record *records;

    if (log->cap > SIZE_MAX / (2 * sizeof *records))
        return ERR_NOMEM;
    records = realloc(inside ? NULL : log->records, 2 * log->cap * sizeof *records);
    if (records == NULL)
        return ERR_NOMEM;
    if (inside)
        memcpy(records, log->small, log->count * sizeof *records);
    log->records = records;
    log->cap *= 2;
    return OK;
}

static uint64_t blob_weight(const struct blob *b) { return b == NULL ? 0 : sizeof *b + b->len; }

/* With the entry that it pins: small values weigh more by this than by their bytes. */
static uint64_t weight(const struct undo_record *r)
{
    return sizeof *r + sizeof *r->entry + r->entry->node.key.len + blob_weight(r->before) + blob_weight(r->after);
}

enum err undo_append(struct undo_log *log, struct kv *kv, struct kv_entry *e, struct blob *after)
{
    struct undo_record *r;

    CHECK(e->known);
    if (log->count == log->cap && grow(log) != OK)
        return ERR_NOMEM;
    r = &log->records[log->count++];
    *r = (struct undo_record){ e, blob_ref(e->value), after, e->batch };
    log->bytes += weight(r);
    kv_pin(kv, e);
    kv_set(e, blob_ref(after), KV_OPEN);
    return OK;
}

static void record_drop(struct undo_record *r, struct kv *kv)
{
    blob_drop(&r->before);
    blob_drop(&r->after);
    kv_unpin(kv, r->entry);
}

size_t undo_play_to(struct undo_log *log, struct kv *kv, size_t keep)
{
    size_t count = log->count;

    while (log->count > keep) {
        struct undo_record *r = &log->records[--log->count];
        log->bytes -= weight(r);
        kv_set(r->entry, blob_ref(r->before), r->before_batch);
        record_drop(r, kv);
    }
    return count - log->count;
}

size_t undo_play(struct undo_log *log, struct kv *kv)
{
    size_t count = undo_play_to(log, kv, 0);

    undo_fini(log);
    return count;
}

void undo_assign(struct undo_log *log, uint64_t batch)
{
    for (size_t i = 0; i < log->count; i++)
        log->records[i].entry->batch = batch;
}

void undo_let_go(struct undo_log *log)
{
    for (size_t i = 0; i < log->count; i++)
        log->records[i].entry->fleeting = true;
}

void undo_drop(struct undo_log *log, struct kv *kv)
{
    while (log->count > 0)
        record_drop(&log->records[--log->count], kv);
    undo_fini(log);
}

void undo_move(struct undo_log *to, struct undo_log *from)
{
    CHECK(to->count == 0);
    undo_fini(to);
    if (from->records == from->small) {
        memcpy(to->small, from->small, from->count * sizeof from->small[0]);
    } else {
        to->records = from->records;
        to->cap = from->cap;
    }
    to->count = from->count;
    to->bytes = from->bytes;
    undo_init(from);
}

static struct image image_of(const struct blob *b)
{
    return b == NULL ? (struct image){ 0 } : (struct image){ true, blob_bytes(b) };
}

static struct store_effect effect_of(const struct undo_record *r)
{
    const char *item = r->entry->node.key.data; /* the resource's byte, then the key */

    return (struct store_effect){ item[0], bytes_of(item + 1, r->entry->node.key.len - 1), image_of(r->before),
                                  image_of(r->after) };
}

void undo_show(const struct undo_log *log, struct store_effect *out)
{
    for (size_t i = 0; i < log->count; i++)
        out[i] = effect_of(&log->records[i]);
}

void undo_each(const struct undo_log *log, void (*visit)(const struct store_effect *, void *user), void *user)
{
    for (size_t i = 0; i < log->count; i++) {
        struct store_effect e = effect_of(&log->records[i]);
        visit(&e, user);
    }
}

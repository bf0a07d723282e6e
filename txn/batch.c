/*
 * Batches: what is decided, on its way to disk. One is in flight; others wait behind it in order; the last one is
 * filling.
 *
 *  1. Batches reach the disk in the order of their numbers, and everything a transaction read is in its own batch or an
 *     earlier one, so what is on disk is at any instant a prefix of what was decided (T6, T7).
 *  2. A transaction in a batch is told only when that batch is on disk (T2).
 *  3. Nobody waits for the row of a failed transaction, so rows alone are written a little later, and many at a time.
 *  4. When a batch fails, it and all after it are taken back newest first (T5), before anyone is told (T3). Open
 *     transactions that saw their values, and only those, are doomed.
 */
#include "txn/inside.h"

#include "lib/check.h"

#include <stdlib.h>

static struct batch *batch_of(struct list *node) { return list_entry(node, struct batch, link); }

struct batch *batch_find(struct txn_manager *m, uint64_t number)
{
    list_each (node, &m->batches)
        if (batch_of(node)->number == number)
            return batch_of(node);
    return NULL;
}

static struct batch *batch_new(struct txn_manager *m)
{
    struct list *spare = list_pop(&m->spare_batches);
    struct batch *b;

    if (spare != NULL) {
        b = batch_of(spare);
        m->spare_batch_count--;
    } else if ((b = calloc(1, sizeof *b)) == NULL) {
        return NULL;
    }
    b->m = m;
    b->number = m->batch_next++;
    list_init(&b->readers);
    list_push(&m->batches, &b->link);
    return b;
}

static void batch_delete(struct batch *b)
{
    free(b->items);
    free(b->entries);
    free(b->effects);
    free(b);
}

/* On no list of batches any more. */
static void batch_free(struct batch *b)
{
    struct txn_manager *m = b->m;

    CHECK(list_empty(&b->readers));
    store_request_fini(&b->request);
    if (m->spare_batch_count == BATCH_SPARE_MAX) {
        batch_delete(b);
        return;
    }
    b->count = b->rows = b->entry_count = b->effect_count = 0;
    b->bytes = 0;
    list_push(&m->spare_batches, &b->link);
    m->spare_batch_count++;
}

void batch_free_spare(struct txn_manager *m)
{
    struct list *node;

    while ((node = list_pop(&m->spare_batches)) != NULL)
        batch_delete(batch_of(node));
}

/* The batch that takes more; a new one if need be. NULL: no memory. */
static struct batch *batch_filling(struct txn_manager *m)
{
    struct list *last = list_last(&m->batches);

    if (last != NULL && batch_of(last) != m->in_flight && batch_of(last)->count < BATCH_ITEM_MAX &&
        batch_of(last)->bytes < BATCH_BYTES_MAX)
        return batch_of(last);
    return batch_new(m);
}

/* Room for `more` elements of `size` bytes behind `count`; false: no memory, nothing changed. */
static bool reserve(void **array, size_t *cap, size_t count, size_t more, size_t size)
{
    size_t want = *cap < 16 ? 16 : *cap;
    void *grown;

    if (*cap - count >= more)
        return true;
    while (want - count < more)
        want *= 2;
    grown = reallocarray(*array, want, size);
    if (grown == NULL)
        return false;
    *array = grown;
    *cap = want;
    return true;
}

static bool batch_reserve(struct batch *b, size_t entries, size_t effects)
{
    return reserve((void **)&b->items, &b->cap, b->count, 1, sizeof *b->items) &&
           reserve((void **)&b->entries, &b->entry_cap, b->entry_count, entries, sizeof *b->entries) &&
           reserve((void **)&b->effects, &b->effect_cap, b->effect_count, effects, sizeof *b->effects);
}

static size_t entries_of(const struct txn *t, enum item_kind kind)
{
    return kind == ITEM_ROW ? 1 : notes_entry_count(t);
}

enum err batch_add(struct txn *t, enum item_kind kind, const struct undo_log *log, uint64_t *number)
{
    struct batch *b = batch_filling(t->m);
    size_t effects = log == NULL ? 0 : log->count, entries = entries_of(t, kind);

    if (b == NULL || !batch_reserve(b, entries, effects))
        return ERR_NOMEM;
    b->items[b->count++] = (struct batch_item){ t, kind };
    b->rows += kind == ITEM_ROW;
    b->entry_count += entries;
    b->effect_count += effects;
    b->bytes += (log == NULL ? 0 : log->bytes) + (t->tale == NULL ? 0 : t->tale->idem_reply.len);
    t->item_count++;
    *number = b->number;
    manager_want(t->m);
    return OK;
}

static void entry_tell(struct store_entry *e, const struct txn_tale *tale)
{
    if (tale == NULL)
        return;
    e->nested = tale->nested;
    e->nested_count = tale->nested_count;
    e->idem_token = tale->idem_token;
    e->idem_reply = tale->idem_reply;
}

static struct store_entry entry_of(const struct batch_item *item, struct store_effect *effects)
{
    struct txn *t = item->txn;
    struct store_entry e = { .txn = t->id, .history = t->history, .effects = effects };

    e.history.effect_count = t->effect_count;
    switch (item->kind) {
    case ITEM_COMMIT:
        e.history.outcome = "committed";
        e.first_effect = t->spilled;
        e.effect_count = t->log.count;
        entry_tell(&e, t->tale);
        undo_show(&t->log, effects);
        break;
    case ITEM_SPILL:
        e.first_effect = t->spilled - t->spilling.count;
        e.effect_count = t->spilling.count;
        e.history.effect_count = t->spilled;
        e.history.ended_us = 0;
        undo_show(&t->spilling, effects);
        break;
    case ITEM_ROW:
        e.history.outcome = err_word(t->failure.err);
        e.history.error = t->failure.text;
        if (t->notes != NULL) { /* ours until it is released, which is after this */
            e.nested = t->notes->nested;
            e.nested_count = t->notes->nested_count;
        }
        break;
    }
    return e;
}

/* It is the last one, and may fill some more. */
static bool batch_can_wait(struct txn_manager *m, const struct batch *b)
{
    if (b->rows < b->count || b->count >= ROW_WAIT_MAX || !list_empty(&b->readers) || m->id_wanted || m->rows_wanted)
        return false;
    if (m->rows_due_ms < 0)
        m->rows_due_ms = m->now_ms + ROW_WAIT_MS;
    return m->now_ms < m->rows_due_ms;
}

static void batch_done(struct store_request *r);

void batch_submit(struct txn_manager *m)
{
    struct list *first = list_first(&m->batches);
    struct batch *b;
    size_t at = 0, entry = 0;

    if (m->in_flight != NULL || m->poisoned || (first == NULL && !m->id_wanted) ||
        (first != NULL && batch_can_wait(m, batch_of(first))))
        return;
    b = first == NULL ? batch_new(m) : batch_of(first);
    if (b == NULL)
        return; /* the next poll tries again */
    for (size_t i = 0; i < b->count; i++) {
        b->entries[entry] = entry_of(&b->items[i], b->effects == NULL ? NULL : b->effects + at);
        at += b->entries[entry].effect_count;
        if (b->items[i].kind != ITEM_ROW)
            notes_split(b->items[i].txn, &b->entries[entry]);
        entry += entries_of(b->items[i].txn, b->items[i].kind);
    }
    CHECK(at == b->effect_count && entry == b->entry_count);
    b->request = (struct store_request){ .kind = STORE_COMMIT,
                                         .done = batch_done,
                                         .owner = b,
                                         .entries = b->entries,
                                         .entry_count = b->entry_count,
                                         .apart = m->stats.open > b->count };
    if (m->id_wanted) {
        m->id_block_began = m->id_next;
        b->request.txn_reserve = m->id_next + m->id_block - 1;
    }
    m->in_flight = b;
    m->rows_due_ms = -1;
    m->rows_wanted = false;
    m->stats.batches++;
    manager_submit(m, &b->request);
}

/* An early write of t is on disk, or was taken back. */
static void spill_over(struct txn *t, bool stored)
{
    t->spill_batch = 0;
    t->spill_stored = t->spill_stored || stored;
    if (t->state == TXN_UNDOING)
        txn_undo_step(t);
    else if (t->state == TXN_APPLYING)
        apply_step(t);
    else if (t->waiting_room)
        txn_wake(t);
}

static void item_stored(const struct batch_item *item)
{
    struct txn *t = item->txn;

    t->item_count--;
    switch (item->kind) {
    case ITEM_COMMIT:
        stored_note(t);
        undo_drop(&t->log, &t->m->kv);
        txn_unlock(t);
        txn_end(t);
        break;
    case ITEM_SPILL:
        undo_let_go(&t->spilling); /* what is too large for memory does not push all else out of it */
        undo_drop(&t->spilling, &t->m->kv);
        spill_over(t, true);
        break;
    case ITEM_ROW:
        txn_release(t);
        break;
    }
}

/* A block must outlast a few commits: it grows when ids go faster than that. */
static void ids_reserved(struct txn_manager *m, uint64_t reserved)
{
    if (reserved <= m->id_reserved)
        return;
    m->id_reserved = reserved;
    if (m->id_next - m->id_block_began > m->id_block / 4 && m->id_block < ID_BLOCK_MAX)
        m->id_block *= 2;
}

/* Those whose ids are on disk now go on; why: none is, and why not. */
static void ids_settle(struct txn_manager *m, const struct failure *why)
{
    struct list waiting, *node;

    list_init(&waiting);
    while ((node = list_pop(&m->unnumbered)) != NULL) {
        struct txn *t = list_entry(node, struct txn, wake_link);
        if (why != NULL)
            txn_doom(t, ERR_STORAGE, "the store cannot reserve numbers for transactions: %s", why->text);
        else if (t->id <= m->id_reserved)
            txn_wake(t);
        else
            list_push(&waiting, node);
    }
    while ((node = list_pop(&waiting)) != NULL)
        list_push(&m->unnumbered, node);
    if (why == NULL)
        manager_renew_ids(m);
}

static void batch_stored(struct batch *b)
{
    struct txn_manager *m = b->m;
    struct list *node;

    m->kv.durable = b->number;
    ids_reserved(m, b->request.txn_reserve);
    list_remove(&b->link);
    for (size_t i = 0; i < b->count; i++)
        item_stored(&b->items[i]);
    while ((node = list_pop(&b->readers)) != NULL)
        txn_end(list_entry(node, struct txn, link));
    batch_free(b);
}

/* Pass one of a failure, newest first: the effects go. */
static void batch_take_back(struct batch *b)
{
    for (size_t i = b->count; i > 0; i--) {
        struct txn *t = b->items[i - 1].txn;
        if (b->items[i - 1].kind == ITEM_COMMIT)
            undo_play(&t->log, &b->m->kv);
        else if (b->items[i - 1].kind == ITEM_SPILL)
            undo_play(&t->spilling, &b->m->kv);
    }
}

static void item_failed(const struct batch_item *item, const struct failure *why)
{
    struct txn *t = item->txn;

    t->item_count--;
    switch (item->kind) {
    case ITEM_COMMIT:
        t->failure = *why;
        t->row = false; /* the store takes no rows now */
        txn_move(t, TXN_UNDOING);
        txn_undo_step(t);
        break;
    case ITEM_SPILL:
        spill_over(t, false);
        break;
    case ITEM_ROW:
        txn_release(t);
        break;
    }
}

/* Pass two, oldest first: those in it go on. */
static void batch_failed(struct batch *b, const struct failure *why)
{
    struct list *node;

    for (size_t i = 0; i < b->count; i++)
        item_failed(&b->items[i], why);
    while ((node = list_pop(&b->readers)) != NULL) {
        struct txn *t = list_entry(node, struct txn, link);
        if (t->state == TXN_COMMITTING)
            t->failure = *why;
        txn_end(t);
    }
    batch_free(b);
}

#define UNREAD "the store could not write what this transaction had read; it was rolled back"

static void doom_dependents(struct txn_manager *m, uint64_t number)
{
    list_each (node, &m->open) {
        struct txn *t = list_entry(node, struct txn, link);
        if (t->depends < number && t->spill_batch < number && !m->poisoned)
            continue;
        t->depends = 0;
        undo_play(&t->log, &m->kv);
        if (t->state == TXN_APPLYING) /* nobody's any more; it goes on when what it waits for is over */
            fail(&t->failure, ERR_STORAGE, UNREAD);
        else
            txn_doom_told(t, ERR_STORAGE, UNREAD);
    }
}

/* All batches from that number on. */
static void batches_fail(struct txn_manager *m, uint64_t number, const struct failure *why)
{
    struct list failed, *node;

    list_init(&failed);
    m->rows_due_ms = -1;
    doom_dependents(m, number);
    while ((node = list_last(&m->batches)) != NULL && batch_of(node)->number >= number) {
        list_remove(node);
        list_push_front(&failed, node);
        batch_take_back(batch_of(node));
    }
    while ((node = list_pop(&failed)) != NULL)
        batch_failed(batch_of(node), why);
}

void manager_poison(struct txn_manager *m)
{
    struct failure why = { 0 };

    if (m->poisoned)
        return;
    m->poisoned = true;
    fail(&why, ERR_STORAGE, "the store takes no more writes; it was rolled back");
    batches_fail(m, m->in_flight == NULL ? 0 : m->in_flight->number + 1, &why);
}

static void batch_done(struct store_request *r)
{
    struct batch *b = r->owner;
    struct txn_manager *m = b->m;
    struct failure why = r->why;
    bool reserved = r->txn_reserve > 0;

    m->request_count--;
    m->in_flight = NULL;
    if (reserved)
        m->id_wanted = false;
    if (why.err == OK) {
        batch_stored(b);
        ids_settle(m, NULL);
        return;
    }
    m->store_failure = why;
    if (why.err == ERR_UNKNOWN)
        m->poisoned = true;
    else
        why.err = ERR_STORAGE;
    batches_fail(m, b->number, &why);
    if (reserved)
        ids_settle(m, &why);
}

/*
 * Telling what is on disk: effects of committed transactions on anything but kv and files, for those who wait for
 * events and timers.
 *
 * They are noted as their batch lands and told from txn_poll, before the transactions are told their end, when
 * everything is in order. Where memory for a note is short, or an early write has carried such effects, the listener is
 * told to look himself: he is never told less than there is.
 */
#include "txn/inside.h"

#include <stdlib.h>

struct stored_note {
    struct kv_entry *entry; /* pinned */
    struct blob *now;       /* owned reference; NULL: nothing */
};

enum { NOTES_KEPT = 1024 }; /* places that stay allocated */

static bool is_told(const struct undo_record *r)
{
    char resource = item_resource(r->entry->node.key);

    return resource != RESOURCE_KV && resource != RESOURCE_FILE;
}

static bool notes_reserve(struct stored_notes *n)
{
    size_t cap = n->cap == 0 ? 16 : 2 * n->cap;
    struct stored_note *list;

    if (n->count < n->cap)
        return true;
    list = reallocarray(n->list, cap, sizeof *list);
    if (list == NULL)
        return false;
    n->list = list;
    n->cap = cap;
    return true;
}

void stored_note(struct txn *t)
{
    struct txn_manager *m = t->m;
    struct stored_notes *n = &m->stored;

    if (m->options.stored == NULL)
        return;
    n->look = n->look || t->spilled_told;
    for (size_t i = 0; i < t->log.count && !n->look; i++) {
        const struct undo_record *r = &t->log.records[i];
        if (!is_told(r))
            continue;
        if (!notes_reserve(n)) {
            n->look = true;
            break;
        }
        kv_pin(&m->kv, r->entry);
        n->list[n->count++] = (struct stored_note){ r->entry, blob_ref(r->after) };
    }
}

void stored_spilled(struct txn *t)
{
    for (size_t i = 0; i < t->spilling.count && !t->spilled_told; i++)
        t->spilled_told = is_told(&t->spilling.records[i]);
}

static void tell(struct txn_manager *m, struct stored_note *note)
{
    struct bytes item = note->entry->node.key, now = { NULL, 0 };

    if (note->now != NULL)
        now = blob_bytes(note->now);
    m->options.stored(m->options.stored_arg, item_resource(item), item_key(item), note->now == NULL ? NULL : &now);
}

static void note_drop(struct txn_manager *m, struct stored_note *note)
{
    blob_drop(&note->now);
    kv_unpin(&m->kv, note->entry);
}

void stored_tell(struct txn_manager *m)
{
    struct stored_notes n = m->stored;

    m->stored = (struct stored_notes){ 0 }; /* what is noted meanwhile is for the next time */
    for (size_t i = 0; i < n.count; i++) {
        tell(m, &n.list[i]);
        note_drop(m, &n.list[i]);
    }
    if (n.look)
        m->options.stored(m->options.stored_arg, 0, bytes_of(NULL, 0), NULL);
    if (m->stored.cap == 0 && n.cap <= NOTES_KEPT)
        m->stored = (struct stored_notes){ .list = n.list, .cap = n.cap };
    else
        free(n.list);
}

void stored_free(struct txn_manager *m)
{
    for (size_t i = 0; i < m->stored.count; i++)
        note_drop(m, &m->stored.list[i]);
    free(m->stored.list);
    m->stored = (struct stored_notes){ 0 };
}

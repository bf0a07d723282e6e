/*
 * Reading keys ahead of their locks: who is going to lock some finds them in memory then, and need not wait with a worker in
 * his hands. Nothing is promised: what did not fit, or was changed meanwhile, is read again, or is known better.
 *
 * Only keys that nobody has locked are asked for, so what the store reads is committed (T1): whoever changes one later submits
 * that, and his own read, after this one. By the time of the answer his image is known, or his read is under way, and this one
 * is dropped.
 */
#include "txn/inside.h"

#include <stdlib.h>
#include <string.h>

struct txn_warmup {
    struct list link; /* manager.warmed */
    struct txn_manager *m;
    struct store_request request;
    void (*ready)(void *owner); /* NULL: nobody waits any more */
    void *owner;
    struct bytes keys[]; /* with their bytes behind them */
};

static bool is_cold(struct txn_manager *m, struct bytes key)
{
    struct bytes item;

    if (key.len == 0 || key.len > m->options.key_max)
        return false;
    item = item_name(m, RESOURCE_KV, key);
    return kv_find(&m->kv, item) == NULL && !lock_is_held(&m->locks, item);
}

static void take_in(struct txn_manager *m, const struct store_pair *pair)
{
    struct kv_entry *e;
    struct blob *value = NULL;

    if (kv_pin_key(&m->kv, item_name(m, RESOURCE_KV, pair->key), &e) != OK)
        return;
    if (!e->known && !e->loading && (!pair->value.present || (value = blob_new(pair->value.value)) != NULL))
        kv_set(e, value, 0);
    kv_unpin(&m->kv, e);
}

static void warm_done(struct store_request *r)
{
    struct txn_warmup *w = r->owner;

    w->m->request_count--;
    for (size_t i = 0; i < r->pair_count && r->why.err == OK; i++)
        take_in(w->m, &r->pairs[i]);
    store_request_fini(r);
    list_push(&w->m->warmed, &w->link);
}

void warm_tell(struct txn_manager *m)
{
    struct list warmed, *node;

    list_init(&warmed);
    list_move_all(&m->warmed, &warmed);
    while ((node = list_pop(&warmed)) != NULL) {
        struct txn_warmup *w = list_entry(node, struct txn_warmup, link);
        if (w->ready != NULL)
            w->ready(w->owner);
        free(w);
    }
}

static struct txn_warmup *warmup_new(const struct bytes *keys, const size_t *cold, size_t count)
{
    size_t size = 0;
    struct txn_warmup *w;
    uint8_t *at;

    for (size_t i = 0; i < count; i++)
        size += keys[cold[i]].len;
    w = malloc(sizeof *w + count * sizeof w->keys[0] + size);
    if (w == NULL)
        return NULL;
    at = (uint8_t *)(w->keys + count);
    for (size_t i = 0; i < count; i++) {
        w->keys[i] = bytes_of(at, keys[cold[i]].len);
        memcpy(at, keys[cold[i]].data, keys[cold[i]].len);
        at += keys[cold[i]].len;
    }
    return w;
}

bool txn_warm_up(struct txn_manager *m, const struct bytes *keys, size_t count, void (*ready)(void *owner), void *owner,
                 struct txn_warmup **out)
{
    size_t cold[TXN_WARM_MAX], n = 0;
    struct txn_warmup *w;

    for (size_t i = 0; i < count && n < TXN_WARM_MAX; i++)
        if (is_cold(m, keys[i]))
            cold[n++] = i;
    if (n == 0 || m->poisoned || (w = warmup_new(keys, cold, n)) == NULL)
        return false;
    w->m = m;
    w->ready = ready;
    w->owner = owner;
    w->link = (struct list){ 0 };
    w->request =
        (struct store_request){ .kind = STORE_GET, .done = warm_done, .owner = w, .keys = w->keys, .key_count = n };
    *out = w;
    manager_submit(m, &w->request);
    return true;
}

void txn_warm_drop(struct txn_warmup **w)
{
    if (*w != NULL)
        (*w)->ready = NULL;
    *w = NULL;
}

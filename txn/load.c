/*
 * Reading one image from the store: asked for once, however many wait for it. The entry is pinned meanwhile, and nobody
 * changes it, for a change needs its image first.
 */
#include "txn/inside.h"

#include <stdlib.h>

struct load {
    struct store_request request;
    struct txn_manager *m;
    struct kv_entry *entry; /* pinned */
    struct bytes key;       /* the entry's, without its resource */
};

static void load_answer(struct load *l)
{
    struct kv_entry *e = l->entry;
    struct list *node;
    const struct store_pair *pair = l->request.pairs;
    struct blob *value = NULL;
    enum err err = l->request.why.err;

    e->loading = false;
    if (err == OK && pair->value.present && (value = blob_new(pair->value.value)) == NULL)
        err = ERR_NOMEM;
    if (err == OK)
        kv_set(e, value, 0);
    while ((node = list_first(&e->waiters)) != NULL) {
        struct txn *t = list_entry(node, struct txn, wake_link);
        if (err == ERR_BADARG && t->files != NULL) {
            t->files->refused_entry = e;
            t->files->refused = l->request.why;
            txn_wake(t);
        } else if (err == ERR_NOMEM)
            txn_doom(t, ERR_NOMEM, "no memory for a value; try again later");
        else if (err != OK)
            txn_doom(t, ERR_STORAGE, "reading a key: %s", l->request.why.text);
        else
            txn_wake(t);
    }
}

static void load_done(struct store_request *r)
{
    struct load *l = r->owner;

    l->m->request_count--;
    load_answer(l);
    kv_unpin(&l->m->kv, l->entry);
    store_request_fini(r);
    free(l);
}

static enum err load_begin(struct txn_manager *m, struct kv_entry *e)
{
    struct load *l = calloc(1, sizeof *l);

    if (l == NULL)
        return ERR_NOMEM;
    kv_pin(&m->kv, e);
    e->loading = true;
    l->m = m;
    l->entry = e;
    l->key = item_key(e->node.key);
    l->request.resource = item_resource(e->node.key);
    l->request.kind = STORE_GET;
    l->request.done = load_done;
    l->request.owner = l;
    l->request.keys = &l->key;
    l->request.key_count = 1;
    manager_submit(m, &l->request);
    return OK;
}

enum err txn_see(struct txn *t, struct kv_entry *e, struct failure *why)
{
    if (e->known) {
        if (e->batch != KV_OPEN && e->batch > t->depends)
            t->depends = e->batch;
        return OK;
    }
    if (t->files != NULL && t->files->refused_entry == e) {
        t->files->refused_entry = NULL;
        return fail(why, t->files->refused.err, "%s", t->files->refused.text);
    }
    if (!e->loading && load_begin(t->m, e) != OK)
        return txn_no_memory(t, why);
    list_remove(&t->wake_link);
    list_push(&e->waiters, &t->wake_link);
    t->waiting = true;
    return ERR_WAIT;
}

/* What is to be taken back: which transactions, and what each of them did. Nothing is locked yet. */
#include "graftd/command_undo_impl.h"

#include "lib/resp.h"

#include <stdlib.h>

enum {
    CASCADE_MAX = 1000,                /* transactions taken back at once */
    UNDO_BYTES_MAX = 64 * 1024 * 1024, /* of their effects */
    DEPENDENTS_SHOWN = 8,              /* in a sentence */
    NAME_SHOWN = 64,                   /* bytes of a function's name in it */
};

/* True: the store said no, or nobody waits any more; u is gone. */
static bool ask_failed(struct undo *u, const struct store_request *s)
{
    struct failure why = { 0 };

    if (s->why.err == OK && u->r->client != NULL)
        return false;
    if (s->why.err == OK)
        fail(&why, ERR_LOST, "its client hung up");
    else
        fail(&why, s->why.err == ERR_ABSENT ? ERR_COMMAND : s->why.err, "%s", s->why.text);
    store_request_fini(&u->r->store);
    undo_fail(u, &why);
    return true;
}

/* ---- what each of them did ---- */

static void undo_load(struct undo *u);

static enum err check_shown(struct undo *u, struct undone *d, struct failure *why)
{
    const struct store_request *s = &d->shown;
    unsigned long long id = d->id;

    if (s->row_count > 0 && s->rows[0].effect_count == 0)
        return fail(why, ERR_COMMAND, "transaction %llu cannot be %s: it changed nothing", id, undo_name(u));
    if (s->row_count == 0 || s->effect_count == 0)
        return fail(why, ERR_COMMAND, "transaction %llu cannot be %s: what it changed is no longer kept in the history",
                    id, undo_name(u));
    for (size_t i = 0; i < s->effect_count; i++)
        u->bytes += s->effects[i].key.len + s->effects[i].before.value.len + s->effects[i].after.value.len;
    if (u->bytes > UNDO_BYTES_MAX)
        return fail(why, ERR_LIMIT, "too much would be taken back at once: more than %d bytes. limit=%d",
                    UNDO_BYTES_MAX, UNDO_BYTES_MAX);
    if (put_back_init(&d->back, s) != OK)
        return fail(why, ERR_NOMEM, "no memory for an undo");
    return OK;
}

static void show_done(struct store_request *s)
{
    struct undo *u = s->owner;
    struct undone *d = &u->list[u->loaded++];
    struct failure why = { 0 };

    if (ask_failed(u, s))
        return;
    if (check_shown(u, d, &why) != OK) {
        undo_fail(u, &why);
        return;
    }
    undo_load(u);
}

static void undo_load(struct undo *u)
{
    struct store *store = u->r->core->store;
    struct undone *d = &u->list[u->loaded];

    if (u->loaded == u->count) {
        undo_begin(u);
        return;
    }
    d->shown = (struct store_request){ .kind = STORE_SHOW, .txn = d->id, .done = show_done, .owner = u };
    store->ops->submit(store, &d->shown);
}

/* ---- what builds on it ---- */

static void refuse_dependents(struct undo *u)
{
    const struct store_request *s = &u->r->store;
    struct failure why = { 0 };
    struct buf list;
    char name[HISTORY_NAME_MAX], shown[NAME_SHOWN];

    buf_init(&list, FAILURE_TEXT_MAX);
    for (size_t i = 0; i < s->row_count && i < DEPENDENTS_SHOWN; i++)
        buf_addf(&list, "%s%llu (%s)", i == 0 ? "" : ", ", (unsigned long long)s->rows[i].txn,
                 bytes_show(bytes_str(history_name(s->rows[i].graft, s->rows[i].function, name)), shown, sizeof shown));
    if (s->row_count > DEPENDENTS_SHOWN)
        buf_addf(&list, " and %zu more", s->row_count - DEPENDENTS_SHOWN);
    fail(&why, ERR_CONFLICT,
         "transaction %llu cannot be %s alone: %.*s %s on it; CASCADE takes %s back, too. dependents=%zu",
         (unsigned long long)u->target, undo_name(u), (int)buf_len(&list), (const char *)buf_bytes(&list).data,
         s->row_count == 1 ? "builds" : "build", s->row_count == 1 ? "it" : "them", s->row_count);
    buf_fini(&list);
    store_request_fini(&u->r->store);
    undo_fail(u, &why);
}

static void dependents_done(struct store_request *s)
{
    struct request *r = s->owner;
    struct undo *u = r->undo;
    struct failure why = { 0 };

    if (ask_failed(u, s))
        return;
    if (s->row_count > 0 && !u->cascade) {
        refuse_dependents(u);
        return;
    }
    if (s->row_count >= CASCADE_MAX)
        fail(&why, ERR_LIMIT, "%zu transactions build on transaction %llu; at most %d are taken back at once. limit=%d",
             s->row_count, (unsigned long long)u->target, CASCADE_MAX - 1, CASCADE_MAX - 1);
    else if ((u->list = calloc(s->row_count + 1, sizeof *u->list)) == NULL)
        fail(&why, ERR_NOMEM, "no memory for an undo");
    if (why.err != OK) {
        store_request_fini(s);
        undo_fail(u, &why);
        return;
    }
    for (size_t i = 0; i < s->row_count; i++)
        u->list[u->count++].id = s->rows[i].txn;
    u->list[u->count++].id = u->target;
    store_request_fini(s);
    undo_load(u);
}

/* From the beginning, also after a deadlock: others may have committed meanwhile. */
void undo_ask(struct undo *u)
{
    struct request *r = u->r;

    undo_forget(u);
    buf_clear(&r->reply);
    r->store = (struct store_request){ .kind = STORE_DEPENDENTS, .txn = u->target };
    history_ask(r, dependents_done);
}

/* ---- what is redone ---- */

/* What is redone is what undid it. */
static void find_done(struct store_request *s)
{
    struct request *r = s->owner;
    struct undo *u = r->undo;
    struct failure why = { 0 };
    const struct store_row *row = s->rows;

    if (ask_failed(u, s))
        return;
    if (s->row_count == 0 || row->txn != u->target)
        fail(&why, ERR_COMMAND, "transaction %llu is not in the history: it changed nothing, is too old, or never was",
             (unsigned long long)u->target);
    else if (row->undone_by != 0)
        u->target = row->undone_by;
    else if (row->undoes == 0)
        fail(&why, ERR_COMMAND, "transaction %llu was not undone; there is nothing to redo",
             (unsigned long long)u->target);
    store_request_fini(s);
    if (why.err != OK)
        undo_fail(u, &why);
    else
        undo_ask(u);
}

void undo_find(struct undo *u)
{
    struct request *r = u->r;

    r->store = history_row(u->target);
    history_ask(r, find_done);
}

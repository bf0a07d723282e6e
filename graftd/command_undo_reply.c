/* What TXN UNDO and REDO answer. */
#include "graftd/command_undo_impl.h"

#include "lib/resp.h"

static void add_undone(struct undo *u)
{
    struct request *r = u->r;

    resp_add_bulk_str(&r->reply, "undone");
    resp_add_array(&r->reply, u->count);
    for (size_t i = 0; i < u->count; i++) {
        resp_add_map(&r->reply, 2, r->proto);
        history_add_number(r, "id", u->list[i].id);
        resp_add_bulk_str(&r->reply, "by");
        if (u->trial)
            resp_add_nil(&r->reply, r->proto);
        else
            resp_add_i64(&r->reply, (int64_t)u->list[i].by);
    }
}

static size_t event_count(const struct put_back *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->count; i++)
        n += put_back_keeps(p, i);
    return n;
}

/* The events of one, in the order in which they were told. */
static enum err add_events(struct request *r, const struct put_back *p)
{
    enum err err = OK;

    for (size_t i = 0; i < p->count && err == OK; i++) {
        const struct store_effect *e = &p->effects[i];
        if (!put_back_keeps(p, i))
            continue;
        resp_add_map(&r->reply, 3, r->proto);
        history_add_number(r, "id", p->txn);
        resp_add_bulk_str(&r->reply, "topic");
        resp_add_bulk(&r->reply, history_topic(e->key));
        resp_add_bulk_str(&r->reply, "data");
        err = resp_add_bulk(&r->reply, e->after.value);
    }
    return err;
}

static enum err add_kept(struct undo *u)
{
    size_t count = 0;
    enum err err;

    for (size_t i = 0; i < u->count; i++)
        count += event_count(&u->list[i].back);
    resp_add_bulk_str(&u->r->reply, "kept");
    err = resp_add_array(&u->r->reply, count);
    for (size_t i = u->count; i > 0 && err == OK; i--)
        err = add_events(u->r, &u->list[i - 1].back);
    return err;
}

enum err undo_add_reply(struct undo *u)
{
    struct request *r = u->r;
    enum err err;

    resp_add_map(&r->reply, 3, r->proto);
    add_undone(u);
    resp_add_bulk_str(&r->reply, "effects");
    err = history_add_effects_of(r, u->txn);
    return err == OK ? add_kept(u) : err;
}

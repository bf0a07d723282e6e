/* Taking back: lock, compare, put back, newest first; then commit, end a dry run, or ask anew. */
#include "graftd/command_undo_impl.h"

enum { RETRY_MAX = 20 }; /* times that it begins anew, unseen: after a deadlock, or when others came in between */

/* What stands in the way of files is known at the commit. */
static void refuse_end(struct undo *u, const struct failure *end)
{
    struct failure why = *end;

    if (!u->stale && (why.err == ERR_CONFLICT || why.err == ERR_STORAGE))
        fail_prefix(&why, "transaction %llu cannot be %s", (unsigned long long)u->target, undo_name(u));
    undo_fail(u, &why);
}

static void txn_ended(void *owner, const struct failure *why, uint64_t undone)
{
    struct undo *u = owner;

    (void)undone;
    u->txn = NULL;
    if (u->again) {
        u->again = false;
        undo_ask(u);
        return;
    }
    if (why->err != OK && why->err != ERR_TRIED) {
        refuse_end(u, why);
        return;
    }
    undo_done(u);
}

/* Effect i of one of them. */
static enum err take_back(struct undo *u, const struct undone *d, size_t i, struct failure *why)
{
    enum err err = put_back_step(&d->back, i, u->txn, &u->stale, &u->alike, why);

    if (u->stale)
        fail_prefix(why, "transaction %llu cannot be %s", (unsigned long long)u->target, undo_name(u));
    return err;
}

static enum err step(struct undo *u, struct failure *why)
{
    for (; u->at < u->count; u->at++, u->taken = 0) {
        struct undone *d = &u->list[u->at];
        enum err err = d->by != 0 ? OK : txn_undoes(u->txn, d->id, &d->by);
        for (; u->taken < d->back.count && err == OK; u->taken += err == OK)
            err = take_back(u, d, d->back.count - 1 - u->taken, why);
        if (err != OK)
            return err;
    }
    return OK;
}

/* All has been put back, or err says why not. */
static void decide(struct undo *u, enum err err, struct failure *why)
{
    int64_t now = port_wall_us(u->r->core->port);

    if (err == OK)
        err = undo_add_reply(u);
    u->running = false;
    if ((err == ERR_DEADLOCK || u->stale) && u->retries++ < RETRY_MAX) {
        u->again = true;
        txn_abort(u->txn, NULL, now, 0);
    } else if (err == OK && !u->trial) {
        txn_commit(u->txn, now, 0);
        request_decided(u->r);
    } else {
        if (err == OK)
            err = ERR_TRIED;
        fail(why, err, "%s", err_sentence(err));
        txn_abort(u->txn, why, now, 0);
    }
}

/* What builds on it is what is taken back with it. */
static bool same_dependents(const struct undo *u, const struct store_request *s)
{
    if (s->why.err != OK || s->row_count + 1 != u->count)
        return false;
    for (size_t i = 0; i < s->row_count; i++)
        if (s->rows[i].txn != u->list[i].id)
            return false;
    return true;
}

static void checked(struct store_request *s)
{
    struct request *r = s->owner;
    struct undo *u = r->undo;
    struct failure why = { 0 };
    enum err err = OK;

    u->asking = false;
    u->stale = !same_dependents(u, s);
    store_request_fini(s);
    if (r->client == NULL)
        err = fail(&why, ERR_LOST, "its client hung up");
    else if (u->stale)
        err = fail(&why, ERR_CONFLICT, "transaction %llu cannot be %s: others change the same files all the while",
                   (unsigned long long)u->target, undo_name(u));
    u->stale = u->stale && err != ERR_LOST;
    decide(u, err, &why);
}

static void run(struct undo *u)
{
    struct request *r = u->r;
    struct failure why = { 0 };
    enum err err = u->asking ? ERR_WAIT : step(u, &why);

    if (err == ERR_WAIT)
        return;
    if (err != OK || !u->alike) {
        decide(u, err, &why);
        return;
    }
    u->asking = true;
    r->store = (struct store_request){ .kind = STORE_DEPENDENTS, .txn = u->target };
    history_ask(r, checked);
}

static void txn_wakes(void *owner)
{
    struct undo *u = owner;

    if (u->running)
        run(u);
}

static const struct txn_events undo_events = { .wake = txn_wakes, .ended = txn_ended };

void undo_begin(struct undo *u)
{
    struct request *r = u->r;
    const struct principal *who = request_principal(r);
    struct txn_origin origin = { .function = u->redo ? "TXN REDO" : "TXN UNDO",
                                 .uid = who->uid,
                                 .gid = who->gid,
                                 .pid = (uint32_t)who->pid,
                                 .whole = true };
    struct failure why = { 0 };
    enum err err = txn_begin(r->core->txns, &origin, &undo_events, u, port_wall_us(r->core->port), &u->txn);

    if (err != OK) {
        fail(&why, err, "cannot begin a transaction: %s", err_sentence(err));
        undo_fail(u, &why);
        return;
    }
    u->running = true;
    run(u);
}

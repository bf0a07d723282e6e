/*
 * TXN UNDO and REDO: taking back what was committed, by a new transaction (T9).
 *
 *     (find) → ask what builds on it → read the effects of each → lock, compare, put back → commit, or end a dry run
 *
 * What builds on it is asked before anything is locked, so it is true of the past alone. What came in since is met by its
 * effects: each item must still hold what the effect made of it, seen under its lock; else nothing is undone, and it asks
 * anew once that is on disk (an abort ends no earlier than what it has read), for which there is a bound. With CASCADE
 * all of them are taken back, newest first, each told in the history as a transaction of its own, and all commit together.
 * Events stay told: the reply lists them.
 */
#include "graftd/audit.h"
#include "graftd/command.h"
#include "graftd/history.h"
#include "graftd/put_back.h"
#include "graftd/session.h"
#include "lib/resp.h"

#include <stdlib.h>

enum {
    CASCADE_MAX = 1000,                /* transactions taken back at once */
    UNDO_BYTES_MAX = 64 * 1024 * 1024, /* of their effects */
    DEPENDENTS_SHOWN = 8,              /* in a sentence */
    RETRY_MAX = 20, /* times that it begins anew, unseen: after a deadlock, or when others came in between */
    KEY_SHOWN = 64,
};

/* One that is taken back. */
struct undone {
    uint64_t id, by;            /* by: the transaction that the history will tell of; 0: not begun */
    struct store_request shown; /* owns its effects */
    struct put_back back;
};

struct undo {
    struct request *r;
    uint64_t target;
    bool cascade, trial, redo;
    struct undone *list; /* owned; newest first, the target is the last */
    size_t count, loaded;
    size_t bytes;
    struct txn *txn;
    bool running;     /* txn is ours to go on with */
    size_t at, taken; /* list[at] is being taken back, so many of its effects have been */
    bool stale;       /* an item does not hold what it should */
    bool alike;       /* what builds on it must be asked again, see put_back_step */
    bool asking;      /* it is */
    bool again;
    unsigned retries;
};

static void list_free(struct undo *u)
{
    for (size_t i = 0; i < u->loaded; i++) {
        put_back_fini(&u->list[i].back);
        store_request_fini(&u->list[i].shown);
    }
    free(u->list);
    u->list = NULL;
}

static void undo_free(struct undo *u)
{
    list_free(u);
    free(u);
}

static void undo_fail(struct undo *u, const struct failure *why)
{
    struct request *r = u->r;

    if (!u->trial)
        audit_asked(r, AUDIT_UNDO, RIGHT_UNDO, r->argv[2], why);
    r->undo = NULL;
    undo_free(u);
    request_fail(r, why);
}

static const char *name_of(const struct undo *u) { return u->redo ? "redone" : "undone"; }

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

/* ---- putting back ---- */

static void undo_ask(struct undo *u);

/* What stands in the way of files is known at the commit. */
static void refuse_end(struct undo *u, const struct failure *end)
{
    struct failure why = *end;

    if (!u->stale && (why.err == ERR_CONFLICT || why.err == ERR_STORAGE))
        fail_prefix(&why, "transaction %llu cannot be %s", (unsigned long long)u->target, name_of(u));
    undo_fail(u, &why);
}

static void txn_ended(void *owner, const struct failure *why, uint64_t undone)
{
    struct undo *u = owner;
    struct request *r = u->r;

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
    if (!u->trial)
        audit_asked(r, AUDIT_UNDO, RIGHT_UNDO, r->argv[2], NULL);
    r->undo = NULL;
    undo_free(u);
    request_done(r);
}

/* Effect i of one of them. */
static enum err take_back(struct undo *u, const struct undone *d, size_t i, struct failure *why)
{
    enum err err = put_back_step(&d->back, i, u->txn, &u->stale, &u->alike, why);

    if (u->stale)
        fail_prefix(why, "transaction %llu cannot be %s", (unsigned long long)u->target, name_of(u));
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

/* {undone: [{id, by}], effects: […], kept: [{id, topic, data}]} */
static enum err add_reply(struct undo *u)
{
    struct request *r = u->r;
    enum err err;

    resp_add_map(&r->reply, 3, r->proto);
    add_undone(u);
    resp_add_bulk_str(&r->reply, "effects");
    err = history_add_effects_of(r, u->txn);
    return err == OK ? add_kept(u) : err;
}

/* All has been put back, or err says why not. */
static void decide(struct undo *u, enum err err, struct failure *why)
{
    int64_t now = port_wall_us(u->r->core->port);

    if (err == OK)
        err = add_reply(u);
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
                   (unsigned long long)u->target, name_of(u));
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

static void undo_begin(struct undo *u)
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

/* ---- what is to be taken back ---- */

static void undo_load(struct undo *u);

static enum err check_shown(struct undo *u, struct undone *d, struct failure *why)
{
    const struct store_request *s = &d->shown;
    unsigned long long id = d->id;

    if (s->row_count > 0 && s->rows[0].effect_count == 0)
        return fail(why, ERR_COMMAND, "transaction %llu cannot be %s: it changed nothing", id, name_of(u));
    if (s->row_count == 0 || s->effect_count == 0)
        return fail(why, ERR_COMMAND, "transaction %llu cannot be %s: what it changed is no longer kept in the history",
                    id, name_of(u));
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

static const char *row_name(const struct store_row *row, char out[KEY_SHOWN])
{
    struct buf name;

    buf_init(&name, KEY_SHOWN - 1);
    buf_addf(&name, "%s%s%s", row->graft != NULL ? row->graft : "", row->graft != NULL ? "." : "",
             row->function != NULL ? row->function : "");
    bytes_show(buf_bytes(&name), out, KEY_SHOWN);
    buf_fini(&name);
    return out;
}

static void refuse_dependents(struct undo *u)
{
    const struct store_request *s = &u->r->store;
    struct failure why = { 0 };
    struct buf list;
    char name[KEY_SHOWN];

    buf_init(&list, FAILURE_TEXT_MAX);
    for (size_t i = 0; i < s->row_count && i < DEPENDENTS_SHOWN; i++)
        buf_addf(&list, "%s%llu (%s)", i == 0 ? "" : ", ", (unsigned long long)s->rows[i].txn,
                 row_name(&s->rows[i], name));
    if (s->row_count > DEPENDENTS_SHOWN)
        buf_addf(&list, " and %zu more", s->row_count - DEPENDENTS_SHOWN);
    fail(&why, ERR_CONFLICT,
         "transaction %llu cannot be %s alone: %.*s %s on it; CASCADE takes %s back, too. dependents=%zu",
         (unsigned long long)u->target, name_of(u), (int)buf_len(&list), (const char *)buf_bytes(&list).data,
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
static void undo_ask(struct undo *u)
{
    struct request *r = u->r;

    list_free(u);
    u->stale = u->alike = false;
    u->count = u->loaded = u->bytes = u->at = u->taken = 0;
    buf_clear(&r->reply);
    r->store = (struct store_request){ .kind = STORE_DEPENDENTS, .txn = u->target };
    history_ask(r, dependents_done);
}

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

static void undo_find(struct undo *u)
{
    struct request *r = u->r;

    r->store = history_row(u->target);
    history_ask(r, find_done);
}

/* Its client hung up: what is asked of the store ends by itself, see ask_failed. */
static void undo_lost(struct request *r)
{
    struct undo *u = r->undo;
    struct failure why = { 0 };

    if (u == NULL)
        return;
    u->again = false;
    if (!u->running || u->asking)
        return;
    u->running = false;
    fail(&why, ERR_LOST, "its client hung up");
    txn_abort(u->txn, &why, port_wall_us(r->core->port), 0);
}

static void undo(struct request *r, bool redo)
{
    struct undo *u;
    struct hold *hold = NULL;
    uint64_t id;
    bool cascade = false, trial = false;

    if (r->argc < 3 || !history_id(r->argv[2], &id)) {
        command_usage(r);
        return;
    }
    for (size_t i = 3; i < r->argc; i++) {
        bool *flag = arg_is(r->argv[i], "CASCADE") ? &cascade : arg_is(r->argv[i], "DRYRUN") ? &trial : NULL;
        if (flag == NULL || *flag) {
            command_usage(r);
            return;
        }
        *flag = true;
    }
    if (!command_may(r, RIGHT_UNDO, bytes_of(NULL, 0)))
        return;
    if (!session_enter(r, &hold))
        return;
    if (hold != NULL) {
        request_error(r, ERR_BADARG, "TXN %s is a transaction of its own; COMMIT or ROLLBACK first",
                      redo ? "REDO" : "UNDO");
        return;
    }
    u = calloc(1, sizeof *u);
    if (u == NULL) {
        request_error(r, ERR_NOMEM, "no memory for an undo");
        return;
    }
    *u = (struct undo){ .r = r, .target = id, .cascade = cascade, .trial = trial, .redo = redo };
    r->undo = u;
    r->cancel = undo_lost;
    if (redo)
        undo_find(u);
    else
        undo_ask(u);
}

void history_undo(struct request *r) { undo(r, false); }
void history_redo(struct request *r) { undo(r, true); }

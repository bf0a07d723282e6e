/*
 * Going back to a mark: taking back a part of a transaction (T8).
 *
 *  1. Effects still in memory go as an abort takes them, newest first (T5): as if they had never been made.
 *  2. Those of an early write are on disk with their undo records, and the end of the transaction is not known, so they
 *     are not touched there: they are read back, and put back by new effects, newest first, which carry undo records
 *     of their own. Whatever happens then, undo or crash, all of it is taken back in order.
 *  3. Locks stay (T6).
 */
#include "txn/inside.h"

#include "lib/check.h"

#include <stdlib.h>

struct rollback {
    struct store_request request;
    struct txn *txn; /* NULL: it has gone, this ends when the store is through with it */
    struct txn_manager *m;
    bool reading;    /* the store has the request */
    uint64_t mark;   /* effects to keep */
    uint64_t left;   /* effects not put back yet: those from mark on, up to this */
    uint64_t count;  /* effects taken back when all is done */
};

struct txn_mark txn_mark(const struct txn *t) { return (struct txn_mark){ t->effect_count }; }

static void rollback_free(struct rollback *b)
{
    store_request_fini(&b->request);
    free(b);
}

void rollback_close(struct txn *t)
{
    struct rollback *b = t->rollback;

    if (b == NULL)
        return;
    t->rollback = NULL;
    b->txn = NULL;
    if (!b->reading)
        rollback_free(b);
}

static void rollback_answer(struct rollback *b)
{
    const struct failure *why = &b->request.why;
    struct txn *t = b->txn;

    if (why->err == ERR_LIMIT || why->err == ERR_NOMEM)
        txn_doom(t, why->err, "going back to a mark: what was written early cannot be read back: %s", why->text);
    else if (why->err != OK)
        txn_doom(t, ERR_STORAGE, "going back to a mark: %s", why->text);
    else if (b->request.effect_count != t->spilled)
        txn_doom(t, ERR_STORAGE, "going back to a mark: the store has %zu effects of an early write of %llu",
                 b->request.effect_count, (unsigned long long)t->spilled);
    else if (t->waiting)
        txn_wake(t);
}

static void rollback_read_done(struct store_request *r)
{
    struct rollback *b = r->owner;

    b->m->request_count--;
    b->reading = false;
    if (b->txn == NULL)
        rollback_free(b);
    else
        rollback_answer(b);
}

static size_t take_back(struct txn *t, size_t keep)
{
    size_t count = undo_play_to(&t->log, &t->m->kv, keep);

    t->effect_count -= count;
    t->m->stats.undone += count;
    return count;
}

static enum err rollback_open(struct txn *t, struct txn_mark mark)
{
    struct rollback *b = calloc(1, sizeof *b);

    if (b == NULL)
        return ERR_NOMEM;
    *b = (struct rollback){ .txn = t, .m = t->m, .reading = true, .mark = mark.effects, .left = t->spilled,
                            .count = t->effect_count - mark.effects };
    take_back(t, 0);
    b->request = (struct store_request){ .kind = STORE_SHOW, .done = rollback_read_done, .owner = b, .txn = t->id };
    t->rollback = b;
    manager_submit(t->m, &b->request);
    return OK;
}

/* One effect: its item holds again what it held before. It is ours since the effect was made, and holds what that made
 * of it. */
static enum err put_back(struct txn *t, const struct store_effect *e, struct failure *why)
{
    enum err err = txn_room(t, why);

    if (err == OK)
        err = txn_reach_as(t, e->resource, e->key, &e->after, why);
    if (err != OK)
        return err;
    return e->before.present ? txn_change_to(t, e->before.value, why) : txn_change(t, NULL, why);
}

static enum err rollback_go_on(struct txn *t, struct rollback *b, struct failure *why)
{
    if (b->reading) {
        t->waiting = true;
        return ERR_WAIT;
    }
    for (; b->left > b->mark; b->left--) {
        enum err err = put_back(t, &b->request.effects[b->left - 1], why);
        if (err != OK)
            return err;
    }
    return OK;
}

static enum err rollback_step(struct txn *t, struct txn_mark mark, uint64_t *undone, struct failure *why)
{
    enum err err;

    CHECK(t->rollback != NULL ? t->rollback->mark == mark.effects : mark.effects <= t->effect_count);
    if (t->rollback == NULL && mark.effects >= t->spilled) {
        *undone = take_back(t, (size_t)(mark.effects - t->spilled));
        return OK;
    }
    if (t->rollback == NULL && t->spill_batch != 0)
        return txn_wait_room(t);
    if (t->rollback == NULL && rollback_open(t, mark) != OK)
        return txn_no_memory(t, why);
    err = rollback_go_on(t, t->rollback, why);
    if (err != OK)
        return err;
    *undone = t->rollback->count;
    return OK;
}

enum err txn_rollback_to(struct txn *t, struct txn_mark mark, uint64_t *undone, struct failure *why)
{
    enum err err = txn_again(t, why);

    scan_close(t);
    stage_close(t);
    if (err == OK)
        err = rollback_step(t, mark, undone, why);
    if (err != ERR_WAIT)
        rollback_close(t);
    return err;
}

/* What was done so far */

void txn_effects_each(const struct txn *t, void (*visit)(const struct store_effect *, void *user), void *user)
{
    undo_each(&t->spilling, visit, user);
    undo_each(&t->log, visit, user);
}

uint64_t txn_effects_left_out(const struct txn *t) { return t->spilled - t->spilling.count; }

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
#include "graftd/command_undo_impl.h"
#include "graftd/session.h"

#include <stdlib.h>

const char *undo_name(const struct undo *u) { return u->redo ? "redone" : "undone"; }

void undo_forget(struct undo *u)
{
    for (size_t i = 0; i < u->loaded; i++) {
        put_back_fini(&u->list[i].back);
        store_request_fini(&u->list[i].shown);
    }
    free(u->list);
    u->list = NULL;
    u->count = u->loaded = u->bytes = u->at = u->taken = 0;
    u->stale = u->alike = false;
}

/* What is to be told of it is told next. */
static struct request *undo_end(struct undo *u, const struct failure *why)
{
    struct request *r = u->r;

    if (!u->trial)
        audit_asked(r, AUDIT_UNDO, RIGHT_UNDO, r->argv[2], why);
    r->undo = NULL;
    undo_forget(u);
    free(u);
    return r;
}

void undo_fail(struct undo *u, const struct failure *why) { request_fail(undo_end(u, why), why); }

void undo_done(struct undo *u) { request_done(undo_end(u, NULL)); }

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

/* TXN UNDO id [CASCADE] [DRYRUN] */
static bool undo_words(const struct request *r, struct undo *u)
{
    if (r->argc < 3 || !history_id(r->argv[2], &u->target))
        return false;
    for (size_t i = 3; i < r->argc; i++) {
        bool *flag = arg_is(r->argv[i], "CASCADE") ? &u->cascade : arg_is(r->argv[i], "DRYRUN") ? &u->trial : NULL;
        if (flag == NULL || *flag)
            return false;
        *flag = true;
    }
    return true;
}

/* False: r is told why not. */
static bool undo_may(struct request *r, const struct undo *u)
{
    struct hold *hold = NULL;

    if (!command_may(r, RIGHT_UNDO, bytes_of(NULL, 0)) || !session_enter(r, &hold))
        return false;
    if (hold != NULL)
        request_error(r, ERR_BADARG, "TXN %s is a transaction of its own; COMMIT or ROLLBACK first",
                      u->redo ? "REDO" : "UNDO");
    return hold == NULL;
}

static void undo(struct request *r, bool redo)
{
    struct undo words = { .r = r, .redo = redo }, *u;

    if (!undo_words(r, &words)) {
        command_usage(r);
        return;
    }
    if (!undo_may(r, &words))
        return;
    u = malloc(sizeof *u);
    if (u == NULL) {
        request_error(r, ERR_NOMEM, "no memory for an undo");
        return;
    }
    *u = words;
    r->undo = u;
    r->cancel = undo_lost;
    if (redo)
        undo_find(u);
    else
        undo_ask(u);
}

void history_undo(struct request *r) { undo(r, false); }

void history_redo(struct request *r) { undo(r, true); }

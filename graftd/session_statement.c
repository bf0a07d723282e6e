/* Statements: what works in a session's transaction, one at a time. One that fails is taken back alone (T8). */
#include "graftd/session_impl.h"

#include "graftd/timer.h"

bool session_enter(struct request *r, struct hold **hold)
{
    struct session *s = session_at(r);

    *hold = NULL;
    if (s == NULL && r->core->draining) {
        request_error(r, ERR_BUSY, "graftd is stopping"); /* r may be gone */
        return false;
    }
    if (s == NULL)
        return true;
    if (!session_is_open(s, r))
        return false;
    s->statement = r;
    *hold = &s->hold;
    return true;
}

void session_work(struct request *r, void (*wake)(void *))
{
    struct session *s = session_at(r);

    hold_enter(&s->hold, &s->frame, wake, r);
    s->entered = true;
}

static void leave(struct session *s)
{
    hold_leave(&s->hold, &s->frame);
    s->entered = false;
}

enum err session_go_back(struct session *s, struct txn_mark mark)
{
    struct failure why = { 0 };
    uint64_t undone;
    enum err err = txn_rollback_to(s->hold.txn, mark, &undone, &why);

    if (err == ERR_WAIT)
        return err;
    if (err != OK) {
        session_end(s, err, why.text);
        return err;
    }
    timers_give_back(s->core->timers, txn_effect_count(s->hold.txn), &s->hold.places);
    leave(s);
    return OK;
}

static void take_back(void *owner)
{
    struct session *s = owner;
    struct request *r = s->statement;

    if (session_go_back(s, s->frame.mark) == OK)
        request_fail(r, &s->refusal);
}

void session_worked(struct request *r, const struct failure *why)
{
    struct session *s = session_at(r);

    if (why->err == OK) {
        leave(s);
        request_done(r);
        return;
    }
    s->refusal = *why;
    s->hold.wake = take_back;
    s->hold.worker = s;
    take_back(s);
}

void session_stop(struct session *s)
{
    struct request *r = s->statement;

    if (r == NULL)
        return;
    if (r->call != NULL)
        call_discard(r->call);
    else if (s->entered)
        hold_leave(&s->hold, &s->frame);
    s->entered = false;
    s->statement = NULL;
    s->waiting = r;
    r->call = NULL;
    r->step = NULL;
    r->txn = NULL;
    r->cancel = NULL;
}

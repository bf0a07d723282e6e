/*
 * A small transaction of a request's own, or work in the one that its connection holds; see command_transact() in
 * command.h. The victim of a deadlock begins anew, unseen (T6).
 */
#include "graftd/command.h"
#include "graftd/hold.h"
#include "graftd/session.h"

enum { RETRY_MAX = 100 }; /* times that a deadlock may undo one request; one more is told */

static void txn_ended(void *owner, const struct failure *why, uint64_t undone)
{
    struct request *r = owner;
    enum err (*again)(struct request *, struct failure *) = r->again;

    (void)undone;
    r->txn = NULL;
    if (again != NULL) {
        r->again = NULL;
        r->retries++;
        r->at = 0;
        buf_clear(&r->reply);
        command_transact(r, again);
        return;
    }
    if (why->err != OK)
        request_fail(r, why);
    else
        request_done(r);
}

static void run_step(struct request *r)
{
    struct port *port = r->core->port;
    struct failure why = { 0 };
    struct txn *t = r->txn;
    enum err (*step)(struct request *, struct failure *) = r->step;
    enum err err = step(r, &why);

    if (err == ERR_WAIT)
        return;
    r->step = NULL; /* the transaction is not ours any more */
    if (r->hold != NULL) {
        if (err != OK)
            fail(&why, err, "%s", err_sentence(err));
        session_worked(r, &why);
        return;
    }
    if (err == OK) {
        bool lingers = txn_lingers(t);
        txn_commit(t, port_wall_us(port), 0);
        if (!lingers)
            request_decided(r);
        return;
    }
    if (err == ERR_DEADLOCK && r->retries < RETRY_MAX) {
        r->again = step;
        txn_abort(t, NULL, port_wall_us(port), 0);
        return;
    }
    fail(&why, err, "%s", err_sentence(err));
    txn_abort(t, &why, port_wall_us(port), 0);
}

static void txn_wakes(void *owner)
{
    struct request *r = owner;

    if (r->step != NULL)
        run_step(r);
}

static const struct txn_events transact_events = { .wake = txn_wakes, .ended = txn_ended };

static void client_lost(struct request *r)
{
    struct failure why = { 0 };

    r->again = NULL;
    if (r->step == NULL)
        return;
    r->step = NULL;
    fail(&why, ERR_LOST, "its client hung up");
    txn_abort(r->txn, &why, port_wall_us(r->core->port), 0);
}

void command_transact(struct request *r, enum err (*step)(struct request *, struct failure *))
{
    const struct principal *who = request_principal(r);
    struct txn_origin origin = {
        .function = r->command->name, .uid = who->uid, .gid = who->gid, .pid = (uint32_t)who->pid
    };
    enum err err;

    if (!session_enter(r, &r->hold))
        return;
    if (r->hold != NULL) {
        r->txn = r->hold->txn;
        r->step = step;
        session_work(r, txn_wakes);
        run_step(r);
        return;
    }
    err = txn_begin(r->core->txns, &origin, &transact_events, r, port_wall_us(r->core->port), &r->txn);
    if (err != OK) {
        request_error(r, err, "cannot begin a transaction: %s", err_sentence(err));
        return;
    }
    r->cancel = client_lost;
    r->step = step;
    run_step(r);
}

/* The life of a session, and the commands that begin and end it. See session.h for the states. */
#include "graftd/session_impl.h"

#include "graftd/timer.h"
#include "lib/check.h"
#include "lib/resp.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const struct state session_states[] = {
    [QUEUING] = { "queuing", STATE_BIT(OPEN) | STATE_BIT(GONE) },
    [OPEN] = { "open", STATE_BIT(COMMITTING) | STATE_BIT(UNDOING) },
    [COMMITTING] = { "committing", STATE_BIT(GONE) },
    [UNDOING] = { "undoing", STATE_BIT(LOST) | STATE_BIT(OPEN) | STATE_BIT(GONE) },
    [LOST] = { "lost", STATE_BIT(GONE) },
    [GONE] = { "gone", 0 },
};

static void session_move(struct session *s, enum session_state next) { state_move(session_states, &s->state, next); }

struct session *session_at(const struct request *r) { return r->client != NULL ? client_session(r->client) : NULL; }

/* ---- its life ---- */

struct session *session_new(struct request *r)
{
    struct session *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    *s = (struct session){
        .core = r->core,
        .client = r->client,
        .state = QUEUING,
        .who = *request_principal(r),
        .begun_ms = port_now_ms(r->core->port),
        .begun_us = port_wall_us(r->core->port),
        .idle_ms = policy_limits(r->core->policy)->idle_ms,
    };
    list_init(&s->parts);
    client_set_session(s->client, s);
    return s;
}

void session_detach(struct session *s)
{
    if (s->client != NULL)
        client_set_session(s->client, NULL);
    s->client = NULL;
}

static void parts_free(struct session *s)
{
    struct list *node;

    while ((node = list_pop(&s->parts)) != NULL) {
        struct request *part = list_entry(node, struct request, link);
        request_part_free(&part);
    }
}

void session_free(struct session *s)
{
    CHECK(s->client == NULL && s->hold.txn == NULL);
    session_move(s, GONE);
    parts_free(s);
    s->core->port->ops->timer_free(&s->timer);
    free(s);
}

/* The transaction is on its way to its end. */
static struct txn *give(struct session *s, enum session_state next)
{
    struct txn *t = s->hold.txn;

    CHECK(s->statement == NULL && s->hold.depth == 0);
    session_move(s, next);
    s->hold.txn = NULL;
    s->core->port->ops->timer_stop(s->timer);
    list_remove(&s->link);
    s->core->session_count--;
    return t;
}

static void committed(struct session *s, const struct failure *why)
{
    struct request *r = s->waiting;

    if (why->err != OK)
        request_error(r, why->err, "%s. txn=%" PRIu64, why->text, s->hold.id);
    else
        request_done(r);
    session_free(s);
}

/* Why it was rolled back. */
static void tell_why(struct session *s, struct request *r)
{
    const char *next = s->client != NULL ? ": ROLLBACK ends it, then begin anew" : "";
    const char *space = s->facts[0] != '\0' ? " " : "";
    char text[FAILURE_TEXT_MAX + SESSION_FACTS_MAX];

    if (s->exec == NULL) {
        request_error(r, s->why.err, "%s; rolled back%s. txn=%" PRIu64 " undone=%" PRIu64 "%s%s", s->why.text, next,
                      s->hold.id, s->undone, space, s->facts);
        return;
    }
    snprintf(text, sizeof text, "%s %s; rolled back. txn=%" PRIu64 " undone=%" PRIu64, err_word(s->why.err),
             s->why.text, s->hold.id, s->undone);
    buf_clear(&r->reply);
    resp_add_error(&r->reply, "EXECABORT", text);
    request_done(r);
}

/* Nothing of it is left. Who waits is told last: then the connection goes on, and may end the session. */
static void rolled_back(struct session *s, const struct failure *why)
{
    struct request *r = s->waiting;
    bool last;

    s->waiting = NULL;
    session_move(s, LOST);
    if (s->exec != NULL)
        session_detach(s);
    last = s->client == NULL;
    if (r != NULL && !s->wanted) {
        tell_why(s, r);
    } else if (r != NULL && why->err == ERR_STORAGE) {
        request_fail(r, why);
    } else if (r != NULL) {
        resp_add_status(&r->reply, "OK");
        request_done(r);
    }
    if (last)
        session_free(s);
}

static void txn_ended(void *owner, const struct failure *why, uint64_t undone)
{
    struct session *s = owner;

    if (s->core->draining)
        port_soon(s->core->port); /* this may be what the drain waited for */
    s->undone = undone;
    timers_settle(s->core->timers, s->state == COMMITTING && why->err == OK, &s->hold.places);
    if (s->state == COMMITTING)
        committed(s, why);
    else if (s->retrying && s->client != NULL && !s->core->draining)
        exec_again(s);
    else
        rolled_back(s, why);
}

static void txn_wakes(void *owner)
{
    struct session *s = owner;

    hold_woken(&s->hold);
}

static void txn_doomed(void *owner)
{
    struct session *s = owner;
    const struct failure *why = txn_failure(s->hold.txn);

    session_end(s, why->err, why->text);
}

static const struct txn_events txn_events = { .wake = txn_wakes, .ended = txn_ended, .doomed = txn_doomed };

enum err session_open(struct session *s, const char *function, struct failure *why)
{
    struct txn_origin origin = {
        .function = function,
        .uid = s->who.uid,
        .gid = s->who.gid,
        .pid = (uint32_t)s->who.pid,
        .hold_ms = s->idle_ms,
    };
    struct txn *t;
    enum err err;

    if (session_time_open(s) != OK)
        return fail(why, ERR_NOMEM, "no memory for another transaction");
    err = txn_begin(s->core->txns, &origin, &txn_events, s, s->begun_us, &t);
    if (err != OK)
        return fail(why, err, "cannot begin a transaction: %s", err_sentence(err));
    session_move(s, OPEN);
    s->hold = (struct hold){ .txn = t, .id = txn_id(t) };
    list_push(&s->core->sessions, &s->link);
    s->core->session_count++;
    return OK;
}

void session_give_commit(struct session *s, struct request *r)
{
    bool lingers = txn_lingers(s->hold.txn);

    session_detach(s);
    s->waiting = r;
    txn_commit(give(s, COMMITTING), port_wall_us(s->core->port), 0);
    if (!lingers) /* else the connection's next request might wait for our locks, in vain */
        request_decided(r);
}

void session_end(struct session *s, enum err err, const char *text)
{
    int64_t now = port_wall_us(s->core->port);

    fail(&s->why, err, "%s", text);
    session_stop(s);
    if (s->exec != NULL) {
        s->waiting = s->exec;
        s->retrying = txn_retryable(err) && s->retries < EXEC_RETRY_MAX;
    }
    txn_abort(give(s, UNDOING), s->retrying || s->wanted ? NULL : &s->why, now, 0);
}

void session_end_all(struct core *core, enum err err, const char *why)
{
    struct list *node;

    while ((node = list_first(&core->sessions)) != NULL)
        session_end(session_of(node), err, why);
}

void session_close(struct session *s, const char *why)
{
    session_detach(s);
    if (s->state == OPEN)
        session_end(s, ERR_LOST, why);
    else if (s->state != UNDOING)
        session_free(s);
}

/* ---- the commands ---- */

struct session *session_wanted(struct request *r)
{
    struct session *s = session_at(r);

    if (s == NULL)
        request_error(r, ERR_COMMAND, "%s without BEGIN: this connection holds no transaction", r->command->name);
    return s;
}

bool session_is_open(struct session *s, struct request *r)
{
    if (s->state == OPEN)
        return true;
    if (s->state == UNDOING)
        s->waiting = r;
    else
        tell_why(s, r);
    return false;
}

void session_cannot(struct request *r, const struct failure *why)
{
    client_quit(r->client);
    request_fail(r, why);
}

void session_begin(struct request *r, uint64_t timeout_ms)
{
    struct failure why = { 0 };
    struct session *s;

    if (session_at(r) != NULL) {
        request_error(r, ERR_COMMAND,
                      "BEGIN inside BEGIN: COMMIT or ROLLBACK the transaction that this connection holds");
        return;
    }
    if (r->core->draining) {
        request_error(r, ERR_BUSY, "graftd is stopping");
        return;
    }
    s = session_new(r);
    if (s == NULL) {
        fail(&why, ERR_NOMEM, "no memory for another transaction");
        session_cannot(r, &why);
        return;
    }
    s->timeout_ms = timeout_ms;
    if (session_open(s, "BEGIN", &why) != OK) {
        session_detach(s);
        session_free(s);
        session_cannot(r, &why);
        return;
    }
    resp_add_status(&r->reply, "OK");
    request_done(r);
}

/* It is over, and r ends it. */
static void end_lost(struct session *s, struct request *r)
{
    session_detach(s);
    if (s->state == UNDOING) {
        s->waiting = r;
        return;
    }
    if (s->wanted) {
        resp_add_status(&r->reply, "OK");
        request_done(r);
    } else {
        tell_why(s, r);
    }
    session_free(s);
}

void session_commit(struct request *r)
{
    struct session *s = session_wanted(r);

    if (s == NULL)
        return;
    if (s->state != OPEN) {
        end_lost(s, r);
        return;
    }
    resp_add_status(&r->reply, "OK");
    session_give_commit(s, r);
}

void session_roll_back(struct request *r)
{
    struct session *s = session_wanted(r);

    if (s == NULL)
        return;
    s->wanted = true;
    if (s->state != OPEN) {
        end_lost(s, r);
        return;
    }
    session_detach(s);
    s->waiting = r;
    session_end(s, ERR_ABORTED, "rolled back");
    request_decided(r);
}

/* ---- for who operates graftd ---- */

struct session *session_of(struct list *node) { return list_entry(node, struct session, link); }

struct session *session_find(struct core *core, uint64_t txn)
{
    list_each (node, &core->sessions)
        if (session_of(node)->hold.id == txn)
            return session_of(node);
    return NULL;
}

void session_view(const struct session *s, struct call_view *v)
{
    *v = (struct call_view){
        .txn = s->hold.id,
        .state = session_states[s->state].name,
        .function = s->exec != NULL ? "EXEC" : "BEGIN",
        .uid = s->who.uid,
        .begun_us = s->begun_us,
        .effects = txn_effect_count(s->hold.txn),
    };
}

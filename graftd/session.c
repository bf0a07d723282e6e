/* See session.h for the states, and session_impl.h for what is where. */
#include "graftd/session_impl.h"

#include "lib/check.h"
#include "lib/resp.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct state session_states[] = {
    [QUEUING] = { "queuing", STATE_BIT(OPEN) | STATE_BIT(GONE) },
    [OPEN] = { "open", STATE_BIT(COMMITTING) | STATE_BIT(UNDOING) },
    [COMMITTING] = { "committing", STATE_BIT(GONE) },
    [UNDOING] = { "undoing", STATE_BIT(LOST) | STATE_BIT(OPEN) | STATE_BIT(GONE) },
    [LOST] = { "lost", STATE_BIT(GONE) },
    [GONE] = { "gone", 0 },
};

static void session_move(struct session *s, enum session_state next) { state_move(session_states, &s->state, next); }

static struct session *session_at(const struct request *r)
{
    return r->client != NULL ? client_session(r->client) : NULL;
}

/* ---- its time ---- */

static void arm(struct session *s)
{
    int64_t now = port_now_ms(s->core->port), due = INT64_MAX;

    if (s->timeout_ms != 0)
        due = s->begun_ms + (int64_t)s->timeout_ms;
    if (s->idle_since_ms != 0 && s->idle_since_ms + (int64_t)s->idle_ms < due)
        due = s->idle_since_ms + (int64_t)s->idle_ms;
    if (due == INT64_MAX)
        s->core->port->ops->timer_stop(s->timer);
    else
        s->core->port->ops->timer_start(s->timer, due > now ? (uint64_t)(due - now) : 0);
}

static void time_is_up(void *owner)
{
    struct session *s = owner;
    int64_t now = port_now_ms(s->core->port), open_ms = now - s->begun_ms, idle_ms = now - s->idle_since_ms;
    char text[128];

    if (s->state != OPEN)
        return;
    if (s->timeout_ms != 0 && open_ms >= (int64_t)s->timeout_ms) {
        snprintf(s->facts, sizeof s->facts, "wall_ms=%" PRIi64 " limit_ms=%" PRIu64, open_ms, s->timeout_ms);
        snprintf(text, sizeof text, "the transaction took its %" PRIu64 " ms of time", s->timeout_ms);
        session_end(s, ERR_TIMEOUT, text);
    } else if (s->idle_since_ms != 0 && idle_ms >= (int64_t)s->idle_ms) {
        snprintf(s->facts, sizeof s->facts, "idle_ms=%" PRIi64 " limit_ms=%" PRIu64, idle_ms, s->idle_ms);
        snprintf(text, sizeof text, "the transaction waited its %" PRIu64 " ms for the next request", s->idle_ms);
        session_end(s, ERR_TIMEOUT, text);
    } else {
        arm(s);
    }
}

void session_busy(struct session *s)
{
    s->idle_since_ms = 0;
    if (s->state == OPEN)
        arm(s);
}

void session_rest(struct session *s, const struct request *r)
{
    const struct failure *why;

    if (s->statement == r)
        s->statement = NULL;
    if (s->state != OPEN || s->exec != NULL)
        return;
    why = txn_failure(s->hold.txn);
    if (why->err != OK) {
        session_end(s, why->err, why->text);
        return;
    }
    s->idle_since_ms = port_now_ms(s->core->port);
    arm(s);
}

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
static void session_tell(struct session *s, struct request *r)
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
        session_tell(s, r);
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

    if (s->timer == NULL && (s->timer = s->core->port->ops->timer_new(s->core->port, time_is_up, s)) == NULL)
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

/* What works in it ends without a word; who asked for it is told when all is undone. */
static void statement_stop(struct session *s)
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

void session_end(struct session *s, enum err err, const char *text)
{
    int64_t now = port_wall_us(s->core->port);

    fail(&s->why, err, "%s", text);
    statement_stop(s);
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

/* ---- statements ---- */

/* False: it is not there to be used; r is told why, now or when it is undone. */
static bool is_open(struct session *s, struct request *r)
{
    if (s->state == OPEN)
        return true;
    if (s->state == UNDOING)
        s->waiting = r;
    else
        session_tell(s, r);
    return false;
}

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
    if (!is_open(s, r))
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

/* A part of it cannot be taken back alone: it goes as a whole. ERR_WAIT: not yet. */
static enum err go_back(struct session *s, struct txn_mark mark)
{
    struct failure why = { 0 };
    uint64_t undone;
    enum err err = txn_rollback_to(s->hold.txn, mark, &undone, &why);

    if (err == ERR_WAIT)
        return err;
    if (err != OK)
        session_end(s, err, why.text);
    else
        leave(s);
    return err;
}

static void take_back(void *owner)
{
    struct session *s = owner;
    struct request *r = s->statement;

    if (go_back(s, s->frame.mark) == OK)
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

/* ---- the commands ---- */

/* The session that BEGIN began; NULL: r is told that there is none. */
static struct session *session_wanted(struct request *r)
{
    struct session *s = session_at(r);

    if (s == NULL)
        request_error(r, ERR_COMMAND, "%s without BEGIN: this connection holds no transaction", r->command->name);
    return s;
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
        session_tell(s, r);
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

/* ---- savepoints ---- */

static bool find_savepoint(struct session *s, struct request *r, struct bytes name, size_t *at)
{
    char shown[SAVEPOINT_NAME_MAX];

    for (size_t i = s->savepoint_count; i-- > 0;)
        if (bytes_equal(bytes_of(s->savepoints[i].name, s->savepoints[i].len), name)) {
            *at = i;
            return true;
        }
    request_error(r, ERR_BADARG, "there is no savepoint \"%s\" in this transaction",
                  bytes_show(name, shown, sizeof shown));
    return false;
}

void session_savepoint(struct request *r, struct bytes name)
{
    struct session *s = session_wanted(r);
    struct savepoint *p;

    if (s == NULL || !is_open(s, r))
        return;
    if (name.len == 0 || name.len > SAVEPOINT_NAME_MAX) {
        request_error(r, ERR_BADARG, "a savepoint's name has 1 to %d bytes, this one %zu", SAVEPOINT_NAME_MAX,
                      name.len);
        return;
    }
    if (s->savepoint_count == SAVEPOINT_MAX) {
        request_error(r, ERR_LIMIT, "a transaction has at most %d savepoints: RELEASE some. limit=%d", SAVEPOINT_MAX,
                      SAVEPOINT_MAX);
        return;
    }
    p = &s->savepoints[s->savepoint_count++];
    *p = (struct savepoint){ .len = name.len, .mark = txn_mark(s->hold.txn) };
    memcpy(p->name, name.data, name.len);
    resp_add_status(&r->reply, "OK");
    request_done(r);
}

void session_release(struct request *r, struct bytes name)
{
    struct session *s = session_wanted(r);
    size_t at;

    if (s == NULL || !is_open(s, r) || !find_savepoint(s, r, name, &at))
        return;
    s->savepoint_count = at;
    resp_add_status(&r->reply, "OK");
    request_done(r);
}

static void to_savepoint(void *request)
{
    struct request *r = request;
    struct session *s = session_at(r);

    if (go_back(s, s->savepoints[s->target].mark) != OK)
        return;
    s->savepoint_count = s->target + 1;
    resp_add_status(&r->reply, "OK");
    request_done(r);
}

void session_roll_back_to(struct request *r, struct bytes name)
{
    struct session *s = session_wanted(r);

    if (s == NULL || !is_open(s, r) || !find_savepoint(s, r, name, &s->target))
        return;
    s->statement = r;
    session_work(r, to_savepoint);
    to_savepoint(r);
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

/* See call.h for the states, and call_impl.h for what is where. */
#include "graftd/call_impl.h"

#include "graftd/timer.h"
#include "lib/value.h"
#include "lib/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct state call_states[] = {
    [QUEUED] = { "queued", STATE_BIT(FETCHING) | STATE_BIT(ABORTING) | STATE_BIT(DONE) },
    [FETCHING] = { "fetching", STATE_BIT(SENT) | STATE_BIT(RUNNING) | STATE_BIT(ABORTING) | STATE_BIT(DONE) },
    [SENT] = { "sent", STATE_BIT(RUNNING) | STATE_BIT(ABORTING) },
    [RUNNING] = { "running", STATE_BIT(COMMITTING) | STATE_BIT(ABORTING) | STATE_BIT(DONE) },
    [COMMITTING] = { "committing", STATE_BIT(DONE) },
    [ABORTING] = { "aborting", STATE_BIT(DONE) | STATE_BIT(QUEUED) },
    [DONE] = { "done", 0 },
};

void call_move(struct call *c, enum call_state next) { state_move(call_states, &c->state, next); }

static bool is_nested(const struct call *c) { return c->hold != &c->own; }

uint64_t call_measure(struct call *c)
{
    uint64_t us = seat_used_us(&c->seat) + c->children_cpu_us;

    return c->child != NULL && c->child->state == RUNNING ? us + call_measure(c->child) : us;
}

/* ---- the end ---- */

/* The error as the client sees it: sentence, what became of it, facts. */
static void compose_error(struct call *c, uint64_t undone, struct failure *out)
{
    const char *gap = c->why.err == ERR_ABORTED ? ": " : " ", *space = c->host.facts[0] != '\0' ? " " : "";

    if (c->txn_id == 0 || c->request.inner) /* whoever called it says what became of the transaction */
        fail(out, c->why.err, "%s%s%s%s%s%s", c->label, gap, c->why.text, space[0] != '\0' ? "." : "", space,
             c->host.facts);
    else
        fail(out, c->why.err, "%s%s%s; rolled back. txn=%" PRIu64 " undone=%" PRIu64 "%s%s", c->label, gap, c->why.text,
             c->txn_id, undone, space, c->host.facts);
}

static void call_free(struct call *c)
{
    graft_drop(c->graft);
    txn_warm_drop(&c->warmup);
    c->core->port->ops->timer_free(&c->timer);
    buf_fini(&c->reply);
    buf_fini(&c->child_answer);
    free(c->child_args);
    free(c->order);
    free(c);
}

/* A call inside a call is its caller's alone; all others are in the list of those that run. */
static void call_leave_list(struct call *c)
{
    if (!list_linked(&c->link))
        return;
    list_remove(&c->link);
    c->core->call_count--;
    if (c->core->draining)
        port_soon(c->core->port); /* the drain goes on in a tick, and this may be what it waited for */
}

static void call_finish(struct call *c, const struct failure *why)
{
    call_move(c, DONE);
    c->graft->calls++;
    c->core->stats.calls++;
    if (why->err != OK) {
        c->graft->failed++;
        c->core->stats.failed[why->err]++;
    } else if (!c->request.trial) {
        c->core->stats.committed++;
    }
    call_leave_list(c);
    call_leave_order(c);
    c->events->done(c->owner, why, buf_bytes(&c->reply));
    call_free(c);
}

/* It is undone: as the victim of a deadlock (T6), because it was taken back, or because it lost its worker before anything
 * came of it. Runs anew, unseen, within the deadline that it had. */
static void call_again(struct call *c)
{
    struct port *port = c->core->port;
    int64_t now = port_now_ms(port);

    c->retrying = c->tainted = c->child_ended = c->timer_taken = false;
    c->attempts += c->why.err == ERR_DEADLOCK;
    c->core->stats.retries += c->bereft || c->why.err == ERR_DEADLOCK;
    c->bereft = false;
    failure_clear(&c->why);
    buf_clear(&c->reply);
    buf_clear(&c->child_answer);
    c->host.facts[0] = '\0';
    c->host.memory_refused = false;
    c->host.disk_used = 0;
    c->host.timer[0] = '\0';
    c->fetched = 0;
    c->children_cpu_us = 0;
    call_move(c, QUEUED);
    if (c->wall_end_ms != 0)
        port->ops->timer_start(c->timer, (uint64_t)(c->wall_end_ms > now ? c->wall_end_ms - now : 0));
    call_queue(c);
}

/* A commit that met the disk's trouble: what it says is the store's sentence, not ours to soften. */
static void txn_ended(void *owner, const struct failure *why, uint64_t undone)
{
    struct call *c = owner;
    struct failure told = { 0 };

    c->own.txn = NULL;
    timers_settle(c->core->timers, c->state == COMMITTING && why->err == OK, &c->own.places);
    if (c->retrying) {
        call_again(c);
        return;
    }
    if (c->state == ABORTING)
        compose_error(c, undone, &told);
    else if (why->err != OK && why->err != ERR_TRIED)
        fail(&told, why->err, "%s %s. txn=%" PRIu64, c->label, why->text, c->txn_id);
    call_finish(c, &told);
}

/* asked: it was sent the call; one that has run it is never used again (W4). */
static void let_worker_go(struct call *c, bool asked)
{
    c->core->port->ops->timer_stop(c->timer);
    call_nest_drop(c);
    if (c->seat.worker == NULL || !asked) {
        seat_leave(&c->seat);
        return;
    }
    c->cpu_us = call_measure(c);
    seat_drop(&c->seat, c->why.text, c->why.err == ERR_ABORTED);
}

static bool was_asked(const struct call *c) { return c->state == SENT || c->state == RUNNING || c->tainted; }

/* Whose transaction it is learns how it went. */
static void call_tell_end(struct call *c, const struct failure *why)
{
    txn_nested_end(c->hold->txn, c->nested, why, port_wall_us(c->core->port), c->cpu_us);
    c->nested = 0;
}

/* T8: what this call did goes; the rest of the transaction stays. */
static void call_roll_back(struct call *c)
{
    struct failure told = { 0 }, why = { 0 };
    uint64_t undone = 0;
    enum err err = txn_rollback_to(c->hold->txn, c->frame.mark, &undone, &why);

    if (err == ERR_WAIT)
        return;
    if (err == OK)
        timers_give_back(c->core->timers, txn_effect_count(c->hold->txn), &c->hold->places);
    call_tell_end(c, &c->why);
    hold_leave(c->hold,
               &c->frame); /* if it could not be taken back, the transaction is doomed: its holder will meet that */
    if (c->bereft && err == OK) {
        call_again(c);
        return;
    }
    compose_error(c, undone, &told);
    call_finish(c, &told);
}

/* Whatever went wrong is in c->why. The worker cannot speak any more before anything is undone. */
void call_abort(struct call *c)
{
    struct port *port = c->core->port;
    struct failure told = { 0 };
    bool entered = c->txn_id != 0, asked = was_asked(c);

    CHECK(c->why.err != OK);
    call_move(c, ABORTING); /* first: what a worker's return sets free may try to end this call, too */
    let_worker_go(c, asked);
    if (entered && is_nested(c)) {
        call_roll_back(c);
    } else if (entered) {
        c->retrying = c->bereft || (c->why.err == ERR_DEADLOCK && c->attempts < grant_limits(c->graft->grant)->retries);
        txn_abort(c->own.txn, c->retrying ? NULL : &c->why, port->ops->wall_us(port), c->cpu_us);
    } else {
        compose_error(c, 0, &told);
        call_finish(c, &told);
    }
}

void call_unsend(struct call *c)
{
    struct port *port = c->core->port;

    call_move(c, ABORTING);
    c->retrying = true;
    port->ops->timer_stop(c->timer);
    txn_abort(c->own.txn, NULL, port->ops->wall_us(port), 0);
}

/* Its holder gives the whole transaction up. */
void call_discard(struct call *c)
{
    bool asked = was_asked(c);

    fail(&c->why, ERR_KILLED, "was ended with the transaction that it was part of");
    call_move(c, DONE);
    let_worker_go(c, asked);
    if (c->txn_id != 0) {
        call_tell_end(c, &c->why);
        hold_leave(c->hold, &c->frame);
    }
    call_leave_list(c);
    call_free(c);
}

/* What must be settled while the call can still fail. */
static enum err call_settle(struct call *c)
{
    const struct failure *unfit = txn_failure(c->hold->txn);
    enum err err = OK;

    if (c->request.trial && unfit->err != OK)
        return fail(&c->why, unfit->err, "%s", unfit->text);
    if (c->request.trial && (err = c->events->tried(c->owner, buf_bytes(&c->reply), c->hold->txn)) != OK)
        return fail(&c->why, err, "was tried, and did more than can be told");
    if (c->request.token.len > 0)
        err = txn_keep_reply(c->hold->txn, c->request.token, buf_bytes(&c->reply));
    if (err == ERR_LIMIT)
        return fail(&c->why, err, "made a reply of %zu bytes; for a token at most %d are kept. limit=%d used=%zu",
                    buf_len(&c->reply), STORE_REPLY_MAX, STORE_REPLY_MAX, buf_len(&c->reply));
    return err == OK ? OK : fail(&c->why, err, "replied, but there is no memory to keep it for its token");
}

static void call_end_txn(struct call *c)
{
    struct failure tried = { 0 };
    int64_t now = port_wall_us(c->core->port);

    if (!c->request.trial) {
        txn_commit(c->own.txn, now, c->cpu_us);
        return;
    }
    fail(&tried, ERR_TRIED, "%s", err_sentence(ERR_TRIED));
    txn_abort(c->own.txn, &tried, now, c->cpu_us);
}

void call_commit(struct call *c)
{
    struct port *port = c->core->port;
    struct failure fine = { 0 };
    bool lingers;

    if (call_settle(c) != OK) {
        call_abort(c);
        return;
    }
    port->ops->timer_stop(c->timer);
    c->cpu_us = call_measure(c);
    call_move(c, COMMITTING); /* first: what the worker's return sets free may try to end this call */
    if (is_nested(c)) {
        call_tell_end(c, &fine);
        hold_leave(c->hold, &c->frame);
        seat_end(&c->seat);
        call_finish(c, &fine);
        return;
    }
    lingers = txn_lingers(c->own.txn);
    call_end_txn(c);
    seat_end(&c->seat);
    if (lingers)
        return;
    call_leave_order(c);
    c->events->decided(c->owner);
}

/* ---- waking ---- */

static void call_woken(void *call)
{
    struct call *c = call;

    if (c->state == FETCHING)
        call_fetch(c);
    else if (c->state == RUNNING)
        c->core->port->ops->process_resume(seat_process(&c->seat));
    else if (c->state == ABORTING)
        call_roll_back(c);
}

static void txn_wakes(void *owner)
{
    struct call *c = owner;

    hold_woken(&c->own);
}

/* It holds what others wait for, or read what turned out not to be: nothing that still runs can help it. */
static void txn_doomed(void *owner)
{
    struct call *c = owner;
    const struct failure *why = txn_failure(c->own.txn);

    if (c->state >= COMMITTING)
        return;
    fail(&c->why, why->err, "%s", why->text);
    call_abort(c);
}

static const struct txn_events txn_events = { .wake = txn_wakes, .ended = txn_ended, .doomed = txn_doomed };

/* ---- the beginning ---- */

static enum err call_enter_txn(struct call *c)
{
    struct txn_origin origin = {
        .graft = c->graft->name,
        .version = c->graft->manifest.version,
        .function = c->function->name,
        .uid = c->who.uid,
        .gid = c->who.gid,
        .pid = (uint32_t)c->who.pid,
        .hold_ms = grant_limits(c->graft->grant)->hold_ms,
        .parent = c->request.asked_by,
        .whole = c->request.trial,
    };

    if (is_nested(c)) {
        hold_enter(c->hold, &c->frame, call_woken, c);
        c->nested = txn_nested_begin(c->hold->txn, c->request.parent, &origin, port_wall_us(c->core->port));
    } else {
        enum err err = txn_begin(c->core->txns, &origin, &txn_events, c, c->begun_us, &c->own.txn);
        if (err != OK)
            return fail(&c->why, err, "was not called: cannot begin a transaction: %s", err_sentence(err));
        c->own = (struct hold){ .txn = c->own.txn, .id = txn_id(c->own.txn), .wake = call_woken, .worker = c };
    }
    c->txn_id = c->hold->id;
    c->host.txn = c->hold->txn;
    c->host.places = &c->hold->places;
    return OK;
}

void call_head(struct call *c)
{
    int64_t now = port_now_ms(c->core->port), end = now + (int64_t)grant_limits(c->graft->grant)->wall_ms;

    if (c->wall_end_ms == 0 || end < c->wall_end_ms) {
        c->wall_begin_ms = now;
        c->wall_end_ms = end;
        c->wall_limit_ms = grant_limits(c->graft->grant)->wall_ms;
    }
}

static void call_seated(struct call *c)
{
    c->heard = false;
    c->host.worker = seat_process(&c->seat);
    call_move(c, FETCHING);
    if (seat_is_head(&c->seat))
        call_head(c);
    if (call_enter_txn(c) != OK) {
        call_abort(c);
        return;
    }
    call_fetch(c);
}

static void seat_granted(struct seat *s) { call_seated(list_entry(s, struct call, seat)); }

static void seat_refused(struct seat *s, const struct failure *why)
{
    struct call *c = list_entry(s, struct call, seat);

    fail(&c->why, why->err, "cannot run: %s", why->text);
    call_abort(c);
}

static void seat_begins(struct seat *s)
{
    struct call *c = list_entry(s, struct call, seat);

    call_head(c);
    (void)call_run(c);
}

static void seat_taken_back(struct seat *s) { call_unsend(list_entry(s, struct call, seat)); }

static const struct seat_events seat_events = {
    .granted = seat_granted,
    .refused = seat_refused,
    .begins = seat_begins,
    .taken_back = seat_taken_back,
    .message = call_heard,
    .died = call_lost_worker,
};

/* ERR_WAIT: it is QUEUED, for a worker, or in no queue until the one before it is decided. */
static enum err call_take_seat(struct call *c)
{
    if (c->after == NULL)
        return seat_take(c->graft->pool, &c->seat, &c->why);
    return call_follow(c) ? OK : ERR_WAIT;
}

static void call_enter(struct call *c, enum err err)
{
    if (err == OK)
        call_seated(c);
    else if (err != ERR_WAIT)
        call_abort(c);
}

void call_queue(struct call *c)
{
    c->txn_id = 0;
    c->queued = true;
    if (c->after == NULL && c->warmup == NULL)
        call_enter(c, call_take_seat(c));
}

static void call_warm(void *owner)
{
    struct call *c = owner;

    c->warmup = NULL;
    call_enter(c, call_take_seat(c));
}

/* A call of its own waits for its keys before it takes a worker, which others can use meanwhile. */
static bool call_is_cold(struct call *c)
{
    return c->request.hold == NULL &&
           txn_warm_up(c->core->txns, c->request.keys, c->request.key_count, call_warm, c, &c->warmup);
}

static void deadline_due(void *owner) { call_watch_deadlines(owner); }

static uint64_t lower(uint64_t limit, uint64_t timeout) { return timeout != 0 && timeout < limit ? timeout : limit; }

static struct call *call_new(struct core *core, const struct call_request *request, const struct call_events *events,
                             void *owner)
{
    struct call *c = malloc(sizeof *c);
    const struct grant_limits *limits = grant_limits(request->graft->grant);

    if (c == NULL)
        return NULL;
    *c = (struct call){
        .core = core,
        .events = events,
        .owner = owner,
        .state = QUEUED,
        .graft = request->graft,
        .function = &request->graft->manifest.functions[request->function],
        .request = *request,
        .who = *request->who,
        .seat = { .events = &seat_events, .urgent = request->hold != NULL, .uid = request->who->uid },
        .begun_us = core->port->ops->wall_us(core->port),
        .cpu_limit_ms = lower(limits->cpu_ms, request->timeout_ms),
    };
    c->hold = request->hold != NULL ? request->hold : &c->own;
    stpcpy(stpcpy(stpcpy(c->label, c->graft->name), "."), c->function->name);
    c->host = (struct hostcall_context){
        .audit = core->audit,
        .port = core->port,
        .grant = c->graft->grant,
        .bounds = policy_limits(core->policy),
        .who = &c->who,
        .now_us = c->begun_us,
        .timers = core->timers,
        .label = c->label,
        .readonly = request->readonly || c->function->readonly,
    };
    buf_init(&c->reply, VALUE_SIZE_MAX);
    buf_init(&c->child_answer, WIRE_FRAME_MAX);
    c->timer = core->port->ops->timer_new(core->port, deadline_due, c);
    if (c->timer == NULL || call_sort_keys(c) != OK) {
        core->port->ops->timer_free(&c->timer);
        free(c);
        return NULL;
    }
    return c;
}

enum err call_begin(struct core *core, const struct call_request *request, const struct call_events *events,
                    void *owner, struct call **out, struct failure *why)
{
    struct call *c;
    enum err err;

    if (request->after != NULL && !call_may_follow(request))
        return ERR_WAIT;
    c = call_new(core, request, events, owner);
    if (c == NULL)
        return fail(why, ERR_NOMEM, "no memory for another call");
    err = call_check_keys(c);
    if (err == OK && request->after != NULL)
        call_join_order(c);
    if (err == OK)
        err = call_is_cold(c) ? ERR_WAIT : call_take_seat(c);
    c->queued = err == ERR_WAIT;
    if (err != OK && err != ERR_WAIT) {
        fail(why, err, "%s %s", c->label, c->why.text);
        graft_hold(c->graft);
        call_free(c);
        return err;
    }
    graft_hold(c->graft);
    if (!request->inner) {
        list_push(&core->calls, &c->link);
        core->call_count++;
    }
    *out = c;
    if (request->timeout_ms != 0) {
        c->wall_begin_ms = port_now_ms(core->port);
        c->wall_end_ms = c->wall_begin_ms + (int64_t)request->timeout_ms;
        c->wall_limit_ms = request->timeout_ms;
        core->port->ops->timer_start(c->timer, request->timeout_ms);
    }
    if (err == OK)
        call_seated(c);
    return OK;
}

void call_cancel(struct call *c, enum err err, const char *why)
{
    if (c->retrying) { /* it is being undone already, and that is how it ends */
        c->retrying = false;
        failure_clear(&c->why);
        fail(&c->why, err, "%s", why);
    }
    c->bereft = false;
    if (c->state >= COMMITTING)
        return;
    fail(&c->why, err, "%s", why);
    call_abort(c);
}

/* Of that graft, or with one of that graft inside. */
static bool call_runs(const struct call *c, const struct graft *g)
{
    return c->graft == g || (c->child != NULL && call_runs(c->child, g));
}

/* Ending one may end others: begins anew after each. */
void call_cancel_all(struct core *core, const struct graft *graft, enum err err, const char *why)
{
    for (struct list *node = core->calls.next; node != &core->calls;) {
        struct call *c = call_of(node);
        node = node->next;
        if ((graft != NULL && !call_runs(c, graft)) || (c->state >= COMMITTING && !c->retrying))
            continue;
        call_cancel(c, err, why);
        node = core->calls.next;
    }
}

void call_view(const struct call *c, struct call_view *v)
{
    *v = (struct call_view){
        .txn = c->txn_id,
        .state = call_states[c->state].name,
        .graft = c->graft->name,
        .function = c->function->name,
        .uid = c->who.uid,
        .begun_us = c->begun_us,
        .effects = c->txn_id != 0 && c->state <= RUNNING ? txn_effect_count(c->hold->txn) : 0,
    };
}

struct call *call_of(struct list *node) { return list_entry(node, struct call, link); }

struct call *call_find(struct core *core, uint64_t txn)
{
    list_each (node, &core->calls)
        if (call_of(node)->txn_id == txn)
            return call_of(node);
    return NULL;
}

#include "graftd/call.h"

#include "graftd/hostcall.h"
#include "graftd/registry.h"
#include "lib/log.h"
#include "lib/state.h"
#include "lib/value.h"
#include "lib/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is true in a state:
 *                worker   txn     deadline timer
 *     QUEUED     no       no      only with a TIMEOUT
 *     FETCHING   yes      open    runs
 *     RUNNING    yes      open    runs
 *     COMMITTING no       given   stopped
 *     ABORTING   no       given   stopped
 *     DONE       no       no      freed */
enum call_state { QUEUED, FETCHING, RUNNING, COMMITTING, ABORTING, DONE };

static const struct state call_states[] = {
    [QUEUED] = { "queued", STATE_BIT(FETCHING) | STATE_BIT(ABORTING) },
    [FETCHING] = { "fetching", STATE_BIT(RUNNING) | STATE_BIT(ABORTING) },
    [RUNNING] = { "running", STATE_BIT(COMMITTING) | STATE_BIT(ABORTING) },
    [COMMITTING] = { "committing", STATE_BIT(DONE) },
    [ABORTING] = { "aborting", STATE_BIT(DONE) | STATE_BIT(QUEUED) },
    [DONE] = { "done", 0 },
};

enum {
    LABEL_MAX = 2 * MANIFEST_NAME_MAX + 2,
    DONE_REPLIED = 0, /* wire_DONE.how */
    DONE_ABORTED = 1,
    DONE_CODE = 2,
};

struct call {
    struct list link; /* core->calls */
    struct core *core;
    const struct call_events *events;
    void *owner;
    unsigned state;
    struct graft *graft; /* held */
    const struct manifest_function *function;
    struct call_request request;
    struct principal who;
    struct worker *worker;
    bool tainted; /* the worker spoke before it was asked: not one to give back */
    struct worker_wait wait;
    struct txn *txn;
    uint64_t txn_id;
    struct hostcall_context host;
    struct port_timer *timer;
    int64_t begun_us;
    int64_t wall_begin_ms, wall_end_ms; /* monotonic; end 0: no deadline yet */
    uint64_t wall_limit_ms, cpu_limit_ms;
    uint64_t cpu_before_us, cpu_us;
    size_t *order; /* declared keys, sorted; fetched so far: */
    size_t fetched;
    unsigned retries; /* after deadlocks */
    bool retrying;    /* ABORTING, and then from the beginning */
    struct failure why;
    struct buf reply;
    char label[LABEL_MAX];
};

static void call_fetch(struct call *c);
static void call_again(struct call *c);

/* ---- the end ---- */

/* The error as the client sees it: sentence, what became of it, facts. */
static void compose_error(struct call *c, uint64_t undone, struct failure *out)
{
    const char *gap = c->why.err == ERR_ABORTED ? ": " : " ", *space = c->host.facts[0] != '\0' ? " " : "";

    if (c->txn_id == 0)
        fail(out, c->why.err, "%s%s%s%s%s%s", c->label, gap, c->why.text, space[0] != '\0' ? "." : "", space, c->host.facts);
    else
        fail(out, c->why.err, "%s%s%s; rolled back. txn=%" PRIu64 " undone=%" PRIu64 "%s%s", c->label, gap, c->why.text,
             c->txn_id, undone, space, c->host.facts);
}

static void call_finish(struct call *c, const struct failure *why)
{
    struct core *core = c->core;

    state_move(call_states, &c->state, DONE);
    c->graft->calls++;
    core->stats.calls++;
    if (why->err != OK) {
        c->graft->failed++;
        core->stats.failed[why->err]++;
    } else {
        core->stats.committed++;
    }
    list_remove(&c->link);
    core->call_count--;
    if (core->draining)
        port_soon(core->port); /* the drain goes on in a tick, and this may be what it waited for */
    c->events->done(c->owner, why, buf_bytes(&c->reply));
    graft_drop(c->graft);
    core->port->ops->timer_free(&c->timer);
    buf_fini(&c->reply);
    free(c->order);
    free(c);
}

/* A commit that met the disk's trouble: what it says is the store's sentence, not ours to soften. */
static void txn_ended(void *owner, const struct failure *why, uint64_t undone)
{
    struct call *c = owner;
    struct failure told = { 0 };

    c->txn = NULL;
    if (c->retrying) {
        call_again(c);
        return;
    }
    if (c->state == ABORTING)
        compose_error(c, undone, &told);
    else if (why->err != OK)
        fail(&told, why->err, "%s %s. txn=%" PRIu64, c->label, why->text, c->txn_id);
    call_finish(c, &told);
}

static void measure_cpu(struct call *c)
{
    c->cpu_us = c->core->port->ops->process_cpu_us(worker_process(c->worker)) - c->cpu_before_us;
}

/* Whatever went wrong is in c->why. The worker cannot speak any more before anything is undone. */
static void call_abort(struct call *c)
{
    struct failure told = { 0 };
    bool ran = c->state == RUNNING || c->tainted;

    CHECK(c->why.err != OK);
    state_move(call_states, &c->state, ABORTING); /* first: what a worker's return sets free may try to end this call, too */
    worker_wait_cancel(&c->wait);
    c->core->port->ops->timer_stop(c->timer);
    if (c->worker != NULL) {
        if (ran) {
            measure_cpu(c);
            worker_kill(&c->worker, c->why.text, c->why.err == ERR_ABORTED);
        } else {
            worker_give(&c->worker); /* it never saw the call */
        }
    }
    if (c->txn != NULL) {
        c->retrying = c->why.err == ERR_DEADLOCK && c->retries < CALL_RETRY_MAX;
        txn_abort(c->txn, c->retrying ? NULL : &c->why, c->core->port->ops->wall_us(c->core->port), c->cpu_us);
        return;
    }
    compose_error(c, 0, &told);
    call_finish(c, &told);
}

/* ---- running ---- */

static void call_commit(struct call *c)
{
    c->core->port->ops->timer_stop(c->timer);
    measure_cpu(c);
    state_move(call_states, &c->state, COMMITTING); /* first: what the worker's return sets free may try to end this call */
    txn_commit(c->txn, c->core->port->ops->wall_us(c->core->port), c->cpu_us);
    worker_give(&c->worker);
    c->events->decided(c->owner);
}

/* A failed graft whose heap had said no: name the limit, not what it stumbled over afterwards (P4). */
static bool blame_memory(struct call *c)
{
    struct hostcall_context *h = &c->host;

    if (!h->memory_refused)
        return false;
    snprintf(h->facts, sizeof h->facts, "limit=memory allowed=%" PRIu64 " used=%" PRIu64 " wanted=%" PRIu64, h->memory_allowed,
             h->memory_used, h->memory_wanted);
    fail(&c->why, ERR_LIMIT, "used up its %" PRIu64 " bytes of memory", h->memory_allowed);
    return true;
}

static void run_ended(struct call *c, struct bytes body)
{
    struct wire_DONE m;
    char text[FAILURE_TEXT_MAX / 2];

    if (!wire_read_DONE(body, &m) || m.how > DONE_CODE || (m.how == DONE_REPLIED && m.reply.len > 0 && !value_valid(m.reply))) {
        fail(&c->why, ERR_CRASHED, "sent a malformed DONE");
    } else if (m.how == DONE_REPLIED) {
        if (buf_add(&c->reply, m.reply.data, m.reply.len) != OK)
            fail(&c->why, ERR_NOMEM, "replied, but there is no memory to pass it on");
    } else if (m.how == DONE_ABORTED) {
        fail(&c->why, ERR_ABORTED, "%s", bytes_show(m.text, text, sizeof text));
    } else if (!blame_memory(c)) {
        fail(&c->why, ERR_ABORTED, m.text.len > 0 ? "returned %u (%s)" : "returned %u", (unsigned)m.code,
             bytes_show(m.text, text, sizeof text));
    }
    if (c->why.err == OK)
        call_commit(c);
    else
        call_abort(c);
}

static bool worker_said(void *owner, uint8_t number, struct bytes body)
{
    struct call *c = owner;
    enum err err;

    if (c->state != RUNNING) {
        c->tainted = true;
        fail(&c->why, ERR_CRASHED, "spoke out of turn");
        call_abort(c);
        return true;
    }
    if (number == WIRE_DONE) {
        run_ended(c, body);
        return true;
    }
    err = hostcall_do(&c->host, number, body, &c->why);
    if (err == ERR_WAIT)
        return false;
    if (err != OK) {
        fail(&c->why, err, "%s", err_sentence(err));
        call_abort(c);
    }
    return true;
}

static void worker_died(void *owner, const char *why)
{
    struct call *c = owner;

    if (c->state == RUNNING)
        measure_cpu(c);
    c->worker = NULL;
    if (!blame_memory(c))
        fail(&c->why, ERR_CRASHED, "%s", why);
    call_abort(c);
}

static const struct worker_events worker_events = { worker_said, worker_died };

/* Both deadlines: the timer is set to the earliest moment at which one of them can have passed (W3). */
static void watch_deadlines(struct call *c)
{
    int64_t now = port_now_ms(c->core->port), left = c->wall_end_ms - now;
    uint64_t cpu_left_ms;

    if (c->state == RUNNING) {
        measure_cpu(c);
        cpu_left_ms = c->cpu_us >= c->cpu_limit_ms * 1000 ? 0 : (c->cpu_limit_ms * 1000 - c->cpu_us + 999) / 1000;
        if (cpu_left_ms == 0) {
            snprintf(c->host.facts, sizeof c->host.facts, "cpu_ms=%" PRIu64 " limit_ms=%" PRIu64, c->cpu_us / 1000,
                     c->cpu_limit_ms);
            fail(&c->why, ERR_TIMEOUT, "used its %" PRIu64 " ms of CPU", c->cpu_limit_ms);
            call_abort(c);
            return;
        }
        if ((int64_t)cpu_left_ms < left)
            left = (int64_t)cpu_left_ms;
    }
    if (c->wall_end_ms <= now) {
        snprintf(c->host.facts, sizeof c->host.facts, "wall_ms=%" PRIi64 " limit_ms=%" PRIu64, now - c->wall_begin_ms,
                 c->wall_limit_ms);
        fail(&c->why, ERR_TIMEOUT, c->state == QUEUED ? "waited its %" PRIu64 " ms for a free worker"
                                                      : "took its %" PRIu64 " ms of time", c->wall_limit_ms);
        call_abort(c);
        return;
    }
    c->core->port->ops->timer_start(c->timer, (uint64_t)left);
}

static void deadline_due(void *owner) { watch_deadlines(owner); }

/* ---- declared keys ---- */

static const struct call *sorting; /* qsort has no context; the loop is one thread */

static int by_key(const void *a, const void *b)
{
    return bytes_compare(sorting->request.keys[*(const size_t *)a], sorting->request.keys[*(const size_t *)b]);
}

static enum err sort_keys(struct call *c)
{
    if (c->request.key_count == 0)
        return OK;
    c->order = calloc(c->request.key_count, sizeof *c->order);
    if (c->order == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < c->request.key_count; i++)
        c->order[i] = i;
    sorting = c;
    qsort(c->order, c->request.key_count, sizeof *c->order, by_key);
    return OK;
}

static enum err check_keys(struct call *c)
{
    char shown[64], where[256];
    struct place place;

    for (size_t i = 0; i < c->request.key_count; i++) {
        struct bytes key = c->request.keys[i];
        if (key.len == 0 || key.len > c->host.bounds->key_max)
            return fail(&c->why, ERR_BADARG, "cannot be called: key %zu has %zu bytes; 1 to %" PRIu64 " are allowed", i, key.len,
                        c->host.bounds->key_max);
        if (!grant_may(c->graft->grant, GRANT_KV_READ, key, &place))
            return fail(&c->why, ERR_DENIED, "may not be given the key \"%s\": %s%s", bytes_show(key, shown, sizeof shown),
                        place.line == 0 ? "no rule allows it to read it" : place_show(place, where, sizeof where),
                        place.line == 0 ? "" : " denies it");
    }
    return OK;
}

static enum err add_keys(struct call *c, struct buf *keys)
{
    enum lock_mode mode = c->host.readonly ? LOCK_SHARED : LOCK_EXCLUSIVE;
    enum err err = buf_add_u32(keys, (uint32_t)c->request.key_count);

    for (size_t i = 0; i < c->request.key_count && err == OK; i++) {
        struct bytes value = { NULL, 0 };
        enum err got = txn_get(c->txn, c->request.keys[i], mode, &value, &c->why);
        if (got != OK && got != ERR_ABSENT)
            return got;
        if ((err = buf_add_bytes(keys, c->request.keys[i])) == OK && (err = buf_add_u8(keys, got == OK)) == OK)
            err = buf_add_bytes(keys, value);
    }
    return err == OK ? OK : fail(&c->why, ERR_LIMIT, "was called with keys whose values are larger than %d bytes together",
                                 WIRE_FRAME_MAX);
}

static enum err add_args(struct call *c, struct buf *args)
{
    enum err err = buf_add_u32(args, (uint32_t)c->request.arg_count);

    for (size_t i = 0; i < c->request.arg_count && err == OK; i++)
        err = buf_add_bytes(args, c->request.args[i]);
    return err == OK ? OK : fail(&c->why, ERR_LIMIT, "was called with arguments larger than %d bytes together", WIRE_FRAME_MAX);
}

static enum err send_call(struct call *c)
{
    struct port *port = c->core->port;
    uint8_t seed[WIRE_SEED];
    struct wire_CALL m = {
        .txn = c->txn_id,
        .function = (uint16_t)c->request.function,
        .readonly = c->host.readonly,
        .now_us = (uint64_t)c->begun_us,
        .seed = bytes_of(seed, sizeof seed),
        .uid = c->who.uid,
    };
    struct buf keys, args, frame;
    enum err err;

    buf_init(&keys, WIRE_FRAME_MAX);
    buf_init(&args, WIRE_FRAME_MAX);
    buf_init(&frame, WIRE_FRAME_MAX + WIRE_HEAD);
    if ((err = add_keys(c, &keys)) == OK && (err = add_args(c, &args)) == OK) {
        m.keys = buf_bytes(&keys);
        m.args = buf_bytes(&args);
        port->ops->random(port, seed, sizeof seed);
        err = wire_add_CALL(&frame, &m);
        if (err == OK)
            err = port->ops->process_send(worker_process(c->worker), buf_bytes(&frame));
        if (err != OK)
            fail(&c->why, ERR_LIMIT, "was called with keys and arguments larger than %d bytes together", WIRE_FRAME_MAX);
    }
    buf_fini(&keys);
    buf_fini(&args);
    buf_fini(&frame);
    return err;
}

static void call_fetch(struct call *c)
{
    enum lock_mode mode = c->host.readonly ? LOCK_SHARED : LOCK_EXCLUSIVE;
    enum err err = OK;

    while (c->fetched < c->request.key_count) {
        struct bytes value;
        err = txn_get(c->txn, c->request.keys[c->order[c->fetched]], mode, &value, &c->why);
        if (err != OK && err != ERR_ABSENT)
            break;
        c->fetched++;
        err = OK;
    }
    if (err == OK)
        err = send_call(c);
    if (err == ERR_WAIT)
        return;
    if (err != OK) {
        fail(&c->why, err, "%s", err_sentence(err));
        call_abort(c);
        return;
    }
    c->cpu_before_us = c->core->port->ops->process_cpu_us(worker_process(c->worker));
    state_move(call_states, &c->state, RUNNING);
    watch_deadlines(c);
}

static void txn_wakes(void *owner)
{
    struct call *c = owner;

    if (c->state == FETCHING)
        call_fetch(c);
    else if (c->state == RUNNING)
        c->core->port->ops->process_resume(worker_process(c->worker));
}

static const struct txn_events txn_events = { txn_wakes, txn_ended };

/* ---- the beginning ---- */

static void call_with_worker(struct call *c, struct worker *w)
{
    struct core *core = c->core;
    struct txn_origin origin = {
        .graft = c->graft->name,
        .version = c->graft->manifest.version,
        .function = c->function->name,
        .uid = c->who.uid,
        .gid = c->who.gid,
        .pid = (uint32_t)c->who.pid,
    };
    int64_t now = port_now_ms(core->port), end = now + (int64_t)grant_limits(c->graft->grant)->wall_ms;

    c->worker = w;
    worker_use(w, &worker_events, c);
    c->host.worker = worker_process(w);
    state_move(call_states, &c->state, FETCHING);
    if (c->wall_end_ms == 0 || end < c->wall_end_ms) {
        c->wall_begin_ms = now;
        c->wall_end_ms = end;
        c->wall_limit_ms = grant_limits(c->graft->grant)->wall_ms;
    }
    if (txn_begin(core->txns, &origin, &txn_events, c, c->begun_us, &c->txn) != OK) {
        fail(&c->why, ERR_BUSY, "cannot begin a transaction now; try again later");
        call_abort(c);
        return;
    }
    c->txn_id = txn_id(c->txn);
    c->host.txn = c->txn;
    if (c->request.key_count > 0)
        core->port->ops->timer_start(c->timer, (uint64_t)(c->wall_end_ms > now ? c->wall_end_ms - now : 0));
    call_fetch(c);
}

/* It was the victim of a deadlock and is undone: runs anew, unseen, within the deadline that it had (T6). */
static void call_again(struct call *c)
{
    struct port *port = c->core->port;
    int64_t now = port_now_ms(port);
    struct worker *w = NULL;
    enum err err;

    c->retrying = c->tainted = false;
    c->retries++;
    c->fetched = 0;
    failure_clear(&c->why);
    buf_clear(&c->reply);
    c->txn_id = 0;
    c->host.memory_refused = false;
    c->host.facts[0] = '\0';
    state_move(call_states, &c->state, QUEUED);
    port->ops->timer_start(c->timer, (uint64_t)(c->wall_end_ms > now ? c->wall_end_ms - now : 0));
    err = worker_take(c->graft->pool, &c->wait, &w, &c->why);
    if (err == OK)
        call_with_worker(c, w);
    else if (err != ERR_WAIT)
        call_abort(c);
}

static void worker_granted(struct worker_wait *wait, struct worker *w) { call_with_worker(list_entry(wait, struct call, wait), w); }

static void worker_refused(struct worker_wait *wait, const struct failure *why)
{
    struct call *c = list_entry(wait, struct call, wait);

    fail(&c->why, why->err, "cannot run: %s", why->text);
    call_abort(c);
}

static uint64_t lower(uint64_t limit, uint64_t timeout) { return timeout != 0 && timeout < limit ? timeout : limit; }

static struct call *call_new(struct core *core, const struct call_request *request, const struct call_events *events, void *owner)
{
    struct call *c = calloc(1, sizeof *c);
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
        .wait = { .granted = worker_granted, .refused = worker_refused },
        .begun_us = core->port->ops->wall_us(core->port),
        .cpu_limit_ms = lower(limits->cpu_ms, request->timeout_ms),
    };
    snprintf(c->label, sizeof c->label, "%s.%s", c->graft->name, c->function->name);
    c->host = (struct hostcall_context){
        .port = core->port,
        .grant = c->graft->grant,
        .bounds = policy_limits(core->policy),
        .label = c->label,
        .readonly = request->readonly || c->function->readonly,
    };
    buf_init(&c->reply, VALUE_SIZE_MAX);
    c->timer = core->port->ops->timer_new(core->port, deadline_due, c);
    if (c->timer == NULL || sort_keys(c) != OK) {
        core->port->ops->timer_free(&c->timer);
        free(c);
        return NULL;
    }
    return c;
}

enum err call_begin(struct core *core, const struct call_request *request, const struct call_events *events, void *owner,
                    struct call **out, struct failure *why)
{
    struct call *c = call_new(core, request, events, owner);
    struct worker *w;
    enum err err;

    if (c == NULL)
        return fail(why, ERR_NOMEM, "no memory for another call");
    if (check_keys(c) == OK && (err = worker_take(c->graft->pool, &c->wait, &w, &c->why)) == ERR_WAIT)
        c->why.err = OK;
    else
        err = c->why.err;
    if (err != OK && err != ERR_WAIT) {
        fail(why, err, "%s %s", c->label, c->why.text);
        core->port->ops->timer_free(&c->timer);
        free(c->order);
        free(c);
        return err;
    }
    graft_hold(c->graft);
    list_push(&core->calls, &c->link);
    core->call_count++;
    *out = c;
    if (request->timeout_ms != 0) {
        c->wall_begin_ms = port_now_ms(core->port);
        c->wall_end_ms = c->wall_begin_ms + (int64_t)request->timeout_ms;
        c->wall_limit_ms = request->timeout_ms;
        core->port->ops->timer_start(c->timer, request->timeout_ms);
    }
    if (err == OK)
        call_with_worker(c, w);
    return OK;
}

void call_cancel(struct call *c, enum err err, const char *why)
{
    if (c->retrying) { /* it is being undone already, and that is how it ends */
        c->retrying = false;
        failure_clear(&c->why);
        fail(&c->why, err, "%s", why);
    }
    if (c->state >= COMMITTING)
        return;
    fail(&c->why, err, "%s", why);
    call_abort(c);
}

/* Ending one may end others: begins anew after each. */
void call_cancel_all(struct core *core, const struct graft *graft, enum err err, const char *why)
{
    for (struct list *node = core->calls.next; node != &core->calls;) {
        struct call *c = call_of(node);
        node = node->next;
        if ((graft != NULL && c->graft != graft) || (c->state >= COMMITTING && !c->retrying))
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
        .effects = c->txn != NULL && c->state <= RUNNING ? txn_effect_count(c->txn) : 0,
    };
}

struct call *call_of(struct list *node) { return list_entry(node, struct call, link); }

struct call *call_find(struct core *core, uint64_t txn)
{
    list_each(node, &core->calls)
        if (call_of(node)->txn_id == txn)
            return call_of(node);
    return NULL;
}

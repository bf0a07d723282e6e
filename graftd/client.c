#include "graftd/client_impl.h"

#include "graftd/account.h"
#include "graftd/call.h"
#include "graftd/command.h"
#include "graftd/session.h"
#include "graftd/subscribe.h"
#include "lib/log.h"
#include "lib/resp.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct resp_limits limits = {
    .args_max = REQUEST_ARG_MAX,
    .bulk_max = REQUEST_MAX,
    .request_max = REQUEST_MAX,
    .inline_max = REQUEST_INLINE_MAX,
};

enum {
    SWEEPS_PER_IDLE = 4, /* how exactly `limit idle` is kept */
    SWEEP_MS_MIN = 20,
    SWEEP_MS_MAX = 1000,
    BYTES_PER_MS = 4096, /* a request may take 1 ms longer for so many */
};

/* ---- what it holds ---- */

static void charge(struct client *c)
{
    size_t now = c->in->cap + c->pending + c->core->port->ops->stream_unsent(c->stream);

    account_charge(c->core, c->account, &c->held, now);
}

/* Of replies that nobody reads, or requests that nobody finishes, there is more than the bound. */
bool client_too_heavy(struct client *c)
{
    charge(c);
    return !account_allows(c->core, c->account, c->held);
}

/* ---- the connection ---- */

/* Its last byte has left: its place is free. */
static void client_free(struct client *c)
{
    account_charge(c->core, c->account, &c->held, 0);
    account_leave(c->core, &c->account);
    if (c->core->draining)
        port_soon(c->core->port); /* the drain goes on in a tick, and this may be what it waited for */
    free(c);
}

/* What it began ends, or goes on for itself; nobody reads the replies. */
static void client_end(struct client *c)
{
    struct list *node;

    c->running = true; /* nothing begins any more */
    if (c->session != NULL)
        session_close(c->session, "its client hung up"); /* first: it knows what works in it */
    subscribe_end_all(c);
    while ((node = list_pop(&c->requests)) != NULL) {
        struct request *r = list_entry(node, struct request, link);
        r->client = NULL;
        if (r->done || r == c->parked)
            request_free(r);
        else if (r->cancel != NULL)
            r->cancel(r);
    }
    c->pending = 0;
    c->parked = NULL;
    list_remove(&c->link);
    resp_fini(&c->parser);
}

static void client_close(struct client *c)
{
    struct port_stream *stream = c->stream;

    client_end(c);
    buf_fini(c->in);
    charge(c);
    c->core->port->ops->stream_close(&stream); /* stream_gone() follows */
}

static bool send_replies(struct client *c)
{
    struct list *node;

    while ((node = list_first(&c->requests)) != NULL) {
        struct request *r = list_entry(node, struct request, link);
        bool sent;
        if (!r->done || c->core->port->ops->stream_unsent(c->stream) > CLIENT_UNSENT_MAX)
            return true; /* it goes on when there is a reply, or the peer has read some */
        /* An empty reply is one that found no memory: left out, it would give its place to the next one. */
        sent = !r->unheard && (buf_len(&r->reply) > 0 || c->quitting) &&
               c->core->port->ops->stream_send(c->stream, buf_bytes(&r->reply)) == OK;
        request_free(r);
        if (!sent)
            return false;
    }
    return true;
}

static bool may_begin(const struct client *c)
{
    const struct list *last = list_last(&c->requests);

    if (c->quitting || c->parked != NULL || c->request_count >= REQUEST_PIPELINE_MAX || c->asked >= REQUEST_ASKED_MAX)
        return false;
    if (c->core->port->ops->stream_unsent(c->stream) > CLIENT_UNSENT_MAX ||
        (last != NULL && c->pending > CLIENT_PENDING_MAX))
        return false;
    return client_takes_another(c);
}

/* The peer does not speak RESP: it is told, and closed. */
static void refuse_protocol(struct client *c, const struct failure *why)
{
    struct resp_command none = { 0 };
    struct request *r = request_new(c, &none);

    c->quitting = true;
    if (r != NULL)
        request_fail(r, why);
}

/* The rest of what arrives is not looked at. The client may be gone when this returns. */
static void refuse_rest(struct client *c, enum err err, const char *sentence)
{
    struct failure why = { 0 };

    fail(&why, err, "%s", sentence);
    resp_fini(&c->parser);
    buf_fini(c->in);
    refuse_protocol(c, &why);
    client_run(c);
}

static bool begin_parked(struct client *c)
{
    struct request *r = c->parked;

    if (!request_may_run(r))
        return false;
    c->parked = NULL;
    command_run(r);
    return c->parked == NULL;
}

/* False when there is nothing (more) to begin. */
static bool begin_one(struct client *c)
{
    struct resp_command command;
    struct failure why = { 0 };
    struct request *r;

    if (c->parked != NULL)
        return begin_parked(c);
    if (!may_begin(c))
        return false;
    switch (resp_next(&c->parser, c->in, &limits, &command, &why)) {
    case OK:
        break;
    case ERR_AGAIN:
        return false;
    default:
        refuse_protocol(c, &why);
        return false;
    }
    r = request_new(c, &command);
    resp_done(&c->parser, c->in);
    if (r == NULL) {
        c->quitting = true;
        return false;
    }
    c->half_since = 0;
    if (c->session != NULL)
        session_busy(c->session);
    if (request_may_run(r))
        command_run(r);
    else
        request_park(r);
    return c->parked == NULL;
}

void client_run(struct client *c)
{
    size_t before;
    bool fine;

    if (c->running) {
        c->again = true;
        return;
    }
    c->running = true;
    do {
        c->again = false;
        while (begin_one(c))
            ;
        before = c->request_count;
        fine = send_replies(c);
    } while (fine && (c->again || c->request_count < before)); /* what was answered made room for more */
    c->running = false;
    if (!fine || ((c->quitting || c->ended) && list_empty(&c->requests))) {
        client_close(c);
        return;
    }
    if (buf_len(c->in) == 0 && c->in->cap > CLIENT_READ_AHEAD_MAX)
        buf_fini(c->in);
    if (client_too_heavy(c) && buf_len(c->in) > CLIENT_READ_AHEAD_MAX && list_empty(&c->requests)) {
        c->core->stats.heavy++;
        refuse_rest(c, ERR_BUSY, "requests and replies in the works hold more memory than clients may have");
        return;
    }
    c->core->port->ops->stream_pause(c->stream, !may_begin(c) && buf_len(c->in) > CLIENT_READ_AHEAD_MAX);
}

static void stream_data(void *owner, struct buf *in)
{
    struct client *c = owner;

    c->in = in;
    client_run(c);
}

/* It sends no more, but reads: what it asked for is still answered. */
static void stream_ended(void *owner)
{
    struct client *c = owner;

    c->ended = true;
    client_run(c);
}

static void stream_drained(void *owner) { client_run(owner); }

static void stream_closed(void *owner)
{
    struct client *c = owner;

    c->stream = NULL;
    client_end(c);
    client_free(c);
}

static void stream_gone(void *owner) { client_free(owner); }

static const struct stream_events stream_events = { stream_data, stream_ended, stream_drained, stream_closed,
                                                    stream_gone };

/* ---- those that keep us waiting ---- */

static uint64_t sweep_ms(const struct core *core)
{
    uint64_t ms = policy_limits(core->policy)->idle_ms / SWEEPS_PER_IDLE;

    return ms < SWEEP_MS_MIN ? SWEEP_MS_MIN : ms > SWEEP_MS_MAX ? SWEEP_MS_MAX : ms;
}

static void arm_sweep(struct core *core)
{
    if (core->client_timer == NULL || core->client_timer_armed)
        return;
    core->port->ops->timer_start(core->client_timer, sweep_ms(core));
    core->client_timer_armed = true;
}

/* A request is half sent, and nothing else is in the way of its other half. */
static bool half_is_late(struct client *c, int64_t now)
{
    uint64_t allowed = policy_limits(c->core->policy)->idle_ms + buf_len(c->in) / BYTES_PER_MS;

    if (!list_empty(&c->requests) || c->quitting || buf_len(c->in) == 0)
        c->half_since = 0;
    else if (c->half_since == 0)
        c->half_since = now;
    return c->half_since != 0 && (uint64_t)(now - c->half_since) > allowed;
}

/* Replies wait to be read, and not one byte of them was. */
static bool reader_is_late(struct client *c, int64_t now)
{
    size_t unsent = c->core->port->ops->stream_unsent(c->stream);

    if (unsent == 0)
        c->unread_since = 0;
    else if (c->unread_since == 0 || unsent != c->unread)
        c->unread_since = now;
    c->unread = unsent;
    return c->unread_since != 0 && (uint64_t)(now - c->unread_since) > policy_limits(c->core->policy)->idle_ms;
}

static bool sweep_one(struct client *c, int64_t now)
{
    char sentence[96];

    if (reader_is_late(c, now)) {
        c->core->stats.stalled++;
        log_line(LOG_DEBUG, "a client of user %u does not read its replies, and is closed", (unsigned)c->who.uid);
        client_close(c);
        return true;
    }
    if (!half_is_late(c, now))
        return false;
    c->core->stats.stalled++;
    snprintf(sentence, sizeof sentence, "the rest of a request did not come (limit idle %" PRIu64 "ms)",
             policy_limits(c->core->policy)->idle_ms);
    refuse_rest(c, ERR_TIMEOUT, sentence);
    return true;
}

/* True when one was closed: the list is not what it was. */
static bool sweep_some(struct core *core, int64_t now)
{
    list_each (node, &core->clients)
        if (sweep_one(list_entry(node, struct client, link), now))
            return true;
    return false;
}

void client_sweep(struct core *core)
{
    int64_t now = port_now_ms(core->port);

    core->client_timer_armed = false;
    while (sweep_some(core, now))
        ;
    if (!list_empty(&core->clients))
        arm_sweep(core);
}

bool client_open(struct core *core, int fd, const struct principal *who, char why[CLIENT_REFUSAL_MAX])
{
    static uint64_t last_id;
    struct client *c = calloc(1, sizeof *c);
    struct account *account = account_enter(core, who->uid, why);

    if (account == NULL) {
        free(c);
        return false;
    }
    if (c == NULL)
        goto no_memory;
    *c = (struct client){ .core = core, .who = *who, .id = ++last_id, .proto = 2, .account = account };
    resp_init(&c->parser);
    list_init(&c->requests);
    list_init(&c->subscriptions);
    if (core->port->ops->stream_open(core->port, fd, REQUEST_MAX + CLIENT_READ_AHEAD_MAX, CLIENT_OUT_MAX,
                                     &stream_events, c, &c->stream) != OK)
        goto no_memory;
    c->in = core->port->ops->stream_in(c->stream);
    list_push(&core->clients, &c->link);
    arm_sweep(core);
    return true;
no_memory:
    snprintf(why, CLIENT_REFUSAL_MAX, "no memory for another client");
    account_leave(core, &account);
    free(c);
    return false;
}

void client_close_all(struct core *core)
{
    list_each (node, &core->clients)
        client_quit(list_entry(node, struct client, link));
}

void client_drop_all(struct core *core)
{
    while (!list_empty(&core->clients))
        client_close(list_entry(list_first(&core->clients), struct client, link));
}

uint64_t client_id(const struct client *c) { return c->id; }

const char *client_name(const struct client *c) { return c->name; }

void client_set_name(struct client *c, struct bytes name) { bytes_show(name, c->name, sizeof c->name); }

void client_set_proto(struct client *c, int proto) { c->proto = proto; }

void client_quit(struct client *c)
{
    c->quitting = true;
    client_run(c);
}

const struct principal *client_principal(const struct client *c) { return &c->who; }

int client_proto(const struct client *c) { return c->proto; }

struct list *client_subscriptions(struct client *c) { return &c->subscriptions; }

struct session *client_session(const struct client *c) { return c->session; }

void client_set_session(struct client *c, struct session *s) { c->session = s; }

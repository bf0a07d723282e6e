#include "graftd/client.h"

#include "graftd/command.h"
#include "graftd/session.h"
#include "graftd/subscribe.h"
#include "lib/check.h"
#include "lib/resp.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct client {
    struct list link; /* core->clients */
    struct core *core;
    struct port_stream *stream; /* NULL while its loss is dealt with */
    struct buf *in;             /* the stream's */
    struct resp_parser parser;
    struct principal who;
    uint64_t id;
    int proto;
    char name[CLIENT_NAME_MAX];
    struct session *session; /* NULL: it holds no transaction */
    struct list subscriptions;
    struct list requests;    /* not answered yet, oldest first */
    size_t request_count;
    size_t pending;      /* bytes of them and of their replies */
    bool ended;          /* the peer sends no more: closes when all that came was answered */
    bool quitting;       /* no further request is looked at; closes when all are answered */
    bool running, again; /* client_run is at work; and was asked for meanwhile */
};

static const struct resp_limits limits = {
    .args_max = REQUEST_ARG_MAX,
    .bulk_max = REQUEST_MAX,
    .request_max = REQUEST_MAX,
    .inline_max = REQUEST_INLINE_MAX,
};

static void client_run(struct client *c);

/* ---- requests ---- */

/* Its reply has grown. */
static void weigh(struct request *r)
{
    size_t weight = r->size + buf_len(&r->reply);

    if (r->client == NULL || r->part_done != NULL)
        return;
    r->client->pending += weight - r->weight;
    r->weight = weight;
}

/* One block: the request, its vector, the bytes. */
static struct request *request_alloc(struct client *c, const struct bytes *argv, size_t argc, int proto)
{
    size_t vector = argc * sizeof(struct bytes), size = 0;
    struct request *r;
    struct bytes *copy;
    uint8_t *to;

    for (size_t i = 0; i < argc; i++)
        size += argv[i].len;
    r = malloc(sizeof *r + vector + size);
    if (r == NULL)
        return NULL;
    copy = (struct bytes *)(r + 1);
    to = (uint8_t *)r + sizeof *r + vector;
    for (size_t i = 0; i < argc; i++) {
        copy[i] = bytes_of(to, argv[i].len);
        if (argv[i].len > 0)
            memcpy(to, argv[i].data, argv[i].len);
        to += argv[i].len;
    }
    *r = (struct request){
        .core = c->core, .client = c, .argv = copy, .argc = argc, .proto = proto, .size = sizeof *r + vector + size,
        .uid = c->who.uid, .gid = c->who.gid, .pid = c->who.pid
    };
    buf_init(&r->reply, CLIENT_OUT_MAX);
    if (buf_reserve(&r->reply, REQUEST_REPLY_ROOM, &to) != OK) { /* so that what is done can be told */
        free(r);
        return NULL;
    }
    return r;
}

static struct request *request_new(struct client *c, const struct resp_command *command)
{
    struct request *r = request_alloc(c, command->argv, command->argc, c->proto);

    if (r == NULL)
        return NULL;
    list_push(&c->requests, &r->link);
    c->request_count++;
    weigh(r);
    return r;
}

static void request_free(struct request *r)
{
    list_remove(&r->link);
    if (r->client != NULL) {
        r->client->request_count--;
        r->client->pending -= r->weight;
    }
    buf_fini(&r->reply);
    free(r->keys);
    if (r->sent != NULL)
        r->sent(r->sent_owner);
    free(r);
}

enum err client_push(struct client *c, struct buf *frames, void (*sent)(void *owner), void *owner)
{
    struct resp_command none = { 0 };
    struct request *r = request_new(c, &none);

    if (r == NULL)
        return ERR_NOMEM;
    buf_fini(&r->reply);
    r->reply = *frames;
    buf_init(frames, frames->max);
    r->sent = sent;
    r->sent_owner = owner;
    r->decided = r->done = true;
    weigh(r);
    client_run(c);
    return OK;
}

struct request *request_part(const struct request *r, struct list *parts, void (*part_done)(struct request *))
{
    struct request *part = request_alloc(r->client, r->argv, r->argc, r->proto);

    if (part == NULL)
        return NULL;
    part->command = r->command;
    part->part_done = part_done;
    list_push(parts, &part->link);
    return part;
}

void request_part_reset(struct request *part)
{
    struct request fresh = {
        .link = part->link,
        .core = part->core,
        .client = part->client,
        .command = part->command,
        .argv = part->argv,
        .argc = part->argc,
        .proto = part->proto,
        .reply = part->reply,
        .part_done = part->part_done,
    };

    free(part->keys);
    buf_clear(&fresh.reply);
    *part = fresh;
}

void request_part_free(struct request **part)
{
    (*part)->client = NULL; /* which never counted it */
    request_free(*part);
    *part = NULL;
}

/* Its outcome is fixed: the session that it worked in rests. */
static void settle(struct request *r)
{
    bool first = !r->decided;

    weigh(r);
    r->decided = true;
    if (first && r->client != NULL && r->client->session != NULL)
        session_rest(r->client->session, r);
}

void request_decided(struct request *r)
{
    if (r->decided)
        return;
    if (r->part_done != NULL) {
        r->decided = true;
        return;
    }
    settle(r);
    if (r->client != NULL)
        client_run(r->client);
}

/* An element found no place: what is there may not be sent as if it were all. */
static void lose_reply(struct request *r)
{
    const char *hint = r->part_done == NULL ? "; look whether it was done before you try again" : "";

    if (r->reply.failed == ERR_LIMIT)
        request_error(r, ERR_LIMIT, "the reply passes %d bytes%s. limit=%d", CLIENT_OUT_MAX, hint, CLIENT_OUT_MAX);
    else
        request_error(r, ERR_NOMEM, "no memory for the reply%s", hint);
}

void request_done(struct request *r)
{
    CHECK(!r->done);
    if (r->reply.failed != OK && !r->unheard) {
        lose_reply(r);
        return;
    }
    weigh(r);
    r->done = true;
    if (r->part_done != NULL) {
        r->decided = true;
        r->part_done(r);
        return;
    }
    settle(r);
    if (r->client != NULL)
        client_run(r->client);
    else
        request_free(r);
}

void request_fail(struct request *r, const struct failure *why)
{
    buf_clear(&r->reply);
    r->unheard = resp_add_failure(&r->reply, why) != OK; /* not even that: the client is closed, see send_replies */
    if (r->part_done != NULL)
        r->failed = why;
    else if (r->client != NULL && r->client->session != NULL)
        session_refused(r->client->session);
    request_done(r);
}

void request_error(struct request *r, enum err err, const char *format, ...)
{
    struct failure why = { 0 };
    char text[FAILURE_TEXT_MAX];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    fail(&why, err, "%s", text);
    request_fail(r, &why);
}

const struct principal *request_principal(const struct request *r)
{
    static const struct principal nobody = { .uid = (uid_t)-1, .gid = (gid_t)-1 };

    return r->client != NULL ? &r->client->who : &nobody;
}

/* ---- the connection ---- */

/* What it began ends, or goes on for itself; nobody reads the replies. */
static void client_free(struct client *c)
{
    struct list *node;

    c->running = true; /* nothing begins any more */
    if (c->session != NULL)
        session_close(c->session, "its client hung up"); /* first: it knows what works in it */
    subscribe_end_all(c);
    while ((node = list_pop(&c->requests)) != NULL) {
        struct request *r = list_entry(node, struct request, link);
        r->client = NULL;
        if (r->done)
            request_free(r);
        else if (r->cancel != NULL)
            r->cancel(r);
    }
    list_remove(&c->link);
    c->core->client_count--;
    if (c->core->draining)
        port_soon(c->core->port); /* the drain goes on in a tick, and this may be what it waited for */
    resp_fini(&c->parser);
    free(c);
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

    if (c->quitting || c->request_count >= REQUEST_PIPELINE_MAX)
        return false;
    if (c->core->port->ops->stream_unsent(c->stream) > CLIENT_UNSENT_MAX ||
        (last != NULL && c->pending > CLIENT_PENDING_MAX))
        return false;
    return last == NULL || list_entry(last, struct request, link)->decided;
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

/* False when there is nothing (more) to begin. */
static bool begin_one(struct client *c)
{
    struct resp_command command;
    struct failure why = { 0 };
    struct request *r;

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
    if (c->session != NULL)
        session_busy(c->session);
    command_run(r);
    return true;
}

static void client_run(struct client *c)
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
        c->core->port->ops->stream_close(&c->stream);
        client_free(c);
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
    client_free(c);
}

static const struct stream_events stream_events = { stream_data, stream_ended, stream_drained, stream_closed };

void client_open(struct core *core, int fd, const struct principal *who)
{
    static uint64_t last_id;
    struct client *c = calloc(1, sizeof *c);

    if (c == NULL) {
        close(fd);
        return;
    }
    *c = (struct client){ .core = core, .who = *who, .id = ++last_id, .proto = 2 };
    resp_init(&c->parser);
    list_init(&c->requests);
    list_init(&c->subscriptions);
    if (core->port->ops->stream_open(core->port, fd, REQUEST_MAX + CLIENT_READ_AHEAD_MAX, CLIENT_OUT_MAX,
                                     &stream_events, c, &c->stream) != OK) {
        close(fd);
        free(c);
        return;
    }
    c->in = core->port->ops->stream_in(c->stream);
    list_push(&core->clients, &c->link);
    core->client_count++;
}

void client_close_all(struct core *core)
{
    list_each (node, &core->clients)
        client_quit(list_entry(node, struct client, link));
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

int client_proto(const struct client *c) { return c->proto; }

struct list *client_subscriptions(struct client *c) { return &c->subscriptions; }

struct session *client_session(const struct client *c) { return c->session; }

void client_set_session(struct client *c, struct session *s) { c->session = s; }

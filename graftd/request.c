/* One request: its memory, its outcome, its reply, and what it weighs for its client. */
#include "graftd/client_impl.h"

#include "graftd/call.h"
#include "graftd/command.h"
#include "graftd/session.h"
#include "lib/check.h"
#include "lib/resp.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

struct request *request_new(struct client *c, const struct resp_command *command)
{
    struct request *r = request_alloc(c, command->argv, command->argc, c->proto);

    if (r == NULL)
        return NULL;
    list_push(&c->requests, &r->link);
    c->request_count++;
    c->undecided++;
    weigh(r);
    return r;
}

void request_free(struct request *r)
{
    list_remove(&r->link);
    if (r->client != NULL) {
        r->client->request_count--;
        r->client->undecided -= !r->decided;
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
    c->undecided--;
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
    if (first && r->client != NULL)
        r->client->undecided--;
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

/* Of its client's requests at and before that link. Not always the last one: what is refused is decided at once. */
static struct request *newest_undecided(const struct client *c, struct list *at)
{
    struct request *r;

    for (; at != &c->requests; at = at->prev)
        if (!(r = list_entry(at, struct request, link))->decided)
            return r;
    return NULL;
}

/* One that is not decided. */
static struct request *one_before(const struct request *r)
{
    bool alone = r->client == NULL || r->part_done != NULL || r->client->undecided == (size_t)!r->decided;

    return alone ? NULL : newest_undecided(r->client, r->link.prev);
}

struct call *request_before(const struct request *r)
{
    const struct request *before = one_before(r);

    return before == NULL ? NULL : before->call;
}

void request_park(struct request *r)
{
    CHECK(r->client != NULL && r->client->parked == NULL && r->part_done == NULL);
    r->client->parked = r;
}

static bool may_be_followed(const struct request *r) { return r->call != NULL && call_takes_follower(r->call); }

bool request_may_run(const struct request *r)
{
    const struct request *before = one_before(r);

    return before == NULL || (command_is_call(r->argv[0]) && may_be_followed(before));
}

bool client_takes_another(const struct client *c)
{
    const struct request *newest = c->undecided == 0 ? NULL : newest_undecided(c, c->requests.prev);

    return newest == NULL || (c->session == NULL && may_be_followed(newest));
}

void request_sent(struct request *r)
{
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

void request_asks(struct request *r)
{
    if (r->asked || r->client == NULL)
        return;
    r->asked = true;
    r->client->asked++;
}

static void has_asked(struct request *r)
{
    if (r->asked && r->client != NULL)
        r->client->asked--;
    r->asked = false;
}

void request_done(struct request *r)
{
    CHECK(!r->done);
    has_asked(r);
    if (r->reply.failed != OK && !r->unheard) {
        lose_reply(r);
        return;
    }
    weigh(r);
    r->done = true;
    if (r->part_done == NULL && r->client != NULL && r->client->stream != NULL && client_too_heavy(r->client)) {
        r->core->stats.heavy++;
        buf_fini(&r->reply);
        r->unheard = true;
        weigh(r);
    }
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

enum err request_give(struct request *r, struct bytes reply, const int *fds, size_t count)
{
    struct client *c = r->client;

    if (c == NULL || c->stream == NULL || r->part_done != NULL || list_first(&c->requests) != &r->link)
        return ERR_BUSY;
    return c->core->port->ops->stream_give(c->stream, reply, fds, count);
}

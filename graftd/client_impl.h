/*
 * A connection from the inside: for client.c and request.c alone.
 */
#ifndef GRAFTD_CLIENT_IMPL_H
#define GRAFTD_CLIENT_IMPL_H

#include "graftd/client.h"
#include "lib/resp.h"

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
    size_t request_count, undecided; /* undecided: of them */
    struct request *parked;  /* the newest of them, not begun: it waits for the one before it */
    size_t asked;            /* of them, that wait for the store */
    size_t pending;          /* bytes of them and of their replies */
    struct account *account; /* of its user; until its stream is gone */
    size_t held;             /* bytes that are on that account for it */
    int64_t half_since,
        unread_since;    /* ms; since when a request is half sent, replies are not read at all; 0: it is not so */
    size_t unread;       /* bytes, when that was looked at last */
    bool ended;          /* the peer sends no more: closes when all that came was answered */
    bool quitting;       /* no further request is looked at; closes when all are answered */
    bool running, again; /* client_run is at work; and was asked for meanwhile */
};

/* Begins what may begin, sends what is done. The client may be gone when this returns. */
void client_run(struct client *c);
/* Of replies that nobody reads, or requests that nobody finishes, there is more than the bound. */
bool client_too_heavy(struct client *c);

/* The newest of its client's; NULL: no memory. */
struct request *request_new(struct client *c, const struct resp_command *command);
void request_free(struct request *r);
/* A further request may begin, if it is a call. */
bool client_takes_another(const struct client *c);
/* Nothing before it is in its way. */
bool request_may_run(const struct request *r);

#endif

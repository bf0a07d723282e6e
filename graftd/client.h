/*
 * One connection: its requests in order, its replies in order.
 *
 * Requests of a connection take effect one after the other: the next begins when the outcome of the one before is fixed,
 * though it may not be on disk yet; so a pipeline sees its own effects, and still shares its fsyncs. Calls of one graft
 * may be begun before that: the graft runs them in their order (call_order.c). Replies leave in the
 * order of their requests. A connection that goes away ends what it began (T3).
 */
#ifndef GRAFTD_CLIENT_H
#define GRAFTD_CLIENT_H

#include "graftd/core.h"

struct client;
struct command;
struct call;
struct hold;
struct idem;
struct undo;
struct session;
struct event_wait;

enum {
    REQUEST_MAX = 64 * 1024 * 1024,     /* bytes of one request */
    REQUEST_ARG_MAX = 8192,             /* arguments of one request */
    REQUEST_INLINE_MAX = 64 * 1024,     /* bytes of an inline command */
    REQUEST_REPLY_ROOM = 128,           /* bytes of a reply that are there before anything is done: OK, a number, an error */
    REQUEST_PIPELINE_MAX = 1024,        /* begun and not answered, of one connection; more wait in its buffer */
    REQUEST_ASKED_MAX = 16,             /* that wait for an answer of the store, of one connection (history_ask) */
    CLIENT_READ_AHEAD_MAX = 256 * 1024, /* bytes taken in while a request runs */
    CLIENT_PENDING_MAX = 1024 * 1024,   /* bytes of requests and replies in the works, before the next one begins */
    CLIENT_UNSENT_MAX = 1024 * 1024,    /* replies waiting to be read, before the next request is looked at */
    CLIENT_OUT_MAX = 256 * 1024 * 1024, /* bytes of replies; past it the client is closed */
    CLIENT_NAME_MAX = 64,
    CLIENT_REFUSAL_MAX = 256, /* bytes of a sentence */
};

/* One request, from its parsing to its reply. Belongs to its client, and to itself once the client is gone. */
struct request {
    struct list link;
    struct core *core;
    struct client *client; /* NULL: gone, nobody reads the reply */
    uid_t uid;             /* who asked, known when the client is gone, too */
    gid_t gid;
    pid_t pid;
    const struct command *command;
    const struct bytes *argv; /* owned, with the request; argv[0] is the command's name */
    size_t argc;
    int proto;           /* 2 or 3 */
    struct buf reply;    /* RESP */
    size_t size, weight; /* bytes: of the request; of it and its reply, as counted in its client's pending */
    bool decided, done;
    bool asked;   /* it waits for the store, and is counted in its client's asked */
    bool unheard; /* there was no memory for any answer: its place is the end of the connection */
    void (*part_done)(
        struct request *);        /* it is a part of another request: told in place of its client; NULL: it is none */
    const struct failure *failed; /* of a part, during part_done(): why it was refused; NULL: it was not */

    /* The command's own. cancel: ends it early, its client is gone; NULL: just let it finish. */
    void (*cancel)(struct request *);
    struct call *call;
    struct txn *txn;
    struct hold *hold; /* the transaction that it works in is the session's; NULL: it is its own */
    enum err (*step)(struct request *, struct failure *why);  /* see command_transact.c */
    enum err (*again)(struct request *, struct failure *why); /* the step to begin anew once a deadlock is undone */
    unsigned retries;
    size_t at;
    int64_t number;
    struct bytes *keys; /* owned */
    struct store_request store;
    struct idem *idem; /* see idem.h */
    bool trial;        /* of a call: a dry run */
    struct undo *undo; /* see command_undo.c */
    struct event_wait *event_wait; /* see command_event.c */
    void (*sent)(void *owner);     /* of a push: it was written, or never will be; NULL: it is none */
    void *sent_owner;
};

/* The next request of the same client may begin. */
void request_decided(struct request *r);
/* The reply is complete; decided, too. One of which a part could not be added becomes an error, BUSY or LIMIT. The request
 * may be gone when this returns. */
void request_done(struct request *r);
/* The reply is this error and nothing else; then request_done. */
void request_fail(struct request *r, const struct failure *why);
void request_error(struct request *r, enum err err, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The call before it of the same connection, that is not decided; NULL: it need not wait for any. */
struct call *request_before(const struct request *r);
/* It has not begun: it will be run anew when the one before it has come further. */
void request_park(struct request *r);
/* Its call was sent to a worker: the next one may be, too. */
void request_sent(struct request *r);

/* It asks the store: no more than REQUEST_ASKED_MAX of a connection do so at a time, until they are done. */
void request_asks(struct request *r);

const struct principal *request_principal(const struct request *r);

/* A copy of what was asked, on the list; to be run as a part of another request of the same client. NULL: no memory. */
struct request *request_part(const struct request *r, struct list *parts, void (*part_done)(struct request *));
void request_part_reset(struct request *part); /* as it was: may run (again) */
void request_part_free(struct request **part);

/* A new connection from who. Takes over fd, unless it fails: then why says what is in the way. */
bool client_open(struct core *core, int fd, const struct principal *who, char why[CLIENT_REFUSAL_MAX]);
void client_close_all(struct core *core); /* after their replies were written */
void client_drop_all(struct core *core);  /* whatever they still wait for */
/* Closes those that keep us waiting in the middle of a request or of its reply: longer than `limit idle`. */
void client_sweep(struct core *core);

/* A reply with descriptors (borrowed), in place of what request_done() would send. ERR_BUSY: others are before it. */
enum err request_give(struct request *r, struct bytes reply, const int *fds, size_t count);

/* For CLIENT, HELLO, RESET, QUIT. */
uint64_t client_id(const struct client *c);
const char *client_name(const struct client *c);
void client_set_name(struct client *c, struct bytes name);
void client_set_proto(struct client *c, int proto); /* of the requests after this one */
void client_quit(struct client *c);                 /* closes after the replies so far */

/* What nobody asked for: frames takes its place behind the replies so far, and is emptied. sent() follows, once, when it
 * was written to a peer that reads, or will not be. ERR_NOMEM: nothing happened. */
enum err client_push(struct client *c, struct buf *frames, void (*sent)(void *owner), void *owner);
const struct principal *client_principal(const struct client *c);
int client_proto(const struct client *c);
struct list *client_subscriptions(struct client *c); /* see subscribe.h */

/* The transaction that it holds, see session.h; NULL: none. */
struct session *client_session(const struct client *c);
void client_set_session(struct client *c, struct session *s);

#endif

/*
 * graft_client.h: all that a C application sees of graftd.
 *
 *     graft_client *client = graft_client_new();
 *     graft_reply *reply = NULL;
 *
 *     if (graft_client_connect(client, NULL) != GRAFT_CLIENT_OK
 *         || graft_client_ask(client, &reply, "FCALL", "bank.transfer", "2", "acct:ada", "acct:bob", "30", NULL)
 *             != GRAFT_CLIENT_OK)
 *         errx(1, "%s", graft_client_error(client));
 *     if (graft_client_kind(reply) == GRAFT_REPLY_ERROR)
 *         warnx("%s", graft_client_text(reply, NULL));
 *     graft_client_free_reply(&reply);
 *     graft_client_free(&client);
 *
 * Functions give GRAFT_CLIENT_OK or a small positive number, and then graft_client_error() has a sentence. What the
 * daemon refuses is not such a failure but a reply of kind GRAFT_REPLY_ERROR: its first word is stable (ABORTED,
 * TIMEOUT, DENIED, …), and the call that it answers left nothing behind (except after UNKNOWN: see TXN STATUS).
 *
 * Requests may be sent ahead: any number of graft_client_append(), then as many graft_client_next(), which give
 * the replies in that order. After LOST, PROTOCOL or TIMEOUT the connection is closed; whether the requests that were
 * not answered took place is then not known. A client belongs to one thread at a time. No function raises a signal.
 */
#ifndef GRAFT_CLIENT_H
#define GRAFT_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    GRAFT_CLIENT_OK = 0,
    GRAFT_CLIENT_UNREACHABLE = 1, /* nobody answers at the socket */
    GRAFT_CLIENT_LOST = 2,        /* the connection is closed */
    GRAFT_CLIENT_PROTOCOL = 3,    /* what answers is not graftd, or the reply passes a limit */
    GRAFT_CLIENT_TOO_LARGE = 4,   /* requests of more than GRAFT_CLIENT_SEND_MAX bytes wait to be sent */
    GRAFT_CLIENT_NO_MEMORY = 5,
    GRAFT_CLIENT_BAD_ARG = 6, /* no argument at all, or no request left to be answered */
    GRAFT_CLIENT_TIMEOUT = 7, /* no whole reply within graft_client_timeout() */
    GRAFT_CLIENT_REFUSED = 8, /* graftd does not want us: its sentence is the error */
};

#define GRAFT_CLIENT_SEND_MAX (64u << 20)   /* bytes that may wait to be sent */
#define GRAFT_CLIENT_REPLY_MAX (128u << 20) /* bytes of one reply on the wire */
#define GRAFT_CLIENT_PATH_MAX 4096          /* bytes of a socket's path, with the final NUL */

typedef struct graft_client graft_client;
typedef struct graft_reply graft_reply;

/* One argument: any bytes. */
typedef struct {
    const void *data;
    size_t len;
} graft_client_bytes;

/* ---- the connection ---- */

/* Owned by the caller; NULL when memory is short. */
graft_client *graft_client_new(void);
void graft_client_free(graft_client **client); /* NULL is fine; clears the pointer */

/* Where graftd listens: socket if it is not NULL, else $GRAFTD_SOCKET, else $XDG_RUNTIME_DIR/graftd.sock, else
 * /run/graftd/graftd.sock. Returns out, cut to size bytes. */
const char *graft_client_path(const char *socket, char *out, size_t size);
/* Connects, again if it was connected, and agrees on RESP3. socket: as above, may be NULL. UNREACHABLE, REFUSED, … */
int graft_client_connect(graft_client *client, const char *socket);
/* How long graft_client_next() waits for one reply, in milliseconds; 0, the default, is for ever. */
void graft_client_timeout(graft_client *client, unsigned timeout_ms);
/* The sentence of the last failure, without a line end; "" if there was none. Borrowed until the next call. */
const char *graft_client_error(const graft_client *client);

/* ---- requests ---- */

/* Keeps a request to be sent by graft_client_next(); the bytes are copied. Wholly or not at all. TOO_LARGE, NO_MEMORY,
 * LOST, BAD_ARG. */
int graft_client_append(graft_client *client, size_t count, const graft_client_bytes *args);
/* Sends what waits, and gives the next reply, owned by the caller. BAD_ARG: every request is answered. */
int graft_client_next(graft_client *client, graft_reply **reply);
/* Requests that are not answered yet. */
size_t graft_client_pending(const graft_client *client);

/* Append and next in one. Only while no request is pending: BAD_ARG. */
int graft_client_command(graft_client *client, size_t count, const graft_client_bytes *args, graft_reply **reply);
/* The same with C strings; the list ends with NULL and has at most 64. */
int graft_client_ask(graft_client *client, graft_reply **reply, const char *word, ...) __attribute__((sentinel));

/* ---- replies ---- */

enum graft_reply_kind {
    GRAFT_REPLY_NIL,
    GRAFT_REPLY_STATUS,  /* text, such as OK */
    GRAFT_REPLY_ERROR,   /* text: "WORD sentence key=value…" */
    GRAFT_REPLY_INTEGER, /* integer, and its text */
    GRAFT_REPLY_DOUBLE,  /* number, and its text */
    GRAFT_REPLY_BOOL,    /* integer: 0 or 1 */
    GRAFT_REPLY_BIG,     /* text: a whole number of any size */
    GRAFT_REPLY_BYTES,   /* text: any bytes */
    GRAFT_REPLY_ARRAY,   /* items */
    GRAFT_REPLY_MAP,     /* items: key, value, key, …; count is twice the number of pairs */
};

/* A reply is a tree; what is inside is borrowed from its root, and ends with it. Each function takes any kind, and NULL
 * as nil. */
void graft_client_free_reply(graft_reply **root); /* NULL is fine; clears the pointer */
enum graft_reply_kind graft_client_kind(const graft_reply *reply);
/* Bytes with a NUL behind them; *len (may be NULL) does not count it. "" for kinds without text. */
const char *graft_client_text(const graft_reply *reply, size_t *len);
int64_t graft_client_integer(const graft_reply *reply);                   /* 0 for other kinds */
double graft_client_number(const graft_reply *reply);                     /* of a double or an integer, else 0 */
size_t graft_client_count(const graft_reply *reply);                      /* of items; 0 for other kinds */
const graft_reply *graft_client_item(const graft_reply *reply, size_t i); /* NULL past the end */
/* The value of that key in a map, or in an array of key, value, key, …; NULL when there is none. */
const graft_reply *graft_client_find(const graft_reply *reply, const char *key);

#ifdef __cplusplus
}
#endif

#endif

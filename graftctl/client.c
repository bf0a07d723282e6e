/*
 * The C API for applications (graft_client.h): one connection, requests sent ahead, replies in order.
 *
 *  1. Sending and receiving go on together: a peer that will not read before it was read from cannot
 *     make us wait for ever.
 *  2. What the peer sends is hostile: lib/resp_reply.h checks and bounds it.
 *  3. After a failure of the connection it is closed, and nothing more is read or sent.
 */
#include "include/graft_client.h"

#include "lib/check.h"
#include "lib/resp_reply.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_SIZE = 64 * 1024,       /* bytes a time */
    NODES_MAX = 4 * 1024 * 1024, /* values in one reply */
    WORDS_MAX = 64,              /* of graft_client_ask */
    ERROR_MAX = 1024,            /* bytes of a sentence, with the NUL */
};

struct graft_client {
    int fd;              /* -1: not connected */
    unsigned timeout_ms; /* 0: none */
    size_t pending;      /* requests that are not answered */
    struct buf in, out;
    struct resp_reply_parser parser;
    char error[ERROR_MAX];
};

static const struct resp_reply_limits limits = { GRAFT_CLIENT_REPLY_MAX, NODES_MAX };

static __attribute__((format(printf, 3, 4))) int client_fail(graft_client *c, int code, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vsnprintf(c->error, sizeof c->error, format, ap);
    va_end(ap);
    return code;
}

static void client_close(graft_client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->pending = 0;
    buf_fini(&c->in);
    buf_fini(&c->out);
    c->parser = (struct resp_reply_parser){ 0 };
}

graft_client *graft_client_new(void)
{
    graft_client *c = calloc(1, sizeof *c);

    if (c == NULL)
        return NULL;
    c->fd = -1;
    buf_init(&c->in, GRAFT_CLIENT_REPLY_MAX + READ_SIZE);
    buf_init(&c->out, GRAFT_CLIENT_SEND_MAX);
    return c;
}

void graft_client_free(graft_client **client)
{
    if (*client == NULL)
        return;
    client_close(*client);
    free(*client);
    *client = NULL;
}

const char *graft_client_error(const graft_client *client) { return client->error; }
void graft_client_timeout(graft_client *client, unsigned timeout_ms) { client->timeout_ms = timeout_ms; }
size_t graft_client_pending(const graft_client *client) { return client->pending; }

static const char *environment(const char *name)
{
    const char *value = getenv(name);

    return value == NULL || *value == '\0' ? NULL : value;
}

const char *graft_client_path(const char *socket, char *out, size_t size)
{
    const char *dir = environment("XDG_RUNTIME_DIR");

    if (socket == NULL)
        socket = environment("GRAFTD_SOCKET");
    if (socket == NULL && dir != NULL)
        snprintf(out, size, "%s/graftd.sock", dir);
    else
        snprintf(out, size, "%s", socket != NULL ? socket : "/run/graftd/graftd.sock");
    return out;
}

/* ---- moving bytes ---- */

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int client_lost(graft_client *c, int errnum)
{
    client_close(c);
    return client_fail(c, GRAFT_CLIENT_LOST, "graftd closed the connection%s%s", errnum == 0 ? "" : ": ",
                       errnum == 0 ? "" : strerror(errnum));
}

static bool is_transient(int errnum) { return errnum == EAGAIN || errnum == EWOULDBLOCK || errnum == EINTR; }

/* As much as the socket takes. When the peer reads no more, what it said last is still worth reading. */
static void send_some(graft_client *c)
{
    ssize_t n;

    while (buf_len(&c->out) > 0) {
        n = send(c->fd, buf_bytes(&c->out).data, buf_len(&c->out), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && !is_transient(errno))
            buf_clear(&c->out);
        if (n <= 0)
            return;
        buf_consume(&c->out, (size_t)n);
    }
}

static int receive_some(graft_client *c)
{
    uint8_t *room;
    ssize_t n;
    enum err err = buf_reserve(&c->in, READ_SIZE, &room);

    if (err == ERR_LIMIT) {
        client_close(c);
        return client_fail(c, GRAFT_CLIENT_PROTOCOL,
                           "replies of more than %u bytes wait: take them with graft_client_next()",
                           GRAFT_CLIENT_REPLY_MAX);
    }
    if (err != OK)
        return client_fail(c, GRAFT_CLIENT_NO_MEMORY, "out of memory while receiving a reply");
    n = recv(c->fd, room, READ_SIZE, MSG_DONTWAIT);
    if (n < 0 && is_transient(errno))
        return GRAFT_CLIENT_OK;
    if (n <= 0)
        return client_lost(c, n < 0 ? errno : 0);
    buf_wrote(&c->in, (size_t)n);
    return GRAFT_CLIENT_OK;
}

/* Waits until there is something to send or receive, and does it. */
static int exchange_some(graft_client *c, int64_t deadline)
{
    struct pollfd p = { .fd = c->fd, .events = POLLIN };
    int64_t left = c->timeout_ms == 0 ? -1 : deadline - now_ms();
    int n;

    if (buf_len(&c->out) > 0)
        p.events |= POLLOUT;
    if (c->timeout_ms != 0 && left <= 0) {
        client_close(c);
        return client_fail(c, GRAFT_CLIENT_TIMEOUT,
                           "graftd did not reply within %u ms; whether it did what was asked is not known",
                           c->timeout_ms);
    }
    n = poll(&p, 1, left > INT_MAX ? INT_MAX : (int)left);
    if (n < 0 && errno != EINTR)
        return client_lost(c, errno);
    if (n <= 0)
        return GRAFT_CLIENT_OK;
    if ((p.revents & POLLOUT) != 0)
        send_some(c);
    return (p.revents & ~POLLOUT) != 0 ? receive_some(c) : GRAFT_CLIENT_OK;
}

/* ---- requests ---- */

static size_t decimal_size(size_t v)
{
    size_t digits = 1;

    for (; v >= 10; v /= 10)
        digits++;
    return digits;
}

int graft_client_append(graft_client *client, size_t count, const graft_client_bytes *args)
{
    size_t size = 1 + decimal_size(count) + 2;
    uint8_t *room;
    char *p;
    enum err err = OK;

    if (client->fd < 0)
        return client_fail(client, GRAFT_CLIENT_LOST, "not connected");
    if (count == 0)
        return client_fail(client, GRAFT_CLIENT_BAD_ARG, "a request has at least a name");
    for (size_t i = 0; i < count && err == OK; i++) {
        if (args[i].len > GRAFT_CLIENT_SEND_MAX || size > GRAFT_CLIENT_SEND_MAX)
            err = ERR_LIMIT;
        size += 1 + decimal_size(args[i].len) + 2 + args[i].len + 2;
    }
    if (err == OK)
        err = buf_reserve(&client->out, size + 1, &room); /* and the NUL that sprintf writes */
    if (err == ERR_LIMIT)
        return client_fail(client, GRAFT_CLIENT_TOO_LARGE, "requests of more than %u bytes wait to be sent",
                           GRAFT_CLIENT_SEND_MAX);
    if (err != OK)
        return client_fail(client, GRAFT_CLIENT_NO_MEMORY, "out of memory for a request of %zu bytes", size);
    p = (char *)room;
    p += sprintf(p, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        p += sprintf(p, "$%zu\r\n", args[i].len);
        if (args[i].len > 0)
            memcpy(p, args[i].data, args[i].len);
        p += args[i].len;
        *p++ = '\r';
        *p++ = '\n';
    }
    CHECK((size_t)(p - (char *)room) == size);
    buf_wrote(&client->out, size);
    client->pending++;
    return GRAFT_CLIENT_OK;
}

/* The first whole reply that was received; news that nobody asked for is dropped. OK and *reply NULL: not whole yet. */
static int take_reply(graft_client *c, graft_reply **reply)
{
    struct resp_node *root = NULL;
    struct failure why = { 0 };
    size_t used;
    enum err err;

    while ((err = resp_reply_next(&c->parser, buf_bytes(&c->in), &limits, &root, &used, &why)) == OK) {
        buf_consume(&c->in, used);
        if (root->kind != RESP_PUSH) {
            *reply = (graft_reply *)root;
            return GRAFT_CLIENT_OK;
        }
        resp_reply_free(&root);
    }
    if (err == ERR_AGAIN)
        return GRAFT_CLIENT_OK;
    if (err == ERR_NOMEM)
        return client_fail(c, GRAFT_CLIENT_NO_MEMORY, "out of memory for a reply");
    client_close(c);
    return client_fail(c, GRAFT_CLIENT_PROTOCOL, "%s", why.text);
}

int graft_client_next(graft_client *client, graft_reply **reply)
{
    int64_t deadline = now_ms() + client->timeout_ms;
    graft_reply *got = NULL;
    int code = GRAFT_CLIENT_OK;

    if (client->fd < 0)
        return client_fail(client, GRAFT_CLIENT_LOST, "not connected");
    if (client->pending == 0)
        return client_fail(client, GRAFT_CLIENT_BAD_ARG, "every request is answered");
    send_some(client);
    while (code == GRAFT_CLIENT_OK) {
        code = take_reply(client, &got);
        if (code == GRAFT_CLIENT_OK && got != NULL)
            break;
        if (code == GRAFT_CLIENT_OK)
            code = exchange_some(client, deadline);
    }
    if (code != GRAFT_CLIENT_OK)
        return code;
    client->pending--;
    *reply = got;
    return GRAFT_CLIENT_OK;
}

int graft_client_command(graft_client *client, size_t count, const graft_client_bytes *args, graft_reply **reply)
{
    int code;

    if (client->pending > 0)
        return client_fail(client, GRAFT_CLIENT_BAD_ARG, "%zu earlier requests wait for their replies",
                           client->pending);
    code = graft_client_append(client, count, args);
    return code != GRAFT_CLIENT_OK ? code : graft_client_next(client, reply);
}

int graft_client_ask(graft_client *client, graft_reply **reply, const char *word, ...)
{
    graft_client_bytes args[WORDS_MAX];
    size_t count = 0;
    va_list ap;

    va_start(ap, word);
    for (; word != NULL && count < WORDS_MAX; word = va_arg(ap, const char *))
        args[count++] = (graft_client_bytes){ word, strlen(word) };
    va_end(ap);
    if (word != NULL)
        return client_fail(client, GRAFT_CLIENT_BAD_ARG, "more than %d words: use graft_client_command()", WORDS_MAX);
    return graft_client_command(client, count, args, reply);
}

/* ---- connecting ---- */

static int agree_on_protocol(graft_client *c)
{
    graft_reply *reply = NULL;
    int code = graft_client_ask(c, &reply, "HELLO", "3", NULL);

    if (code == GRAFT_CLIENT_OK && graft_client_kind(reply) == GRAFT_REPLY_ERROR) {
        client_close(c);
        code = client_fail(c, GRAFT_CLIENT_REFUSED, "%s", graft_client_text(reply, NULL));
    }
    graft_client_free_reply(&reply);
    return code;
}

int graft_client_connect(graft_client *client, const char *socket_path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char path[GRAFT_CLIENT_PATH_MAX];
    size_t len;

    client_close(client);
    client->error[0] = '\0';
    len = strlen(graft_client_path(socket_path, path, sizeof path));
    if (len >= sizeof address.sun_path)
        return client_fail(client, GRAFT_CLIENT_UNREACHABLE,
                           "the socket's path has %zu bytes, and the system allows %zu: choose a shorter one: %.64s…",
                           len, sizeof address.sun_path - 1, path);
    memcpy(address.sun_path, path, len + 1);
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&address, sizeof address) != 0) {
        int errnum = errno;
        client_close(client);
        return client_fail(client, GRAFT_CLIENT_UNREACHABLE, "cannot reach graftd at %s: %s", path, strerror(errnum));
    }
    return agree_on_protocol(client);
}

/* ---- replies ---- */

static const struct resp_node *node_of(const graft_reply *reply)
{
    static const struct resp_node nil = { .kind = RESP_NIL };

    return reply == NULL ? &nil : (const struct resp_node *)reply;
}

void graft_client_free_reply(graft_reply **root)
{
    struct resp_node *node = (struct resp_node *)*root;

    resp_reply_free(&node);
    *root = NULL;
}

enum graft_reply_kind graft_client_kind(const graft_reply *reply)
{
    static const enum graft_reply_kind kinds[] = {
        [RESP_NIL] = GRAFT_REPLY_NIL,         [RESP_STATUS] = GRAFT_REPLY_STATUS, [RESP_ERROR] = GRAFT_REPLY_ERROR,
        [RESP_INTEGER] = GRAFT_REPLY_INTEGER, [RESP_DOUBLE] = GRAFT_REPLY_DOUBLE, [RESP_BOOL] = GRAFT_REPLY_BOOL,
        [RESP_BIG] = GRAFT_REPLY_BIG,         [RESP_STRING] = GRAFT_REPLY_BYTES,  [RESP_VERBATIM] = GRAFT_REPLY_BYTES,
        [RESP_ARRAY] = GRAFT_REPLY_ARRAY,     [RESP_SET] = GRAFT_REPLY_ARRAY,     [RESP_PUSH] = GRAFT_REPLY_ARRAY,
        [RESP_MAP] = GRAFT_REPLY_MAP,
    };

    return kinds[node_of(reply)->kind];
}

const char *graft_client_text(const graft_reply *reply, size_t *len)
{
    struct bytes text = node_of(reply)->text;

    if (len != NULL)
        *len = text.len;
    return text.data == NULL ? "" : text.data;
}

int64_t graft_client_integer(const graft_reply *reply) { return node_of(reply)->integer; }

double graft_client_number(const graft_reply *reply)
{
    const struct resp_node *node = node_of(reply);

    return node->kind == RESP_INTEGER ? (double)node->integer : node->number;
}

size_t graft_client_count(const graft_reply *reply) { return node_of(reply)->count; }

const graft_reply *graft_client_item(const graft_reply *reply, size_t i)
{
    const struct resp_node *node = node_of(reply);

    return i < node->count ? (const graft_reply *)&node->items[i] : NULL;
}

const graft_reply *graft_client_find(const graft_reply *reply, const char *key)
{
    const struct resp_node *node = node_of(reply);

    for (size_t i = 0; i + 1 < node->count; i += 2)
        if (bytes_equal(node->items[i].text, bytes_str(key)))
            return (const graft_reply *)&node->items[i + 1];
    return NULL;
}

/*
 * A client's connection on the real port: a non-blocking Unix socket with bounded buffers both ways.
 *
 * Output is buffered and written once per turn of the loop; a peer that lets it grow past its bound is
 * closed. A peer that only stopped sending keeps getting its replies; one that is gone is noticed also
 * while nothing is read from it.
 */
#include "graftd/port_uv.h"

#include "lib/check.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_CHUNK = 16 * 1024,    /* bytes a time, a thousand small requests: the fairness between connections */
    MUCH_OUT = 64 * 1024,      /* bytes; the owner is told when so many have left */
    LINGER_MS = 5000,          /* how long a closed stream may still write what it owes */
    GIVE_MAX = 4,              /* descriptors at a time */
    OUT_KEEP_MAX = 256 * 1024, /* bytes of an empty buffer worth keeping */
};

struct port_stream {
    struct port *port;
    int fd;
    struct watch *watch;
    struct flush flush;
    struct buf in, out;
    const struct stream_events *events;
    void *owner;
    struct port_timer *linger; /* set while closing, if there was memory for it */
    bool paused, failed, closing;
    bool ended, told; /* the peer sends no more; the owner knows it */
    bool blocked;     /* the socket took no more */
};

static void set_interest(struct port_stream *s)
{
    int events = WATCH_HANGUP;

    if (!s->paused && !s->ended && !s->closing)
        events |= WATCH_READ;
    if (s->ended)
        events = (events & ~WATCH_HANGUP) | WATCH_GONE; /* a half is told once: level-triggered, it would spin */
    if (s->blocked)
        events |= WATCH_WRITE;
    watch_set(s->watch, events);
}

static void free_stream(struct port_stream *s)
{
    if (s->closing)
        s->events->gone(s->owner);
    flush_cancel(s->port, &s->flush);
    watch_free(&s->watch);
    s->port->ops->timer_free(&s->linger);
    close(s->fd);
    buf_fini(&s->in);
    buf_fini(&s->out);
    free(s);
}

/* The peer is gone: a stream being closed just goes, another tells its owner. */
static void stream_lost(struct port_stream *s)
{
    if (!s->closing)
        s->events->closed(s->owner);
    free_stream(s);
}

static void write_some(struct flush *flush)
{
    struct port_stream *s = (struct port_stream *)((char *)flush - offsetof(struct port_stream, flush));
    bool much;

    if (s->failed) {
        stream_lost(s);
        return;
    }
    much = s->blocked || buf_len(&s->out) > MUCH_OUT;
    s->blocked = false;
    while (buf_len(&s->out) > 0) {
        struct bytes b = buf_bytes(&s->out);
        ssize_t n = send(s->fd, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            s->blocked = true;
            break;
        }
        if (n < 0) {
            stream_lost(s);
            return;
        }
        buf_consume(&s->out, (size_t)n);
    }
    if (buf_len(&s->out) == 0 && s->out.cap > OUT_KEEP_MAX)
        buf_fini(&s->out);
    if (!s->blocked && s->closing) {
        free_stream(s);
        return;
    }
    set_interest(s);
    if (much && !s->blocked)
        s->events->drained(s->owner);
}

static bool peer_is_gone(const struct port_stream *s)
{
    struct pollfd p = { .fd = s->fd };

    return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

static void read_some(struct port_stream *s)
{
    uint8_t *room;
    ssize_t n;
    size_t want = s->in.max - buf_len(&s->in);

    if (want > READ_CHUNK)
        want = READ_CHUNK;
    if (want == 0)
        return; /* full: the owner sees to it by pausing or closing */
    if (buf_reserve(&s->in, want, &room) != OK) {
        stream_lost(s); /* it stays readable: to wait for memory would be to spin */
        return;
    }
    n = recv(s->fd, room, want, MSG_DONTWAIT);
    if (n > 0) {
        buf_wrote(&s->in, (size_t)n);
        s->events->data(s->owner, &s->in);
    } else if (n == 0 && peer_is_gone(s)) {
        stream_lost(s);
    } else if (n == 0) {
        s->ended = s->told = true;
        set_interest(s);
        s->events->ended(s->owner);
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        stream_lost(s);
    }
}

static void stream_ready(void *owner, int events)
{
    struct port_stream *s = owner;

    if ((events & WATCH_WRITE) != 0)
        flush_soon(s->port, &s->flush);
    if ((events & WATCH_HANGUP) != 0 && peer_is_gone(s)) {
        stream_lost(s);
        return;
    }
    if ((events & WATCH_HANGUP) != 0 && s->paused && !s->ended) {
        s->ended = true; /* half-closed while paused: what it sent before is read when resumed */
        set_interest(s);
        return;
    }
    if ((events & WATCH_READ) != 0 && !s->paused && !s->closing)
        read_some(s);
}

enum err stream_open(struct port *port, int fd, size_t in_max, size_t out_max, const struct stream_events *events,
                     void *owner, struct port_stream **out)
{
    struct port_stream *s = calloc(1, sizeof *s);

    if (s == NULL)
        return ERR_NOMEM;
    *s = (struct port_stream){ .port = port, .fd = fd, .events = events, .owner = owner, .flush.run = write_some };
    buf_init(&s->in, in_max);
    buf_init(&s->out, out_max);
    if (watch_new(port, fd, stream_ready, s, &s->watch) != OK) {
        free(s);
        return ERR_NOMEM;
    }
    set_interest(s);
    *out = s;
    return OK;
}

enum err stream_send(struct port_stream *s, struct bytes b)
{
    enum err err = s->failed ? ERR_LIMIT : buf_add(&s->out, b.data, b.len);

    if (err != OK)
        s->failed = true;
    flush_soon(s->port, &s->flush);
    return err;
}

enum err stream_give(struct port_stream *s, struct bytes b, const int *fds, size_t count)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(GIVE_MAX * sizeof(int))];
    } control = { 0 };
    struct iovec iov = { (void *)(uintptr_t)b.data, b.len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control };
    struct cmsghdr *c;

    CHECK(count <= GIVE_MAX);
    if (s->failed || buf_len(&s->out) > 0)
        return ERR_BUSY;
    msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
    c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    return sendmsg(s->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)b.len ? OK : ERR_BUSY;
}

struct buf *stream_in(struct port_stream *s) { return &s->in; }

size_t stream_unsent(struct port_stream *s) { return buf_len(&s->out); }

void stream_pause(struct port_stream *s, bool paused)
{
    if (s->paused == paused)
        return;
    s->paused = paused;
    if (!paused && !s->told)
        s->ended = false; /* read what came before the end, then tell */
    set_interest(s);
}

static void linger_over(void *owner) { free_stream(owner); }

void stream_close(struct port_stream **stream)
{
    struct port_stream *s = *stream;

    if (s == NULL)
        return;
    *stream = NULL;
    s->closing = true;
    s->linger = s->port->ops->timer_new(s->port, linger_over, s);
    if (s->linger == NULL || s->failed) {
        free_stream(s);
        return;
    }
    s->port->ops->timer_start(s->linger, LINGER_MS);
    flush_soon(s->port, &s->flush);
}

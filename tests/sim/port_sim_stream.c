/* The simulated port: connections, and what comes and goes on them. */
#include "tests/sim/port_sim_inside.h"

#include <stdlib.h>

enum err stream_open(struct port *port, int fd, size_t in_max, size_t out_max, const struct stream_events *events,
                     void *owner, struct port_stream **out)
{
    struct port_sim *s = simulated(port);
    struct port_stream *stream = fault(s) ? NULL : calloc(1, sizeof *stream);

    (void)fd;
    if (stream == NULL)
        return ERR_NOMEM;
    *stream = (struct port_stream){ .sim = s, .peer = s->newcomer, .events = events, .owner = owner };
    buf_init(&stream->in, in_max);
    buf_init(&stream->out, out_max);
    s->newcomer->stream = stream;
    s->newcomer = NULL;
    list_push(&s->streams, &stream->link);
    *out = stream;
    return OK;
}

struct buf *stream_in(struct port_stream *s) { return &s->in; }

enum err stream_send(struct port_stream *s, struct bytes b)
{
    CHECK(!s->closing);
    if (s->sim->options.echo && chance_one_in(s->sim->chance, 64))
        CHECK(buf_add(&s->out, b.data, b.len) == OK);
    return buf_add(&s->out, b.data, b.len);
}

size_t stream_unsent(struct port_stream *s) { return buf_len(&s->out); }

void stream_pause(struct port_stream *s, bool paused) { s->paused = paused; }

void stream_close(struct port_stream **s)
{
    if (*s != NULL)
        (*s)->closing = true;
    *s = NULL;
}

static void stream_free(struct port_stream *s)
{
    if (s->peer != NULL)
        s->peer->stream = NULL;
    if (s->closing)
        s->events->gone(s->owner);
    list_remove(&s->link);
    buf_fini(&s->in);
    buf_fini(&s->out);
    free(s);
}

void streams_end_lingering(struct port_sim *s)
{
    list_each (node, &s->streams) {
        struct port_stream *stream = list_entry(node, struct port_stream, link);
        if (stream->closing)
            stream_free(stream);
    }
}

void peer_forget(struct peer *peer)
{
    if (peer->stream != NULL)
        peer->stream->peer = NULL;
    peer->stream = NULL;
    list_remove(&peer->link);
}

/* ---- events ---- */

static void request_arrives(struct port_sim *s, void *what)
{
    struct port_stream *stream = what;

    move_bytes(&stream->peer->say, &stream->in, some_of(s, buf_len(&stream->peer->say)));
    stream->events->data(stream->owner, &stream->in);
}

static void peer_ends(struct port_sim *s, void *what)
{
    struct port_stream *stream = what;

    (void)s;
    stream->ended = true;
    stream->events->ended(stream->owner);
}

static void peer_goes(struct port_sim *s, void *what)
{
    struct port_stream *stream = what;

    (void)s;
    if (!stream->closing)
        stream->events->closed(stream->owner);
    stream_free(stream);
}

static void connection_closes(struct port_sim *s, void *what)
{
    struct port_stream *stream = what;
    struct peer *peer = stream->peer;

    (void)s;
    stream_free(stream);
    peer->eof = true;
    peer->heard(peer);
}

static void reply_arrives(struct port_sim *s, void *what)
{
    struct port_stream *stream = what;
    size_t all = buf_len(&stream->out), n = some_of(s, all);

    move_bytes(&stream->out, &stream->peer->hear, n);
    stream->peer->heard(stream->peer);
    if (n < all) {
        stream->blocked = true;
    } else if (stream->blocked && !stream->closing) {
        stream->blocked = false;
        stream->events->drained(stream->owner);
    }
}

void stream_events(struct port_stream *s, struct turn *t)
{
    struct peer *peer = s->peer;
    bool open = !s->closing && !s->paused;

    if (peer == NULL || peer->hangup) {
        can_happen(t, peer_goes, s);
        return;
    }
    if (open && buf_len(&peer->say) > 0 && buf_len(&s->in) < s->in.max)
        can_happen(t, request_arrives, s);
    else if (open && peer->finish && !s->ended && buf_len(&peer->say) == 0)
        can_happen(t, peer_ends, s);
    if (!peer->deaf && buf_len(&s->out) > 0)
        can_happen(t, reply_arrives, s);
    else if (s->closing && buf_len(&s->out) == 0)
        can_happen(t, connection_closes, s);
}

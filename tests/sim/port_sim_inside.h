/*
 * What the parts of the simulated port share: port_sim.c (events and processes), port_sim_clock.c (timers, and work on
 * another thread) and port_sim_stream.c (connections). For them alone.
 */
#ifndef GRAFTD_TESTS_SIM_PORT_SIM_INSIDE_H
#define GRAFTD_TESTS_SIM_PORT_SIM_INSIDE_H

#include "lib/check.h"
#include "tests/sim/port_sim.h"

enum { EVENTS_MAX = 1024 }; /* that can happen at one time */

struct port_sim {
    struct port base;
    struct port_sim_options options;
    struct chance *chance;
    int64_t now_ms;
    bool tick_wanted;
    struct list timers, processes, streams, works, peers;
    uint64_t timer_order;
    pid_t last_pid;
    struct peer *newcomer;
};

struct port_timer {
    struct list link;
    struct port_sim *sim;
    void (*fired)(void *owner);
    void *owner;
    bool running;
    int64_t due_ms;
    uint64_t order; /* of starting */
};

struct port_stream {
    struct list link;
    struct port_sim *sim;
    struct peer *peer;
    struct buf in, out;
    const struct stream_events *events;
    void *owner;
    bool paused, ended, blocked, closing;
};

static inline struct port_sim *simulated(struct port *p) { return (struct port_sim *)(void *)p; }
static inline bool fault(struct port_sim *s) { return chance_one_in(s->chance, s->options.fault_one_in); }

/* What can happen next; a step picks one. */
struct turn {
    struct event {
        void (*happens)(struct port_sim *, void *what);
        void *what;
    } events[EVENTS_MAX];
    unsigned count;
};

static inline void can_happen(struct turn *t, void (*happens)(struct port_sim *, void *), void *what)
{
    CHECK(t->count < EVENTS_MAX);
    t->events[t->count++] = (struct event){ happens, what };
}

/* Of n bytes so many arrive now. */
static inline size_t some_of(struct port_sim *s, size_t n)
{
    return chance_one_in(s->chance, 2) ? n : 1 + chance_below(s->chance, (unsigned)n);
}

static inline void move_bytes(struct buf *from, struct buf *to, size_t n)
{
    CHECK(buf_add(to, buf_bytes(from).data, n) == OK);
    buf_consume(from, n);
}

/* ---- timers, and work on another thread: as in struct port_ops ---- */

struct port_timer *timer_new(struct port *p, void (*fired)(void *owner), void *owner);
void timer_start(struct port_timer *t, uint64_t ms);
void timer_stop(struct port_timer *t);
void timer_free(struct port_timer **t);

/* The one that is due next, or NULL. */
struct port_timer *timer_first(struct port_sim *s);
void timer_fires(struct port_sim *s, void *what);

enum err work_queue(struct port *p, void (*run)(void *), void (*done)(void *), void *owner);
/* What of them can happen. */
void work_events(struct port_sim *s, struct turn *t);

/* ---- connections: as in struct port_ops ---- */

enum err stream_open(struct port *port, int fd, size_t in_max, size_t out_max, const struct stream_events *events,
                     void *owner, struct port_stream **out);
struct buf *stream_in(struct port_stream *s);
enum err stream_send(struct port_stream *s, struct bytes b);
size_t stream_unsent(struct port_stream *s);
void stream_pause(struct port_stream *s, bool paused);
void stream_close(struct port_stream **s);

/* What of it can happen. */
void stream_events(struct port_stream *s, struct turn *t);

/* A closed connection whose peer does not read what is owed to it ends with the loop. */
void streams_end_lingering(struct port_sim *s);

#endif

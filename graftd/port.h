/*
 * The outside world as a struct of functions: clock, chance, timers, processes, connections.
 *
 * The daemon's logic reaches the machine through this and nothing else, so that tests/sim can run it
 * in a simulated world, with crashes wherever it likes. The real world is port_uv.c (libuv) with
 * stream.c and process.c. Callbacks come from the loop, not from inside a call into the port; but process_resume() gives the
 * message that was held at once.
 */
#ifndef GRAFTD_PORT_H
#define GRAFTD_PORT_H

#include "lib/buf.h"

#include <stdint.h>
#include <sys/types.h>

struct port;
struct port_timer;
struct port_process; /* the zygote, a template or a worker */
struct port_group;   /* a share of the CPU */
struct port_stream;  /* a client's connection */

/* How a process ended. */
struct obituary {
    bool born; /* false: it never came to be, errnum says why */
    int errnum;
    int code, status; /* as in siginfo_t of waitid(2); code 0: not known, its parent went first */
    uint64_t cpu_us, rss_max_kib;
};

struct process_events {
    /* One message. False: cannot be taken now; the same one comes again after process_resume(), nothing else before. */
    bool (*message)(void *owner, uint8_t number, struct bytes body);
    /* What arrived is not made of frames, or stopped in the middle of one. died() still follows. */
    void (*broken)(void *owner, const char *what);
    /* Exactly once, last; the handle is gone when this returns. */
    void (*died)(void *owner, const struct obituary *o);
};

/* What a child of a nursery gets; becomes wire_SPAWN. */
struct process_limits {
    uint64_t memory_max, stack_max; /* bytes */
    uint32_t cpu_s_max;
    uint32_t key_max, value_max; /* bytes */
};

struct stream_events {
    /* Bytes arrived at the end of the stream's input buffer; take what is whole with buf_consume(). */
    void (*data)(void *owner, struct buf *in);
    /* The peer will send no more (half-closed), but may still read. Once. */
    void (*ended)(void *owner);
    /* All that was sent has left, after it had to wait or was much. */
    void (*drained)(void *owner);
    /* The peer is gone, or does not read its replies. Once, last; the handle is gone when this returns. */
    void (*closed)(void *owner);
    /* After stream_close(), last: what it owed has left, or was given up. May come from inside stream_close(). */
    void (*gone)(void *owner);
};

struct port_ops {
    /* Both may stand still until the callback that the loop is in returns. */
    int64_t (*now_ms)(struct port *);  /* monotonic */
    int64_t (*wall_us)(struct port *); /* since 1970 */
    void (*random)(struct port *, void *out, size_t n);
    /* Calls the daemon's tick before the loop sleeps again. */
    void (*soon)(struct port *);

    struct port_timer *(*timer_new)(struct port *, void (*fired)(void *owner), void *owner); /* NULL: no memory */
    void (*timer_start)(struct port_timer *, uint64_t ms); /* once; starting again moves it */
    void (*timer_stop)(struct port_timer *);
    void (*timer_free)(struct port_timer **);

    /* work() runs on another thread, then done() on the loop. For what would make the loop wait: the disk. */
    enum err (*work)(struct port *, void (*work)(void *), void (*done)(void *), void *owner);

    /* Starts the process that all others are forked from. Its first message is MANIFEST (which walls stand) or REFUSED. */
    enum err (*zygote_open)(struct port *, const struct process_events *, void *owner, struct port_process **out,
                            struct failure *why);
    /* nursery: the zygote for a template, a template for a worker. file: the graft, for a template; else -1; borrowed. */
    enum err (*process_spawn)(struct port *, struct port_process *nursery, const struct process_limits *, int file,
                              const struct process_events *, void *owner, struct port_process **out,
                              struct failure *why);
    /* Buffered, in order; written before the loop sleeps. */
    enum err (*process_send)(struct port_process *, struct bytes frames);
    void (*process_resume)(struct port_process *);
    /* Something came behind the message that is being given to the owner. */
    bool (*process_said_more)(struct port_process *);
    /* SIGKILL, now. No message comes after this, only died(). */
    void (*process_kill)(struct port_process *);
    /* Ends it kindly: it sees the end of its channel and exits. */
    void (*process_end)(struct port_process *);
    /* From now on it gets the CPU only when others leave some, as far as the system can be told so; not to be taken back.
     * group: its template's, or NULL. */
    void (*process_slow)(struct port_process *, struct port_group *);
    /* A share of the CPU for a template and all that it will fork, by weight beside other groups: see policy/cgroup.h. done()
     * follows, also when it came to nothing. NULL: this machine has none, or no memory; then done() does not come. */
    struct port_group *(*group_new)(struct port *, struct port_process *template, const char *name, uint32_t weight,
                                    void (*done)(void *owner), void *owner);
    void (*group_free)(struct port_group **); /* after done(), when all its processes are gone */
    /* CPU time used so far, or when this callback began to ask, microseconds; what was read last when it is gone. */
    uint64_t (*process_cpu_us)(struct port_process *);
    pid_t (*process_pid)(struct port_process *); /* for people; 0 when not known yet */

    /* Takes over fd, unless it fails. in_max, out_max: bytes of its buffers. */
    enum err (*stream_open)(struct port *, int fd, size_t in_max, size_t out_max, const struct stream_events *,
                            void *owner, struct port_stream **out);
    struct buf *(*stream_in)(struct port_stream *); /* its input buffer */
    enum err (*stream_send)(struct port_stream *,
                            struct bytes); /* buffered; ERR_LIMIT: the peer does not read, it is being closed */
    size_t (*stream_unsent)(struct port_stream *);
    /* A few bytes with descriptors (borrowed), at once or not at all: ERR_BUSY, something else waits to be sent. */
    enum err (*stream_give)(struct port_stream *, struct bytes, const int *fds, size_t count);
    void (*stream_pause)(struct port_stream *,
                         bool);                  /* no data() while paused; a peer that goes away is still noticed */
    void (*stream_close)(struct port_stream **); /* after what is buffered was written, or 5 s; then gone() */
};

struct port {
    const struct port_ops *ops;
    void (*tick)(void *owner); /* the daemon's, set once: see soon() */
    void *tick_owner;
};

static inline int64_t port_now_ms(struct port *p) { return p->ops->now_ms(p); }
static inline int64_t port_wall_us(struct port *p) { return p->ops->wall_us(p); }
static inline void port_soon(struct port *p) { p->ops->soon(p); }

#endif

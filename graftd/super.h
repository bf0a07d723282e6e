/*
 * The supervisor: the zygote, and for each loaded graft a pool of workers behind its template.
 *
 *     worker  STARTING → IDLE ⇄ BUSY → DYING          any → DYING (killed, or its channel broke)
 *
 * A worker runs one call at a time. One whose call failed is never used again (W4): it is killed and another is
 * forked from the template; with `worker fresh call` so is every other. So that the next call need not wait for a birth,
 * as many workers are kept ready as calls used up within the last second or two, and no more than the pool may have;
 * those that nobody needed are dismissed when it has become quiet. Each death is explained in one log line. A pool whose workers do not come up backs
 * off, and tells those who wait.
 *
 *     daemon → worker   CALL a, CALL b, CALL c, …        a: the head, it runs        b, c: behind it, sent and not begun
 *     worker → daemon   a's messages, DONE a             now b is the head
 *
 * So that one wake-up serves many calls, those of a quick graft may be sent behind another. They have done nothing yet:
 * they are taken back, and begin anew elsewhere, as soon as the head has to wait for anything, is slow, or fails. The
 * worker they were sent to is then retired: killed when the last call that is left to it has ended.
 */
#ifndef GRAFTD_SUPER_H
#define GRAFTD_SUPER_H

#include "graftd/port.h"
#include "lib/list.h"
#include "policy/grant.h"

struct super;
struct pool;
struct worker;

struct super_events {
    void (*ready)(void *owner);                 /* the zygote stands; pools may be opened */
    void (*lost)(void *owner, const char *why); /* it does not, or no more: graftd must end */
};
enum err super_new(struct port *port, const struct super_events *events, void *owner, struct super **out,
                   struct failure *why);
void super_stop(struct super *s);               /* everything below the zygote dies; lost() follows */
void super_free(struct super **s);              /* after lost(), and no pool is left */
const char *super_walls(const struct super *s); /* one line: which walls stand */

struct pool_events {
    /* What the graft says about itself. The answer is pool_start() or pool_close(), now or later. */
    void (*manifest)(void *owner, struct bytes text);
    /* The first worker is ready. */
    void (*ready)(void *owner);
    /* The graft was refused, or its first worker did not come up, or its template died. pool_close() is due. */
    void (*failed)(void *owner, const struct failure *why);
    /* After pool_close(): the last process is gone, and so is the pool. */
    void (*closed)(void *owner);
};
/* file: the graft, read-only; borrowed until manifest() or failed(). label: for the log, borrowed while the pool lives. */
enum err pool_open(struct super *s, int file, const char *label, const struct pool_events *events, void *owner,
                   struct pool **out, struct failure *why);
void pool_start(struct pool *p, const struct grant_limits *limits, const struct policy_limits *bounds);
/* No worker is taken any more; all of them are killed. closed() follows. */
void pool_close(struct pool *p);
size_t pool_worker_count(const struct pool *p);

/* A call's seat: in the queue of a pool, or in a worker. Embedded; in one place at most. */
struct seat {
    struct list link;      /* super's: of the queue, of `same`, or of the worker's calls, the head first */
    struct list same;      /* super's: in the queue, those of the same user behind this one */
    uid_t uid;             /* who asks: users take turns in the queue */
    struct pool *pool;     /* super's: whose queue it is in */
    struct worker *worker; /* super's; NULL: none */
    size_t size;           /* super's: bytes sent behind another call */
    uint64_t used_us;      /* super's: see seat_used_us() */
    bool urgent; /* somebody with a worker and locks waits for this one: it may be one more than the pool's most */
    bool alone;  /* not behind another call; set when it was taken back */
    bool again;  /* it was taken back: first in the queue after the urgent ones, however long that is */
    unsigned turn; /* super's: so many went before it in a row, see seat_follow() */
    const struct seat_events *events;
};

struct seat_events {
    void (*granted)(struct seat *);                            /* out of the queue, with a worker */
    void (*refused)(struct seat *, const struct failure *why); /* out of the queue, without */
    /* All was well with the calls before it: it is the head now, and runs. */
    void (*begins)(struct seat *);
    /* It was sent behind another call and will not be begun there: no worker is its any more. It must not come back, nor
     * wait for anything, from in here. */
    void (*taken_back)(struct seat *);
    /* As process_events.message. To the head alone: to one that has sent nothing, too. */
    bool (*message)(struct seat *, uint8_t number, struct bytes body);
    /* The head's worker died, or must die because of what it said; it is no longer the call's. why is what happened, for
     * people. outside: somebody else killed it, which no graft can do to itself. */
    void (*died)(struct seat *, const char *why, bool outside);
};

/* OK: it has a worker. ERR_WAIT: queued, granted() or refused() follows. ERR_BUSY: the queue is full. */
enum err seat_take(struct pool *p, struct seat *s, struct failure *why);
/* Behind that one, which was sent, in the same worker. Only if it takes a follower: while others wait for a worker, a few
 * in a row do. */
void seat_follow(struct seat *s, const struct seat *before);
bool seat_takes_follower(const struct seat *before);
bool seat_is_head(const struct seat *s);
/* The frame that begins the call, once. ERR_WAIT: not behind another call, that is too much. ERR_NOMEM. */
enum err seat_send(struct seat *s, struct bytes frame);
/* The head has to wait for something: so that nobody waits for it, those behind are taken back. */
void seat_waits(struct seat *s);
/* Out of the queue or off the worker, and nothing was sent. Harmless without either. */
void seat_leave(struct seat *s);
/* It cannot be sent behind another call now: out of the worker, to be taken back. */
void seat_rather_alone(struct seat *s);
/* The head's call went well, and seat_used_us() was just asked: the worker is free, or begins the next. */
void seat_end(struct seat *s);
/* It failed after it was sent. The head's worker is killed, and nothing that it says is heard any more; behind another
 * call: it is not begun. expected: a call that only said no, which is not worth a line in the log. */
void seat_drop(struct seat *s, const char *why, bool expected);
struct port_process *seat_process(const struct seat *s);
/* The head uses much CPU: its worker gives way to others, and serves no further call. */
void seat_slow(struct seat *s);
/* CPU time of the worker since it is the head, microseconds; without a worker: when it was. */
uint64_t seat_used_us(struct seat *s);

/* Why calls that were sent behind another were taken back. */
enum taken {
    TAKEN_UNSENT, /* not sent in fact: it would have had to wait itself */
    TAKEN_WAITS,  /* the head had to wait */
    TAKEN_SLOW,   /* it is slow */
    TAKEN_FAILED, /* it failed */
    TAKEN_ENDED,  /* one between the head and it was ended */
    TAKEN_COUNT,
};

struct super_stats {
    uint64_t workers, forked, killed, died, slowed;
    uint64_t spares; /* workers that pools want to have ready now because calls used up others */
    uint64_t behind; /* calls that began behind another, and were not taken back */
    uint64_t taken_back[TAKEN_COUNT];
};
void super_stats(const struct super *s, struct super_stats *out);

#endif

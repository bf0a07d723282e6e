/*
 * The supervisor: the zygote, and for each loaded graft a pool of workers behind its template.
 *
 *     worker  STARTING → IDLE ⇄ BUSY → DYING          any → DYING (killed, or its channel broke)
 *
 * A worker serves one call at a time. One whose call failed is never used again (W4): it is killed and another is
 * forked from the template; with `worker fresh call` so is every other. Each death is explained in one log line. A pool whose workers do not come up backs
 * off, and tells those who wait.
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

/* Somebody who wants a worker. Embedded; on one pool's queue at most. */
struct worker_wait {
    struct list link;  /* the pool's */
    struct pool *pool; /* the pool's */
    bool urgent; /* somebody with a worker and locks waits for this one: it may be one more than the pool's most */
    void (*granted)(struct worker_wait *, struct worker *);           /* out of the queue, with a worker */
    void (*refused)(struct worker_wait *, const struct failure *why); /* out of the queue, without */
};
/* OK: *w is BUSY and the caller's. ERR_WAIT: queued. ERR_BUSY: the queue is full. */
enum err worker_take(struct pool *p, struct worker_wait *wait, struct worker **w, struct failure *why);
void worker_wait_cancel(struct worker_wait *wait); /* harmless when not queued */

struct worker_events {
    /* As process_events.message. Only while BUSY. */
    bool (*message)(void *owner, uint8_t number, struct bytes body);
    /* It died, or must die because of what it said; it is no longer the caller's. why is what happened, for people.
     * outside: somebody else killed it, which no graft can do to itself. */
    void (*died)(void *owner, const char *why, bool outside);
};
void worker_use(struct worker *w, const struct worker_events *events, void *owner); /* right after it was granted */
struct port_process *worker_process(struct worker *w);
/* Back, unharmed: its call went well. */
void worker_give(struct worker **w);
/* Its call uses much CPU: it gives way to others, and serves no further call. */
void worker_slow(struct worker *w);
/* Killed. Nothing that it says is heard any more. expected: a call that only said no, which is not worth a line in the log. */
void worker_kill(struct worker **w, const char *why, bool expected);

struct super_stats {
    uint64_t workers, forked, killed, died, slowed;
};
void super_stats(const struct super *s, struct super_stats *out);

#endif

/*
 * What super.c and seat.c share, and nobody else sees.
 *
 *     super.c   processes: the zygote, templates, workers; how they come to be and die
 *     seat.c    who gets which worker, and what stands behind a running call
 *     spare.c   how many workers are kept ready because calls used up others
 */
#ifndef GRAFTD_SUPER_IMPL_H
#define GRAFTD_SUPER_IMPL_H

#include "graftd/super.h"
#include "lib/log.h"

enum {
    WORDS_MAX = 256, /* bytes kept of a worker's last words */
};

/* What is true in a state:
 *                seats         in the list
 *     STARTING   none          others
 *     IDLE       none          idle
 *     BUSY       one or more   others
 *     DYING      none          others */
enum worker_state { STARTING, IDLE, BUSY, DYING };

struct pool {
    struct super *super;
    const char *label;
    const struct pool_events *events;
    void *owner;
    struct port_process *template;
    struct port_group *group; /* of the template and all workers; NULL: none */
    bool placing;             /* the template is being put there: no worker yet */
    bool introduced, started, closing;
    bool proven;  /* a worker was ready once */
    bool settled; /* failed() was told */
    struct process_limits limits;
    uint64_t start_ms; /* what graft_init may take */
    size_t worker_min, worker_max;
    bool fresh;                 /* a worker serves one call */
    size_t spent;               /* workers that calls used up since the spender was armed */
    size_t spares;              /* so many are to be idle or about to be, within worker_max */
    struct port_timer *spender; /* forgets them, when armed */
    bool spender_armed;
    struct port_timer *filler; /* starts workers behind the back of who used one up, when armed */
    bool filler_armed;
    size_t total, live, starting; /* workers: all, not DYING, STARTING */
    size_t idle_count;
    size_t queue_max, queue_len;
    size_t urgent;            /* of those in the queue */
    size_t lent;              /* BUSY workers that serve an urgent one: not counted against worker_max */
    size_t taken;             /* BUSY workers that serve another */
    struct list idle, others; /* workers; idle: the one used last is first, those that never were come last */
    struct list waiting;      /* seats, of each line the first: empty when nobody waits */
    struct port_timer *timer; /* the template's first word, then back-off, and the last step of closing */
    struct port_timer *rest;  /* looks at the idle, when armed */
    bool rest_armed;
    uint64_t backoff_ms;
    bool backing_off;
    /* How many calls a worker is sent at a time. */
    uint64_t run_us;           /* CPU time of a call, moving average */
    bool learned;              /* from one at least */
    unsigned alone_left;       /* so many calls are sent alone, because some were taken back; */
    unsigned alone_next;       /* so many the next time */
    unsigned unsent_next;      /* so many after the next one that cannot be sent */
    uint64_t well;             /* calls that began behind another since then */
    struct port_timer *looker; /* looks at those with calls behind, when armed */
    bool looker_armed;
};

struct worker {
    struct list link;
    struct pool *pool;
    struct port_process *process;
    unsigned state;
    struct list seats; /* the head, and those behind it */
    size_t seat_count;
    size_t behind_bytes;            /* sent for those behind */
    bool open;                      /* the head runs and did not have to wait: there may be others behind it */
    bool retired;                   /* killed when its calls have ended; none is added */
    bool slowed;                    /* see seat_slow() */
    unsigned looks;                 /* so often it was seen with the same head and others behind */
    bool lent;                      /* to an urgent call: does not count against the pool's most */
    struct port_timer *start_timer; /* while STARTING */
    unsigned log_lines;             /* while STARTING */
    uint64_t served;                /* calls that went well */
    uint64_t cpu_us;                /* read last */
    uint64_t head_cpu_us;           /* when the head became it */
    uint64_t rest_cpu_us;           /* CPU time when it became IDLE: there it has nothing to use any for */
    char words[WORDS_MAX];          /* what it said, or what we killed it for */
};

/* super.c */
struct port *pool_port(const struct pool *p);
struct super_stats *pool_stats(const struct pool *p);
void pool_fill(struct pool *p); /* starts the workers that are wanted */
void worker_move(struct worker *w, enum worker_state next);
uint64_t worker_read_cpu(struct worker *w);
/* Kills it, and its head learns why. It is not DYING. */
void worker_end(struct worker *w, const char *why, enum log_level level);
/* The same for what it said or did, unless it is DYING; who comes in its place is seen to. */
void worker_condemn(struct worker *w, const char *why, enum log_level level);
/* Nobody is in it any more, and all went well: it is IDLE, or not fit for that. Its CPU time was just read. */
void worker_freed(struct worker *w);
bool worker_is_old(const struct worker *w);
/* To be asked of an idle one before it is used. False: it is condemned. */
bool worker_rested(struct worker *w);

/* spare.c */
void pool_spend(struct pool *p);    /* a call took its worker with it */
void pool_spent_lately(void *pool); /* of the spender */
void spares_fini(struct pool *p);

/* seat.c */
void seats_init(struct pool *p);
void pool_look(void *pool);      /* of the looker */
void pool_serve(struct pool *p); /* gives out what is free */
void pool_refuse_waiting(struct pool *p, enum err err, const char *why);
struct seat *worker_head(const struct worker *w); /* NULL: none */
/* It is going to die: those behind are taken back, and the head is out of it, still to be told. NULL: there was none. */
struct seat *worker_empty(struct worker *w);

#endif

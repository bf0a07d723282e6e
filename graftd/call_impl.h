/*
 * What call.c, call_key.c, call_run.c and call_nest.c share, and nobody else sees.
 *
 *     call.c       a call's life: beginning, commit, abort, retry, end      call_run.c   while the graft runs: messages, deadlines
 *     call_order.c the order of one connection's calls
 *     call_key.c   declared keys and arguments, and the message that starts   call_nest.c  calls inside calls
 */
#ifndef GRAFTD_CALL_IMPL_H
#define GRAFTD_CALL_IMPL_H

#include "graftd/call.h"
#include "graftd/hold.h"
#include "graftd/hostcall.h"
#include "graftd/registry.h"
#include "lib/state.h"

/* What is true in a state:
 *                worker       txn     deadline timer
 *     QUEUED     no           no      only with a TIMEOUT, or when it begins again
 *     FETCHING   the head     open    runs while it waits          or behind one, and then does not wait
 *     SENT       behind one   open    as when it was QUEUED        its own transaction, without effects
 *     RUNNING    the head     open    runs
 *     COMMITTING no       given   stopped
 *     ABORTING   no       given   stopped        nested: still the holder's, being taken back to the mark
 *     DONE       no       no      freed */
enum call_state { QUEUED, FETCHING, SENT, RUNNING, COMMITTING, ABORTING, DONE };

enum {
    LABEL_MAX = 2 * MANIFEST_NAME_MAX + 2,
};

struct call {
    struct list link; /* core->calls */
    struct core *core;
    const struct call_events *events;
    void *owner;
    unsigned state;
    struct graft *graft; /* held */
    const struct manifest_function *function;
    struct call_request request;
    struct principal who;
    struct seat seat;
    bool tainted; /* the worker spoke before it was asked: not one to give back */
    struct hold own, *hold; /* hold: own, or whose transaction this call is nested in */
    struct hold_frame frame;
    uint64_t txn_id;
    uint32_t nested; /* its number in the history of the transaction that it is nested in; 0: not told */
    struct hostcall_context host;
    struct port_timer *timer;
    int64_t begun_us;
    int64_t wall_begin_ms, wall_end_ms; /* monotonic; end 0: no deadline yet */
    uint64_t wall_limit_ms, cpu_limit_ms;
    uint64_t cpu_us;
    unsigned attempts; /* begun again so often, after it lost a deadlock */
    bool retrying;     /* ABORTING, and then from the beginning: after that, or because it was taken back */
    bool heard;        /* this worker has said something */
    bool bereft;       /* its worker was killed from outside before it was heard: as if it had not begun, but once only */
    bool bereft_once;
    size_t *order;     /* declared keys, sorted; fetched so far: */
    size_t fetched;
    bool timer_taken; /* the timer that asked for it is deleted */
    struct call *after, *follower; /* of the same connection, see call_order.c; NULL: none */
    struct txn_warmup *warmup;     /* its declared keys are being read, before it takes a worker; NULL: not now */
    bool queued;                   /* it waits, or waited last, for that or for a worker */
    struct call *child;       /* the nested call that the worker waits for */
    struct bytes *child_args; /* owned; the bytes lie in the message that is held */
    bool child_ended, starting_child;
    uint64_t children_cpu_us; /* of nested calls that have ended */
    struct buf child_answer;  /* RESULT, ready to be sent */
    struct failure why;
    struct buf reply;
    char label[LABEL_MAX];
};

/* call.c */
void call_move(struct call *c, enum call_state next);
void call_abort(struct call *c);  /* c->why says why */
void call_commit(struct call *c); /* the run went well, the reply is there */
void call_head(struct call *c);   /* its worker is its own now: the wall limit of its grant begins */
void call_unsend(struct call *c); /* it was sent behind another, or was to be, and has no worker any more: from the beginning */
uint64_t call_measure(struct call *c); /* CPU time so far, nested calls included, microseconds */

void call_queue(struct call *c); /* QUEUED: for a worker, unless another goes before it */

/* call_order.c */
bool call_may_follow(const struct call_request *request); /* its request->after */
void call_join_order(struct call *c);                     /* behind that one */
/* Into the worker of the one before it. False: not now, or there is none. */
bool call_follow(struct call *c);
/* It is decided, or never will be: the one after it goes on. */
void call_leave_order(struct call *c);

/* call_key.c */
enum err call_check_keys(struct call *c);
enum err call_sort_keys(struct call *c);
void call_fetch(struct call *c);

/* call_run.c */
bool call_heard(struct seat *seat, uint8_t number, struct bytes body); /* see seat_events */
void call_lost_worker(struct seat *seat, const char *why, bool outside);
bool call_run(struct call *c); /* RUNNING, from now on. False: its time is up already, and it has ended */
void call_watch_deadlines(struct call *c);

/* call_nest.c */
/* The worker asks for a nested call. False: it is under way; the same message comes again when it has ended. */
bool call_nest(struct call *c, struct bytes body);
/* Ends a nested call without a word: the transaction that it works in goes as a whole. Harmless without one. */
void call_nest_drop(struct call *c);

#endif

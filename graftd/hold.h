/*
 * A transaction that more than one call may work in, one after the other: a call's own, with the calls nested in it, or
 * one that a connection holds from BEGIN to COMMIT.
 *
 * Who begins it owns its end; who works in it now is woken. Work that fails is taken back to the mark that was set when it
 * began, and the rest stays (T8).
 */
#ifndef GRAFTD_HOLD_H
#define GRAFTD_HOLD_H

#include "txn/txn.h"

enum { HOLD_DEPTH_MAX = 8 }; /* calls inside each other */

struct hold {
    struct txn *txn; /* NULL: it has ended */
    uint64_t id;
    unsigned depth;             /* of who works in it now; the owner's own work is 0 */
    void (*wake)(void *worker); /* who works in it now; NULL: nobody */
    void *worker;
    struct timer_place *places; /* of timers that it arms, see timer.h */
};

/* What the innermost work put aside when it began; given back when it ends. */
struct hold_frame {
    struct txn_mark mark;
    void (*wake)(void *worker);
    void *worker;
};

static inline void hold_enter(struct hold *h, struct hold_frame *frame, void (*wake)(void *), void *worker)
{
    *frame = (struct hold_frame){ txn_mark(h->txn), h->wake, h->worker };
    h->wake = wake;
    h->worker = worker;
    h->depth++;
}

static inline void hold_leave(struct hold *h, const struct hold_frame *frame)
{
    h->wake = frame->wake;
    h->worker = frame->worker;
    h->depth--;
}

static inline void hold_woken(struct hold *h)
{
    if (h->wake != NULL)
        h->wake(h->worker);
}

#endif

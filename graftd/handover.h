/*
 * Giving the socket to a graftd that takes over, and taking it back when that one fails.
 *
 *     given ──► our calls end, clients close ──► released: the store is closed, the other one opens it ──► taken: we end
 *        └──────────────────────────────────────────┴── lost: the other one is gone: we open the store again, and serve
 *
 * With the socket go the ends of two pipes (inherit.h): one hangs up when the store is free, on the other one the new
 * graftd writes a byte when it serves, or it hangs up when it dies. Our grafts and workers stay until then: what is behind
 * our walls could not be started anew.
 */
#ifndef GRAFTD_HANDOVER_H
#define GRAFTD_HANDOVER_H

#include "graftd/listen.h"

struct handover; /* opaque */

struct handover_events {
    void (*taken)(void *owner); /* it serves: ours to end */
    void (*lost)(void *owner);  /* it never will */
};

/* Answers r with the socket; then the listener rests. Of the events one follows, once, unless it is ended before. ERR_BUSY. */
enum err handover_begin(struct port *port, struct listener *l, struct request *r, const struct handover_events *events,
                        void *owner, struct handover **out, struct failure *why);
/* The store is closed: the other one may open it. */
void handover_release(struct handover *h);
void handover_end(struct handover **h); /* *h may be NULL. Releases */

#endif

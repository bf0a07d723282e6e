/*
 * SUBSCRIBE: a connection that is told of a topic's events as they are stored.
 *
 * A subscription is a place in the topic: the id of the last event that was sent. Events are read from the store page by
 * page, the next page when the one before has been written to a peer that reads; so a slow subscriber costs one page of
 * memory, however many topics it listens to, misses nothing that is kept, and delays nobody. Whether it may read the topic
 * is asked for each page, by the policy in force then; who may no more is told that the subscription has ended. Messages take their place behind the replies to what was asked
 * before. Each is ["message", topic, payload, id]: the form of Redis with the id behind it, a push in RESP3.
 */
#ifndef GRAFTD_SUBSCRIBE_H
#define GRAFTD_SUBSCRIBE_H

#include "graftd/client.h"

enum {
    SUBSCRIPTION_MAX = 128,                /* of one connection */
    SUBSCRIPTION_PAGE = 64,                /* events sent at a time … */
    SUBSCRIPTION_PAGE_BYTES = 1024 * 1024, /* … and no further one when they have so many bytes */
};

/* True: r may not be run on a RESP2 connection that is subscribed, and has been refused. */
bool subscribe_refuses(struct request *r);
/* The connection's subscriptions end; it may be going away. */
void subscribe_end_all(struct client *c);

#endif

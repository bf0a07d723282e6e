/*
 * Syncs on a thread of their own: while the disk takes its time, the store's thread serves reads.
 *
 *     store's thread ──► waiting, in order ──► sync's thread: one sync for all that wait ──► finished
 *
 * After a sync that failed there is no other: a second one might say that all is well (finding out is recovery's). All that
 * waits then, and comes later, is answered ERR_UNKNOWN.
 */
#ifndef GRAFTD_TXN_STORE_SYNC_H
#define GRAFTD_TXN_STORE_SYNC_H

#include "txn/store.h"

struct store_sync;

struct store_sync_work {
    enum err (*sync)(void *owner);                         /* all that was written is on disk; ERR_UNKNOWN */
    void (*finished)(void *owner, struct list *requests); /* takes them, in order */
    void *owner;
};

/* Both functions are called from the new thread. NULL: it could not be started. */
struct store_sync *store_sync_new(const struct store_sync_work *work);
/* When nothing waits any more. */
void store_sync_free(struct store_sync **s);

/* Takes the requests. must: they are finished after a sync that begins later than this; else after those before them. */
void store_sync_add(struct store_sync *s, struct list *requests, bool must);
/* The same as with must, at once, on this thread: which is faster where nobody has to read meanwhile. Only when idle. */
void store_sync_now(struct store_sync *s, struct list *requests);
/* Nothing is before a request that comes now. */
bool store_sync_idle(struct store_sync *s);
/* Until that is so. False: a sync has failed. */
bool store_sync_drain(struct store_sync *s);
bool store_sync_failed(struct store_sync *s);

#endif

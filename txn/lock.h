/*
 * Key locks: shared and exclusive, granted in order of arrival, with deadlocks found when they close
 * (T6: strict two-phase locking).
 *
 * A holder (a transaction) waits for at most one lock at a time. A holder that wants to strengthen a shared lock goes
 * before those who wait to enter. A wait that would close a cycle is refused at once: its asker is the victim. Time is
 * passed in. Knows nothing of values, undo or the store.
 */
#ifndef GRAFTD_TXN_LOCK_H
#define GRAFTD_TXN_LOCK_H

#include "lib/buf.h"
#include "lib/list.h"
#include "lib/map.h"

enum lock_mode { LOCK_SHARED, LOCK_EXCLUSIVE };

struct lock_table {
    struct map locks;
    struct lock *spare_locks;        /* owned; kept for reuse, at most LOCK_SPARE_MAX */
    struct lock_claim *spare_claims; /* the same */
    size_t spare_lock_count, spare_claim_count;
    uint64_t walk; /* number of the last search for a cycle */
};

/* One side: what it holds, what it waits for. Embedded in a transaction. */
struct lock_holder {
    struct list held;              /* of claims */
    struct lock_claim *waiting;    /* NULL: not waiting */
    int64_t waiting_since_ms;      /* the now_ms of the lock_take that queued it */
    /* The lock waited for is held now. Called from lock_release_all or lock_cancel of another; must not call back into
     * this table. */
    void (*granted)(struct lock_holder *);
};

enum err lock_table_init(struct lock_table *t);
void lock_table_fini(struct lock_table *t); /* nobody holds anything */
void lock_holder_init(struct lock_holder *h, void (*granted)(struct lock_holder *));

/* OK: held now in that mode or stronger. ERR_WAIT: queued, granted() follows. ERR_DEADLOCK: waiting would close a
 * cycle; not queued, what was held stays held. ERR_NOMEM. Asking again for the lock that it waits for gives ERR_WAIT;
 * asking for another gives up that wait first. */
enum err lock_take(struct lock_table *t, struct lock_holder *h, struct bytes key, enum lock_mode mode, int64_t now_ms,
                   struct failure *why);
/* Gives up waiting, keeps what is held. Harmless when not waiting. */
void lock_cancel(struct lock_table *t, struct lock_holder *h);
/* Frees everything it holds or waits for, waking those who can go on, in order. */
void lock_release_all(struct lock_table *t, struct lock_holder *h);
bool lock_holds(struct lock_table *t, const struct lock_holder *h, struct bytes key, enum lock_mode mode);
/* The key waited for, for messages; empty when not waiting. */
struct bytes lock_waits_for(const struct lock_holder *h);
/* Visits each key held exclusively, in no order. visit must not call back into the table. */
void lock_each_exclusive(const struct lock_holder *h, void (*visit)(struct bytes key, void *user), void *user);

#endif

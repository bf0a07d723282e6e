/*
 * Locks on keys, shared and exclusive, and on ranges of keys, shared; granted in order of arrival, with deadlocks found
 * when they close (T6: strict two-phase locking).
 *
 * A range holds every key in it shared, also those that do not exist: nobody else locks one of them exclusively while
 * it is held, so no phantom appears in it. Nobody waits for a range as such: who wants one stands in line with it and
 * waits for one key after another that is locked exclusively in it, until there is none. Meanwhile newcomers that want
 * a key in it exclusively wait behind it, except those that it waits for itself.
 *
 * A holder (a transaction) waits for at most one lock at a time. A holder that wants to strengthen a shared lock, on
 * the key or by a range, goes before those who wait to enter. A wait that would close a cycle is refused at once: its
 * asker is the victim. Time is passed in. Knows nothing of values, undo or the store.
 *
 * While nobody has a range, a key costs what it would without them. A range costs a look at each key locked
 * exclusively; a key then costs a binary search in the ranges of each holder that has some.
 */
#ifndef GRAFTD_TXN_LOCK_H
#define GRAFTD_TXN_LOCK_H

#include "lib/buf.h"
#include "lib/list.h"
#include "lib/map.h"
#include "txn/range.h"

enum lock_mode { LOCK_SHARED, LOCK_EXCLUSIVE };

struct lock_table {
    struct map locks;
    struct list exclusives;          /* of locks that are, or were since they exist, wanted exclusively */
    struct list rangers;             /* of lock_ranges: who has a range or stands in line with one */
    struct list colds;               /* of lock_cold: who has more locks than warm_max */
    size_t warm_max;                 /* claims of one holder; those beyond are kept small. The owner may change it */
    struct lock *spare_locks;        /* owned; kept for reuse, at most LOCK_SPARE_MAX */
    struct lock_claim *spare_claims; /* the same */
    size_t spare_lock_count, spare_claim_count;
    uint64_t walk;    /* number of the last search for a cycle */
    uint64_t tickets; /* given out: places in line */
    /* A key in a message, such as: key "a". Returns out. The owner may put another one here. */
    const char *(*show)(struct bytes key, char *out, size_t size);
};

/* One side: what it holds, what it waits for. Embedded in a transaction. */
struct lock_holder {
    struct list held;              /* of claims */
    struct lock_claim *waiting;    /* NULL: not waiting */
    struct lock_claim *got;        /* held, the last one that it had waited for; NULL: lock_woke took note of it */
    struct lock_ranges *ranges;    /* owned by the table; NULL: never asked for one */
    struct lock_cold *cold;        /* owned by the table; NULL: it never had that many locks */
    size_t warm;                   /* claims on held */
    uint64_t bytes;                /* what its claims weigh */
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
/* The same for a range, which is copied: OK, it is held, and has become one with what it touches of the ranges that h
 * holds. ERR_WAIT: it waits for a key in it; ask again for the same range when granted() was called, which may wait for
 * the next key. ERR_DEADLOCK, ERR_NOMEM: it gave up its place. */
enum err lock_take_range(struct lock_table *t, struct lock_holder *h, const struct range *range, int64_t now_ms,
                         struct failure *why);
/* Gives up waiting, and the place in line with a range; keeps what is held. Harmless when not waiting. */
void lock_cancel(struct lock_table *t, struct lock_holder *h);
/* Frees everything it holds or waits for, waking those who can go on, in order. */
void lock_release_all(struct lock_table *t, struct lock_holder *h);
/* What it holds and waits for in memory: keys, the bounds of ranges, and a fixed weight for each. */
uint64_t lock_bytes(const struct lock_holder *h);
bool lock_holds(struct lock_table *t, const struct lock_holder *h, struct bytes key, enum lock_mode mode);
/* The key waited for, for messages; empty when not waiting. */
struct bytes lock_waits_for(const struct lock_holder *h);
/* By anybody, or somebody waits for it. */
bool lock_is_held(struct lock_table *t, struct bytes key);
/* Visits each key held exclusively, in no order. visit must not call back into the table. */
void lock_each_exclusive(const struct lock_holder *h, void (*visit)(struct bytes key, void *user), void *user);
/* Visits those who hold what h waits for. since_ms: 0 if they had it without waiting, else when lock_woke took note of
 * it; now_ms if it did not yet. Some may be visited twice. visit must not call back into the
 * table. */
void lock_each_blocker(const struct lock_table *t, const struct lock_holder *h, int64_t now_ms,
                       void (*visit)(struct lock_holder *blocker, int64_t since_ms, void *user), void *user);
/* h has learned that it holds what it waited for: from now on, others wait for h. */
void lock_woke(struct lock_holder *h, int64_t now_ms);

#endif

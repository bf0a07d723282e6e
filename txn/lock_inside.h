/*
 * What lock.c, lock_search.c and lock_range.c share, and nobody else sees.
 *
 *     lock.c        locks and claims, taking and giving back
 *     lock_search.c places in line; would a wait close a cycle?
 *     lock_range.c  wanting and having ranges
 *     lock_cold.c   the many locks of one holder, kept small
 *
 *     lock ── granted: claims, all shared or a single exclusive one
 *          ── upgrader: the granted claim that wants to become exclusive, first in line. Never two: the second would
 *             wait for the first and the first for the second
 *          ── waiting: claims, in order of arrival
 *
 * Who waits for a lock waits, directly or through those in line before it, for all who hold it. So the search for a
 * cycle goes from lock to lock and sees each once, however many wait.
 *
 *     holder ── ranges: held: a set of ranges, which count as shared claims on all their keys
 *                       wanted: one more, with the ticket of its place in line
 *
 * Tickets rise in order of arrival. Who wants a key exclusively waits also for the ranges with it that others hold, and
 * for those that others wanted before. Its *reach* tells which: a search that comes to a lock through somebody whose
 * reach is n > 0 looks at the ranges held and at those wanted with a ticket below n; a reach of 0 looks at none. A lock
 * is seen again only with a greater reach.
 *
 * A wanted range bars newcomers only so that they do not overtake it for ever. Where that alone would close a cycle it
 * bars nobody: a claim with the ticket TICKET_FIRST stands before all that is wanted, and the range waits for it. In
 * the other direction the same: a range does not wait for those who only wait before it if that would close a cycle.
 */
#ifndef GRAFTD_TXN_LOCK_INSIDE_H
#define GRAFTD_TXN_LOCK_INSIDE_H

#include "txn/lock.h"

enum {
    LOCK_KEY_INLINE = 64,  /* bytes; longer keys cost an allocation */
    LOCK_SPARE_MAX = 4096, /* locks, and claims, kept for reuse */
    TICKET_FIRST = 1,      /* before all wanted ranges */
    LOCK_WARM_MAX = 4096,  /* claims of one holder that are kept as such */
    KEY_SHOWN = 80,        /* bytes of a key in a message */
};

struct lock {
    struct map_node node; /* its key is small or owned */
    struct list granted, waiting;
    struct list of_exclusives;   /* table.exclusives */
    struct lock_claim *upgrader; /* NULL: none */
    uint64_t walk;               /* the last search that saw it */
    uint64_t reach;              /* with which it saw it */
    bool listed;                 /* still to be searched */
    struct lock *next;           /* still to be searched, or the next spare one */
    char small[LOCK_KEY_INLINE];
};

struct lock_claim {
    struct list of_lock;   /* lock.granted or lock.waiting */
    struct list of_holder; /* holder.held; on no list while waiting to enter */
    struct lock *lock;
    struct lock_holder *holder;
    enum lock_mode mode;     /* held; or wanted, while waiting to enter */
    uint64_t ticket;         /* while waiting: its place among wanted ranges */
    int64_t since_ms;        /* held: see lock_each_blocker; -1: not noted yet */
    struct lock_claim *next; /* the next spare one */
};

struct lock_ranges {
    struct list of_table; /* table.rangers */
    struct lock_holder *holder;
    struct range_set held;
    struct range wanted; /* owned copy */
    uint64_t ticket;     /* of the wanted one; 0: none is wanted */
    bool waited;         /* it has waited for the wanted one */
    int64_t woke_ms;     /* when lock_woke last took note of anything */
};

static inline struct lock_claim *claim_of_lock(struct list *node)
{
    return list_entry(node, struct lock_claim, of_lock);
}

static inline struct lock_claim *claim_of_holder(struct list *node)
{
    return list_entry(node, struct lock_claim, of_holder);
}

static inline struct lock *lock_of_exclusives(struct list *node)
{
    return list_entry(node, struct lock, of_exclusives);
}

static inline struct lock_ranges *ranges_of(struct list *node)
{
    return list_entry(node, struct lock_ranges, of_table);
}

static inline bool compatible(const struct lock *lock, enum lock_mode mode)
{
    return list_empty(&lock->granted) ||
           (mode == LOCK_SHARED && claim_of_lock(lock->granted.next)->mode == LOCK_SHARED);
}

static inline bool range_holds(const struct lock_holder *h, struct bytes key)
{
    return h->ranges != NULL && range_set_find(&h->ranges->held, key) != NULL;
}

static inline bool wants_range(const struct lock_holder *h) { return h->ranges != NULL && h->ranges->ticket != 0; }

/* The range is in the way of others who want the key exclusively and stand in line with that ticket. */
static inline bool range_bars(const struct lock_ranges *r, struct bytes key, uint64_t ticket)
{
    return range_set_find(&r->held, key) != NULL ||
           (r->ticket != 0 && r->ticket < ticket && range_has(&r->wanted, key));
}

static inline enum err lock_no_memory(struct failure *why)
{
    return fail(why, ERR_NOMEM, "no memory for a lock: try again later");
}

/* lock.c */
/* What h holds of the lock; NULL: nothing. */
struct lock_claim *claim_find(const struct lock *lock, const struct lock_holder *h);
/* h, which holds nothing of the lock, wants it. OK: it has it. ERR_WAIT: it stands in line, at the ticket's place. */
enum err lock_enter(struct lock_table *t, struct lock *lock, struct lock_holder *h, enum lock_mode mode,
                    uint64_t ticket, int64_t now_ms, struct failure *why);
/* h, whose cold lock it is, gets a lock and a claim for it. ERR_NOMEM */
enum err lock_make(struct lock_table *t, struct lock_holder *h, struct bytes key);
/* The claim goes, and its lock, for which nobody waits; who holds it does not change. */
void lock_give(struct lock_table *t, struct lock_claim *claim);
/* A range is gone: those whom it barred may go on. */
void lock_pump_all(struct lock_table *t);

/* lock_search.c */
/* Would h, waiting for start with that reach, wait for itself? upgrade: it holds start already, so all who wait for
 * start wait for it. */
bool closes_cycle(struct lock_table *t, struct lock *start, const struct lock_holder *h, bool upgrade, uint64_t reach);
/* Where a claim with that ticket stands: before those who want it exclusively and came later. */
struct list *line_place(const struct lock_table *t, struct lock *lock, uint64_t ticket);
/* How far those see who stand in line before `end`. */
uint64_t line_reach(const struct lock_table *t, const struct lock *lock, const struct list *end);
/* The same for one who waits. */
uint64_t claim_reach(const struct lock_table *t, const struct lock_claim *claim);

/* lock_cold.c */
/* Some of what h has had longest goes cold, if it has more than warm_max. */
void cold_some(struct lock_table *t, struct lock_holder *h);
bool cold_has(const struct lock_holder *h, struct bytes key);
bool cold_is_held(const struct lock_table *t, struct bytes key); /* by anybody */
/* If somebody has it cold, it is a lock with a claim now. ERR_NOMEM: it is as before. */
enum err cold_thaw(struct lock_table *t, struct bytes key);
/* The same for one key in the range that somebody else than h has; *thawed: there was one. Looks at each key of a set whose
 * keys may lie in the range. */
enum err cold_thaw_range(struct lock_table *t, const struct lock_holder *h, const struct range *range, bool *thawed);
void cold_each(const struct lock_holder *h, void (*visit)(struct bytes key, void *user), void *user);
void cold_free(struct lock_holder *h); /* harmless without any */

/* lock_range.c */
/* Gives up its place in line. */
void unwant_range(struct lock_table *t, struct lock_holder *h);

#endif

/*
 * Ranges: standing in line with one, waiting for the keys in it, having it.
 */
#include "txn/lock_inside.h"

#include <stdlib.h>

static struct lock_ranges *ranges_new(struct lock_table *t, struct lock_holder *h)
{
    struct lock_ranges *r = calloc(1, sizeof *r);

    if (r == NULL)
        return NULL;
    r->holder = h;
    list_push(&t->rangers, &r->of_table);
    return r;
}

static enum err want_range(struct lock_table *t, struct lock_holder *h, const struct range *range)
{
    if (h->ranges == NULL && (h->ranges = ranges_new(t, h)) == NULL)
        return ERR_NOMEM;
    if (range_copy(&h->ranges->wanted, range) != OK)
        return ERR_NOMEM;
    h->ranges->ticket = ++t->tickets;
    h->ranges->waited = false;
    return OK;
}

void unwant_range(struct lock_table *t, struct lock_holder *h)
{
    h->ranges->ticket = 0;
    range_fini(&h->ranges->wanted);
    lock_pump_all(t);
}

/* Somebody stands in line for it exclusively since before the ticket. */
static bool wanted_before(const struct lock *lock, uint64_t ticket)
{
    if (lock->upgrader != NULL && lock->upgrader->ticket < ticket)
        return true;
    list_each (node, &lock->waiting)
        if (claim_of_lock(node)->mode == LOCK_EXCLUSIVE && claim_of_lock(node)->ticket < ticket)
            return true;
    return false;
}

/* Must the range that h wants wait for this lock? */
static bool bars_range(struct lock_table *t, struct lock *lock, const struct lock_holder *h)
{
    const struct lock_ranges *r = h->ranges;

    if (!range_has(&r->wanted, lock->node.key) || range_set_find(&r->held, lock->node.key) != NULL ||
        claim_find(lock, h) != NULL)
        return false;
    if (!compatible(lock, LOCK_SHARED))
        return true;
    return wanted_before(lock, r->ticket) &&
           !closes_cycle(t, lock, h, false, line_reach(t, lock, line_place(t, lock, r->ticket)));
}

static enum err range_wait(struct lock_table *t, struct lock_holder *h, int64_t now_ms, struct failure *why)
{
    bool thawed;

    list_each (node, &t->exclusives)
        if (bars_range(t, lock_of_exclusives(node), h)) {
            h->ranges->waited = true;
            return lock_enter(t, lock_of_exclusives(node), h, LOCK_SHARED, h->ranges->ticket, now_ms, why);
        }
    if (cold_thaw_range(t, h, &h->ranges->wanted, &thawed) != OK)
        return lock_no_memory(why);
    return thawed ? range_wait(t, h, now_ms, why) : OK; /* that one bars it */
}

enum err lock_take_range(struct lock_table *t, struct lock_holder *h, const struct range *range, int64_t now_ms,
                         struct failure *why)
{
    bool again = wants_range(h) && range_equal(&h->ranges->wanted, range);
    enum err err;

    if (again && h->waiting != NULL)
        return ERR_WAIT;
    if (!again)
        lock_cancel(t, h);
    if (range_empty(range) || (h->ranges != NULL && range_set_covers(&h->ranges->held, range)))
        return OK;
    if (!again && want_range(t, h, range) != OK)
        return lock_no_memory(why);
    err = range_wait(t, h, now_ms, why);
    if (err == ERR_WAIT)
        return err;
    if (err == OK && range_set_add(&h->ranges->held, range, h->ranges->waited ? h->ranges->woke_ms : 0) != OK)
        err = lock_no_memory(why);
    unwant_range(t, h);
    return err;
}

/*
 * Who waits for whom: places in line, and the search for a cycle that goes from lock to lock. lock_inside.h says why it
 * sees all there is to see.
 */
#include "txn/lock_inside.h"

struct list *line_place(const struct lock_table *t, struct lock *lock, uint64_t ticket)
{
    struct list *node = lock->waiting.next;

    if (ticket == t->tickets || ticket == TICKET_FIRST)
        return &lock->waiting;
    while (node != &lock->waiting &&
           (claim_of_lock(node)->mode == LOCK_SHARED || claim_of_lock(node)->ticket < ticket))
        node = node->next;
    return node;
}

uint64_t line_reach(const struct lock_table *t, const struct lock *lock, const struct list *end)
{
    uint64_t reach = 0;

    if (list_empty(&t->rangers))
        return 0;
    for (struct list *node = lock->waiting.next; node != end; node = node->next)
        if (claim_of_lock(node)->mode == LOCK_EXCLUSIVE && claim_of_lock(node)->ticket > reach)
            reach = claim_of_lock(node)->ticket;
    return reach;
}

uint64_t claim_reach(const struct lock_table *t, const struct lock_claim *claim)
{
    if (claim->lock->upgrader == claim)
        return claim->ticket;
    return line_reach(t, claim->lock, claim->of_lock.next);
}

struct search {
    struct lock_table *t;
    const struct lock_holder *holder; /* would it, waiting for start, wait for itself? */
    struct lock *start;
    bool upgrade; /* it holds start already: all who wait for start wait for it */
    struct lock *todo;
};

static void search_add(struct search *s, struct lock *lock, uint64_t reach)
{
    if (lock->walk == s->t->walk && lock->reach >= reach)
        return;
    lock->walk = s->t->walk;
    lock->reach = reach;
    if (lock->listed)
        return;
    lock->listed = true;
    lock->next = s->todo;
    s->todo = lock;
}

/* Who waits for the lock waits for `other`: true if that closes a cycle. */
static bool search_meets(struct search *s, const struct lock *lock, const struct lock_holder *other)
{
    struct lock_claim *waiting = other->waiting;

    if (other == s->holder)
        return !(s->upgrade && lock == s->start);
    if (waiting == NULL)
        return false;
    if (s->upgrade && waiting->lock == s->start)
        return true;
    search_add(s, waiting->lock, claim_reach(s->t, waiting));
    return false;
}

static bool search_lock(struct search *s, const struct lock *lock)
{
    list_each (node, &lock->granted)
        if (search_meets(s, lock, claim_of_lock(node)->holder))
            return true;
    if (lock->reach == 0)
        return false;
    list_each (node, &s->t->rangers)
        if (range_bars(ranges_of(node), lock->node.key, lock->reach) && search_meets(s, lock, ranges_of(node)->holder))
            return true;
    return false;
}

bool closes_cycle(struct lock_table *t, struct lock *start, const struct lock_holder *h, bool upgrade, uint64_t reach)
{
    struct search s = { .t = t, .holder = h, .start = start, .upgrade = upgrade };
    bool found = false;

    t->walk++;
    search_add(&s, start, reach);
    while (s.todo != NULL) {
        struct lock *lock = s.todo;
        s.todo = lock->next;
        lock->listed = false;
        found = found || search_lock(&s, lock);
    }
    return found;
}

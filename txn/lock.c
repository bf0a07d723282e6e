/*
 * See lock.h for the contract and lock_inside.h for what there is. Here: locks and claims, taking and giving back.
 */
#include "txn/lock_inside.h"

#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *show_key(struct bytes key, char *out, size_t size)
{
    char text[KEY_SHOWN];

    snprintf(out, size, "key \"%s\"", bytes_show(key, text, sizeof text));
    return out;
}

enum err lock_table_init(struct lock_table *t)
{
    *t = (struct lock_table){ .tickets = TICKET_FIRST, .warm_max = LOCK_WARM_MAX, .show = show_key };
    list_init(&t->exclusives);
    list_init(&t->rangers);
    list_init(&t->colds);
    return map_init(&t->locks);
}

void lock_table_fini(struct lock_table *t)
{
    CHECK(t->locks.count == 0);
    CHECK(list_empty(&t->rangers) && list_empty(&t->colds));
    while (t->spare_locks != NULL) {
        struct lock *lock = t->spare_locks;
        t->spare_locks = lock->next;
        free(lock);
    }
    while (t->spare_claims != NULL) {
        struct lock_claim *claim = t->spare_claims;
        t->spare_claims = claim->next;
        free(claim);
    }
    map_fini(&t->locks);
}

void lock_holder_init(struct lock_holder *h, void (*granted)(struct lock_holder *))
{
    *h = (struct lock_holder){ .granted = granted };
    list_init(&h->held);
}

static struct lock *lock_new(struct lock_table *t, struct bytes key)
{
    struct lock *lock = t->spare_locks;
    char *text = NULL;

    if (key.len > LOCK_KEY_INLINE && (text = bytes_dup(key)) == NULL)
        return NULL;
    if (lock != NULL) {
        t->spare_locks = lock->next;
        t->spare_lock_count--;
    } else if ((lock = malloc(sizeof *lock)) == NULL) {
        free(text);
        return NULL;
    }
    if (text == NULL) {
        memcpy(lock->small, key.data, key.len);
        text = lock->small;
    }
    list_init(&lock->granted);
    list_init(&lock->waiting);
    lock->of_exclusives = (struct list){ 0 };
    lock->upgrader = NULL;
    lock->walk = 0;
    lock->listed = false;
    lock->next = NULL;
    lock->node.key = bytes_of(text, key.len);
    map_add(&t->locks, &lock->node);
    return lock;
}

static void lock_free_if_unused(struct lock_table *t, struct lock *lock)
{
    if (!list_empty(&lock->granted) || !list_empty(&lock->waiting))
        return;
    map_remove(&t->locks, &lock->node);
    list_remove(&lock->of_exclusives);
    if (lock->node.key.data != lock->small)
        free((void *)(uintptr_t)lock->node.key.data);
    if (t->spare_lock_count == LOCK_SPARE_MAX) {
        free(lock);
        return;
    }
    lock->next = t->spare_locks;
    t->spare_locks = lock;
    t->spare_lock_count++;
}

static uint64_t weight(const struct lock *lock)
{
    return sizeof *lock + sizeof(struct lock_claim) + lock->node.key.len;
}

static struct lock_claim *claim_new(struct lock_table *t, struct lock *lock, struct lock_holder *h, enum lock_mode mode)
{
    struct lock_claim *claim = t->spare_claims;

    if (claim != NULL) {
        t->spare_claims = claim->next;
        t->spare_claim_count--;
    } else if ((claim = malloc(sizeof *claim)) == NULL) {
        return NULL;
    }
    *claim = (struct lock_claim){ .lock = lock, .holder = h, .mode = mode };
    h->bytes += weight(lock);
    return claim;
}

static void claim_free(struct lock_table *t, struct lock_claim *claim)
{
    claim->holder->warm -= list_linked(&claim->of_holder);
    list_remove(&claim->of_lock);
    list_remove(&claim->of_holder);
    claim->holder->bytes -= weight(claim->lock);
    if (t->spare_claim_count == LOCK_SPARE_MAX) {
        free(claim);
        return;
    }
    claim->next = t->spare_claims;
    t->spare_claims = claim;
    t->spare_claim_count++;
}

/* It would be on both lists: the shorter one decides. */
struct lock_claim *claim_find(const struct lock *lock, const struct lock_holder *h)
{
    struct list *a = lock->granted.next, *b = h->held.next;

    for (; a != &lock->granted && b != &h->held; a = a->next, b = b->next) {
        if (claim_of_lock(a)->holder == h)
            return claim_of_lock(a);
        if (claim_of_holder(b)->lock == lock)
            return claim_of_holder(b);
    }
    return NULL;
}

static bool sole(const struct lock *lock) { return lock->granted.next == lock->granted.prev; }

static void claim_grant(struct lock_claim *claim)
{
    list_push(&claim->lock->granted, &claim->of_lock);
    list_push(&claim->holder->held, &claim->of_holder);
    claim->holder->warm++;
}

enum err lock_make(struct lock_table *t, struct lock_holder *h, struct bytes key)
{
    struct lock *lock = lock_new(t, key);
    struct lock_claim *claim = lock == NULL ? NULL : claim_new(t, lock, h, LOCK_EXCLUSIVE);

    if (claim == NULL) {
        if (lock != NULL)
            lock_free_if_unused(t, lock);
        return ERR_NOMEM;
    }
    list_push(&t->exclusives, &lock->of_exclusives);
    claim->since_ms = -1;
    claim_grant(claim);
    return OK;
}

void lock_give(struct lock_table *t, struct lock_claim *claim)
{
    struct lock *lock = claim->lock;

    claim_free(t, claim);
    lock_free_if_unused(t, lock);
}

/* Ranges of others let h have the key exclusively. */
static bool ranges_allow(const struct lock_table *t, const struct lock_holder *h, struct bytes key, uint64_t ticket)
{
    list_each (node, &t->rangers)
        if (ranges_of(node)->holder != h && range_bars(ranges_of(node), key, ticket))
            return false;
    return true;
}

static bool claim_allowed(const struct lock_table *t, const struct lock_claim *claim, enum lock_mode mode)
{
    return mode == LOCK_SHARED || ranges_allow(t, claim->holder, claim->lock->node.key, claim->ticket);
}

/* It was waited for and is held now. */
static void tell_granted(struct lock_claim *claim)
{
    struct lock_holder *h = claim->holder;

    claim->since_ms = -1;
    h->got = claim;
    h->waiting = NULL;
    h->granted(h);
}

/* Lets in, in order, those who can go on. */
static void lock_pump(struct lock_table *t, struct lock *lock)
{
    struct list *first;

    if (lock->upgrader != NULL) {
        struct lock_claim *claim = lock->upgrader;
        if (!sole(lock) || !claim_allowed(t, claim, LOCK_EXCLUSIVE))
            return;
        claim->mode = LOCK_EXCLUSIVE;
        lock->upgrader = NULL;
        tell_granted(claim);
        return;
    }
    while ((first = list_first(&lock->waiting)) != NULL) {
        struct lock_claim *claim = claim_of_lock(first);
        if (!compatible(lock, claim->mode) || !claim_allowed(t, claim, claim->mode))
            return;
        list_remove(first);
        claim_grant(claim);
        tell_granted(claim);
    }
}

void lock_pump_all(struct lock_table *t)
{
    list_each (node, &t->exclusives)
        lock_pump(t, lock_of_exclusives(node));
}

/* Taking */

static enum err refuse(const struct lock_table *t, struct bytes key, struct failure *why)
{
    char text[KEY_SHOWN + 16];

    return fail(why, ERR_DEADLOCK, "waiting for %s would wait for itself: try again", t->show(key, text, sizeof text));
}

static enum err wait_for(struct lock_holder *h, struct lock_claim *claim, int64_t now_ms)
{
    h->waiting = claim;
    h->waiting_since_ms = now_ms;
    return ERR_WAIT;
}

/* Can it be had now (OK), in line (ERR_WAIT, *ticket tells its place) or not at all (ERR_DEADLOCK)? */
static enum err decide(struct lock_table *t, struct lock *lock, struct lock_holder *h, enum lock_mode mode,
                       bool upgrade, uint64_t *ticket)
{
    bool alone = upgrade ? sole(lock) : lock->upgrader == NULL && list_empty(&lock->waiting) && compatible(lock, mode);

    while (!alone || (mode == LOCK_EXCLUSIVE && !ranges_allow(t, h, lock->node.key, *ticket))) {
        uint64_t reach = upgrade ? 0 : line_reach(t, lock, line_place(t, lock, *ticket));
        if (mode == LOCK_EXCLUSIVE && *ticket > reach)
            reach = *ticket;
        if (!closes_cycle(t, lock, h, upgrade, reach))
            return ERR_WAIT;
        if (mode == LOCK_SHARED || *ticket == TICKET_FIRST || list_empty(&t->rangers))
            return ERR_DEADLOCK;
        *ticket = TICKET_FIRST;
    }
    return OK;
}

static enum err upgrade(struct lock_table *t, struct lock_claim *claim, int64_t now_ms, struct failure *why)
{
    struct lock *lock = claim->lock;
    uint64_t ticket = ++t->tickets;
    enum err err = decide(t, lock, claim->holder, LOCK_EXCLUSIVE, true, &ticket);

    if (err == ERR_DEADLOCK)
        return refuse(t, lock->node.key, why);
    if (err == OK) {
        claim->mode = LOCK_EXCLUSIVE;
        return OK;
    }
    CHECK(lock->upgrader == NULL);
    claim->ticket = ticket;
    lock->upgrader = claim;
    return wait_for(claim->holder, claim, now_ms);
}

enum err lock_enter(struct lock_table *t, struct lock *lock, struct lock_holder *h, enum lock_mode mode,
                    uint64_t ticket, int64_t now_ms, struct failure *why)
{
    enum err err = decide(t, lock, h, mode, false, &ticket);
    struct lock_claim *claim;

    if (err == ERR_DEADLOCK)
        return refuse(t, lock->node.key, why);
    claim = claim_new(t, lock, h, mode);
    if (claim == NULL)
        return lock_no_memory(why);
    if (err == OK) {
        claim_grant(claim);
        return OK;
    }
    claim->ticket = ticket;
    list_push(line_place(t, lock, ticket), &claim->of_lock);
    return wait_for(h, claim, now_ms);
}

/* h holds the key by a range: from now on as a claim, which can be strengthened. */
static enum err claim_from_range(struct lock_table *t, struct lock *lock, struct lock_holder *h,
                                 struct lock_claim **out, struct failure *why)
{
    struct lock_claim *claim = claim_new(t, lock, h, LOCK_SHARED);

    if (claim == NULL)
        return lock_no_memory(why);
    CHECK(compatible(lock, LOCK_SHARED));
    claim_grant(claim);
    *out = claim;
    return OK;
}

static enum err lock_claim_key(struct lock_table *t, struct lock *lock, struct lock_holder *h, enum lock_mode mode,
                               int64_t now_ms, struct failure *why)
{
    struct lock_claim *claim = claim_find(lock, h);
    enum err err = OK;

    if (mode == LOCK_EXCLUSIVE && !list_linked(&lock->of_exclusives))
        list_push(&t->exclusives, &lock->of_exclusives);
    if (claim == NULL && range_holds(h, lock->node.key))
        err = claim_from_range(t, lock, h, &claim, why);
    if (err != OK)
        return err;
    if (claim == NULL)
        return lock_enter(t, lock, h, mode, ++t->tickets, now_ms, why);
    return claim->mode >= mode ? OK : upgrade(t, claim, now_ms, why);
}

enum err lock_take(struct lock_table *t, struct lock_holder *h, struct bytes key, enum lock_mode mode, int64_t now_ms,
                   struct failure *why)
{
    struct map_node *node;
    struct lock *lock;
    enum err err;

    if (h->waiting != NULL && !wants_range(h) && bytes_equal(h->waiting->lock->node.key, key))
        return ERR_WAIT;
    if (h->waiting != NULL || wants_range(h))
        lock_cancel(t, h);
    if ((mode == LOCK_SHARED && range_holds(h, key)) || cold_has(h, key))
        return OK;
    if (cold_thaw(t, key) != OK)
        return lock_no_memory(why);
    node = map_find(&t->locks, key);
    lock = node == NULL ? lock_new(t, key) : map_entry(node, struct lock, node);
    if (lock == NULL)
        return lock_no_memory(why);
    err = lock_claim_key(t, lock, h, mode, now_ms, why);
    lock_free_if_unused(t, lock);
    if (err == OK)
        cold_some(t, h);
    return err;
}

/* The end of waiting and holding */

static void cancel_claim(struct lock_table *t, struct lock_holder *h)
{
    struct lock_claim *claim = h->waiting;
    struct lock *lock = claim->lock;

    h->waiting = NULL;
    if (lock->upgrader == claim)
        lock->upgrader = NULL;
    else
        claim_free(t, claim);
    lock_pump(t, lock);
    lock_free_if_unused(t, lock);
}

void lock_cancel(struct lock_table *t, struct lock_holder *h)
{
    if (h->waiting != NULL)
        cancel_claim(t, h);
    if (wants_range(h))
        unwant_range(t, h);
}

void lock_release_all(struct lock_table *t, struct lock_holder *h)
{
    struct lock_ranges *ranges = h->ranges;
    struct list *node;

    lock_cancel(t, h);
    h->got = NULL;
    h->ranges = NULL;
    if (ranges != NULL)
        list_remove(&ranges->of_table);
    cold_free(h);
    while ((node = list_first(&h->held)) != NULL) {
        struct lock_claim *claim = claim_of_holder(node);
        struct lock *lock = claim->lock;
        claim_free(t, claim);
        lock_pump(t, lock);
        lock_free_if_unused(t, lock);
    }
    if (ranges == NULL)
        return;
    range_set_fini(&ranges->held);
    free(ranges);
    lock_pump_all(t);
}

uint64_t lock_bytes(const struct lock_holder *h)
{
    return h->bytes + (h->ranges == NULL ? 0 : h->ranges->held.bytes);
}

bool lock_holds(struct lock_table *t, const struct lock_holder *h, struct bytes key, enum lock_mode mode)
{
    struct map_node *node = map_find(&t->locks, key);
    struct lock_claim *claim = node == NULL ? NULL : claim_find(map_entry(node, struct lock, node), h);

    return cold_has(h, key) || (claim != NULL && claim->mode >= mode) || (mode == LOCK_SHARED && range_holds(h, key));
}

bool lock_is_held(struct lock_table *t, struct bytes key)
{
    return map_find(&t->locks, key) != NULL || cold_is_held(t, key);
}

struct bytes lock_waits_for(const struct lock_holder *h)
{
    return h->waiting == NULL ? bytes_of(NULL, 0) : h->waiting->lock->node.key;
}

void lock_each_exclusive(const struct lock_holder *h, void (*visit)(struct bytes key, void *user), void *user)
{
    list_each (node, &h->held)
        if (claim_of_holder(node)->mode == LOCK_EXCLUSIVE)
            visit(claim_of_holder(node)->lock->node.key, user);
    cold_each(h, visit, user);
}

void lock_each_blocker(const struct lock_table *t, const struct lock_holder *h, int64_t now_ms,
                       void (*visit)(struct lock_holder *blocker, int64_t since_ms, void *user), void *user)
{
    const struct lock_claim *waiting = h->waiting;

    if (waiting == NULL)
        return;
    list_each (node, &waiting->lock->granted) {
        const struct lock_claim *claim = claim_of_lock(node);
        if (claim->holder != h)
            visit(claim->holder, claim->since_ms < 0 ? now_ms : claim->since_ms, user);
    }
    if (claim_reach(t, waiting) == 0)
        return;
    list_each (node, &t->rangers) {
        const struct lock_ranges *r = ranges_of(node);
        const struct range_item *item = range_set_find(&r->held, waiting->lock->node.key);
        if (item != NULL && r->holder != h)
            visit(r->holder, item->since_ms, user);
    }
}

void lock_woke(struct lock_holder *h, int64_t now_ms)
{
    if (h->got != NULL)
        h->got->since_ms = now_ms;
    h->got = NULL;
    if (h->ranges != NULL)
        h->ranges->woke_ms = now_ms;
}

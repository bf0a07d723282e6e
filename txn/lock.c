/*
 * See lock.h. A lock exists while somebody holds it or waits for it.
 *
 *     lock ── granted: claims, all shared or a single exclusive one
 *          ── upgrader: the granted claim that wants to become exclusive, first in line. Never two: the second would
 *             wait for the first and the first for the second
 *          ── waiting: claims, in order of arrival
 *
 * Who waits for a lock waits, directly or through those in line before it, for all who hold it. So the search for a
 * cycle goes from lock to lock and sees each once, however many wait.
 */
#include "txn/lock.h"

#include "lib/check.h"

#include <stdlib.h>
#include <string.h>

enum {
    LOCK_KEY_INLINE = 64,  /* bytes; longer keys cost an allocation */
    LOCK_SPARE_MAX = 4096, /* locks, and claims, kept for reuse */
};

struct lock {
    struct map_node node; /* its key is small or owned */
    struct list granted, waiting;
    struct lock_claim *upgrader; /* NULL: none */
    uint64_t walk;               /* the last search that saw it */
    struct lock *next;           /* still to be searched, or the next spare one */
    char small[LOCK_KEY_INLINE];
};

struct lock_claim {
    struct list of_lock;   /* lock.granted or lock.waiting */
    struct list of_holder; /* holder.held; on no list while waiting to enter */
    struct lock *lock;
    struct lock_holder *holder;
    enum lock_mode mode; /* held; or wanted, while waiting to enter */
    struct lock_claim *next; /* the next spare one */
};

static struct lock_claim *claim_of_lock(struct list *node) { return list_entry(node, struct lock_claim, of_lock); }
static struct lock_claim *claim_of_holder(struct list *node) { return list_entry(node, struct lock_claim, of_holder); }

enum err lock_table_init(struct lock_table *t)
{
    *t = (struct lock_table){ 0 };
    return map_init(&t->locks);
}

void lock_table_fini(struct lock_table *t)
{
    CHECK(t->locks.count == 0);
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
    lock->upgrader = NULL;
    lock->walk = 0;
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
    return claim;
}

static void claim_free(struct lock_table *t, struct lock_claim *claim)
{
    list_remove(&claim->of_lock);
    list_remove(&claim->of_holder);
    if (t->spare_claim_count == LOCK_SPARE_MAX) {
        free(claim);
        return;
    }
    claim->next = t->spare_claims;
    t->spare_claims = claim;
    t->spare_claim_count++;
}

/* What h holds of the lock; NULL: nothing. It would be on both lists: the shorter one decides. */
static struct lock_claim *claim_find(const struct lock *lock, const struct lock_holder *h)
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

static bool compatible(const struct lock *lock, enum lock_mode mode)
{
    return list_empty(&lock->granted) ||
           (mode == LOCK_SHARED && claim_of_lock(lock->granted.next)->mode == LOCK_SHARED);
}

static void claim_grant(struct lock_claim *claim)
{
    list_push(&claim->lock->granted, &claim->of_lock);
    list_push(&claim->holder->held, &claim->of_holder);
}

/* Lets in, in order, those who can go on. */
static void lock_pump(struct lock *lock)
{
    struct list *first;

    if (lock->upgrader != NULL) {
        struct lock_claim *claim = lock->upgrader;
        if (!sole(lock))
            return;
        claim->mode = LOCK_EXCLUSIVE;
        lock->upgrader = NULL;
        claim->holder->waiting = NULL;
        claim->holder->granted(claim->holder);
        return;
    }
    while ((first = list_first(&lock->waiting)) != NULL && compatible(lock, claim_of_lock(first)->mode)) {
        struct lock_claim *claim = claim_of_lock(first);
        list_remove(first);
        claim_grant(claim);
        claim->holder->waiting = NULL;
        claim->holder->granted(claim->holder);
    }
}

/* Would h, waiting for start, wait for itself? If it holds start already (an upgrade), all who wait for start wait for
 * h. */
static bool closes_cycle(struct lock_table *t, struct lock *start, const struct lock_holder *h, bool upgrade)
{
    struct lock *todo = start;

    start->walk = ++t->walk;
    start->next = NULL;
    while (todo != NULL) {
        struct lock *lock = todo;
        todo = lock->next;
        list_each (node, &lock->granted) {
            struct lock_holder *other = claim_of_lock(node)->holder;
            struct lock *next = other->waiting == NULL ? NULL : other->waiting->lock;
            if (other == h && lock != start)
                return true;
            if (other == h || next == NULL)
                continue;
            if (next == start && upgrade)
                return true;
            if (next->walk == t->walk)
                continue;
            next->walk = t->walk;
            next->next = todo;
            todo = next;
        }
    }
    return false;
}

static enum err refuse(struct bytes key, struct failure *why)
{
    char text[80];

    return fail(why, ERR_DEADLOCK, "waiting for key \"%s\" would wait for itself: try again",
                bytes_show(key, text, sizeof text));
}

static enum err no_memory(struct failure *why) { return fail(why, ERR_NOMEM, "no memory for a lock: try again later"); }

static enum err wait_for(struct lock_holder *h, struct lock_claim *claim, int64_t now_ms)
{
    h->waiting = claim;
    h->waiting_since_ms = now_ms;
    return ERR_WAIT;
}

static enum err upgrade(struct lock_table *t, struct lock_claim *claim, int64_t now_ms, struct failure *why)
{
    struct lock *lock = claim->lock;

    if (sole(lock)) {
        claim->mode = LOCK_EXCLUSIVE;
        return OK;
    }
    if (closes_cycle(t, lock, claim->holder, true))
        return refuse(lock->node.key, why);
    CHECK(lock->upgrader == NULL);
    lock->upgrader = claim;
    return wait_for(claim->holder, claim, now_ms);
}

static enum err enter(struct lock_table *t, struct lock *lock, struct lock_holder *h, enum lock_mode mode,
                      int64_t now_ms, struct failure *why)
{
    bool free_now = lock->upgrader == NULL && list_empty(&lock->waiting) && compatible(lock, mode);
    struct lock_claim *claim;

    if (!free_now && closes_cycle(t, lock, h, false))
        return refuse(lock->node.key, why);
    claim = claim_new(t, lock, h, mode);
    if (claim == NULL)
        return no_memory(why);
    if (free_now) {
        claim_grant(claim);
        return OK;
    }
    list_push(&lock->waiting, &claim->of_lock);
    return wait_for(h, claim, now_ms);
}

enum err lock_take(struct lock_table *t, struct lock_holder *h, struct bytes key, enum lock_mode mode, int64_t now_ms,
                   struct failure *why)
{
    struct map_node *node;
    struct lock *lock;
    struct lock_claim *claim;
    enum err err;

    if (h->waiting != NULL) {
        if (bytes_equal(h->waiting->lock->node.key, key))
            return ERR_WAIT;
        lock_cancel(t, h);
    }
    node = map_find(&t->locks, key);
    lock = node == NULL ? lock_new(t, key) : map_entry(node, struct lock, node);
    if (lock == NULL)
        return no_memory(why);
    claim = claim_find(lock, h);
    if (claim == NULL)
        err = enter(t, lock, h, mode, now_ms, why);
    else
        err = claim->mode >= mode ? OK : upgrade(t, claim, now_ms, why);
    lock_free_if_unused(t, lock);
    return err;
}

void lock_cancel(struct lock_table *t, struct lock_holder *h)
{
    struct lock_claim *claim = h->waiting;
    struct lock *lock;

    if (claim == NULL)
        return;
    lock = claim->lock;
    h->waiting = NULL;
    if (lock->upgrader == claim)
        lock->upgrader = NULL;
    else
        claim_free(t, claim);
    lock_pump(lock);
    lock_free_if_unused(t, lock);
}

void lock_release_all(struct lock_table *t, struct lock_holder *h)
{
    struct list *node;

    lock_cancel(t, h);
    while ((node = list_first(&h->held)) != NULL) {
        struct lock_claim *claim = claim_of_holder(node);
        struct lock *lock = claim->lock;
        claim_free(t, claim);
        lock_pump(lock);
        lock_free_if_unused(t, lock);
    }
}

bool lock_holds(struct lock_table *t, const struct lock_holder *h, struct bytes key, enum lock_mode mode)
{
    struct map_node *node = map_find(&t->locks, key);
    struct lock_claim *claim = node == NULL ? NULL : claim_find(map_entry(node, struct lock, node), h);

    return claim != NULL && claim->mode >= mode;
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
}

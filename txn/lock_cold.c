/*
 * Cold locks: what a transaction with very many locks has had for long, and nobody else wants. A lock and its claim take some
 * 280 bytes; here a key takes its own bytes and about ten more, so that a call with a million effects stays small.
 *
 *     holder.cold ── keys:  blocks of [length, key], in the order in which they went cold
 *                 ── slots: a hash table of places in the blocks
 *
 *  1. A cold lock is held exclusively, by one holder, and nobody waits for it. Who wants it *thaws* it first: it becomes a
 *     lock with a claim again, and all else goes its usual way. So searches for cycles and lines never meet a cold one.
 *  2. A key is in one place: cold with one holder, or in the table of locks, or free.
 *  3. Without memory nothing goes cold, and what cannot be thawed is told as ERR_NOMEM to who wanted it.
 */
#include "txn/lock_inside.h"

#include "lib/check.h"
#include "lib/hash.h"

#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_SIZE = 64 * 1024,
    SLOTS_MIN = 1024,
    DEAD = 0x8000, /* of a length: this one was thawed */
    HEAD = 2,      /* bytes of a length */
    STEPS = 2,     /* claims looked at for each that is granted: more go cold than come */
};

#define GONE UINT32_MAX /* a slot whose key was thawed */

struct lock_cold {
    struct list of_table; /* table.colds */
    struct lock_holder *holder;
    uint8_t **blocks;                    /* owned, each of BLOCK_SIZE */
    size_t block_count, block_cap, used; /* used: of the last block */
    uint32_t *slots;                     /* owned: place + 1; 0: free */
    size_t slot_count, taken;            /* taken: with those GONE */
    size_t live;
    uint64_t bytes;      /* what the live ones weigh; part of the holder's */
    uint8_t *low, *high; /* the least and the greatest key, in the blocks; NULL: none yet */
};

static struct bytes key_of(const uint8_t *item)
{
    return bytes_of(item + HEAD, (size_t)((item[0] | item[1] << 8) & ~DEAD));
}

static bool dead(const uint8_t *item) { return (item[1] & DEAD >> 8) != 0; }

static uint8_t *item_at(const struct lock_cold *c, uint32_t slot)
{
    return c->blocks[(slot - 1) / BLOCK_SIZE] + (slot - 1) % BLOCK_SIZE;
}

/* The slot with the key, or the free one where it belongs. */
static size_t find(const struct lock_cold *c, struct bytes key)
{
    size_t i = hash_bytes(key) & (c->slot_count - 1);

    while (c->slots[i] != 0 && (c->slots[i] == GONE || !bytes_equal(key_of(item_at(c, c->slots[i])), key)))
        i = (i + 1) & (c->slot_count - 1);
    return i;
}

static struct lock_cold *cold_new(struct lock_table *t, struct lock_holder *h)
{
    struct lock_cold *c = calloc(1, sizeof *c);

    if (c == NULL || (c->slots = calloc(SLOTS_MIN, sizeof *c->slots)) == NULL) {
        free(c);
        return NULL;
    }
    c->slot_count = SLOTS_MIN;
    c->holder = h;
    list_push(&t->colds, &c->of_table);
    return c;
}

void cold_free(struct lock_holder *h)
{
    struct lock_cold *c = h->cold;

    h->cold = NULL;
    if (c == NULL)
        return;
    list_remove(&c->of_table);
    h->bytes -= c->bytes;
    for (size_t i = 0; i < c->block_count; i++)
        free(c->blocks[i]);
    free(c->blocks);
    free(c->slots);
    free(c);
}

/* Three quarters at most are taken. False: no memory. */
static bool slots_reserve(struct lock_cold *c)
{
    uint32_t *old = c->slots;
    size_t old_count = c->slot_count;

    if ((c->taken + 1) * 4 <= c->slot_count * 3)
        return true;
    c->slots = calloc(old_count * 2, sizeof *c->slots);
    if (c->slots == NULL) {
        c->slots = old;
        return false;
    }
    c->slot_count = old_count * 2;
    c->taken = c->live;
    for (size_t i = 0; i < old_count; i++)
        if (old[i] != 0 && old[i] != GONE)
            c->slots[find(c, key_of(item_at(c, old[i])))] = old[i];
    free(old);
    return true;
}

static bool block_reserve(struct lock_cold *c, size_t size)
{
    size_t cap = c->block_cap == 0 ? 16 : c->block_cap * 2;
    uint8_t **grown;

    if (c->block_count > 0 && c->used + size <= BLOCK_SIZE)
        return true;
    if (c->block_count == (size_t)(UINT32_MAX / BLOCK_SIZE) - 1)
        return false;
    if (c->block_count == c->block_cap) {
        grown = reallocarray(c->blocks, cap, sizeof *grown);
        if (grown == NULL)
            return false;
        c->blocks = grown;
        c->block_cap = cap;
    }
    if ((c->blocks[c->block_count] = calloc(1, BLOCK_SIZE)) == NULL)
        return false;
    c->block_count++;
    c->used = 0;
    return true;
}

static uint64_t weight(struct bytes key) { return HEAD + key.len + 2 * sizeof(uint32_t); }

/* False: it stays warm. */
static bool cold_add(struct lock_table *t, struct lock_holder *h, struct bytes key)
{
    struct lock_cold *c;
    uint8_t *item;

    if (key.len >= DEAD || (h->cold == NULL && (h->cold = cold_new(t, h)) == NULL))
        return false;
    c = h->cold;
    if (!slots_reserve(c) || !block_reserve(c, HEAD + key.len))
        return false;
    item = c->blocks[c->block_count - 1] + c->used;
    item[0] = (uint8_t)key.len;
    item[1] = (uint8_t)(key.len >> 8);
    memcpy(item + HEAD, key.data, key.len);
    c->slots[find(c, key)] = (uint32_t)((c->block_count - 1) * BLOCK_SIZE + c->used + 1);
    c->used += HEAD + key.len;
    c->taken++;
    c->live++;
    if (c->low == NULL || bytes_compare(key, key_of(c->low)) < 0)
        c->low = item;
    if (c->high == NULL || bytes_compare(key, key_of(c->high)) > 0)
        c->high = item;
    c->bytes += weight(key);
    h->bytes += weight(key);
    return true;
}

bool cold_has(const struct lock_holder *h, struct bytes key)
{
    return h->cold != NULL && h->cold->slots[find(h->cold, key)] != 0;
}

bool cold_is_held(const struct lock_table *t, struct bytes key)
{
    list_each (node, &t->colds)
        if (cold_has(list_entry(node, struct lock_cold, of_table)->holder, key))
            return true;
    return false;
}

static void each(const struct lock_cold *c, bool (*visit)(uint8_t *item, void *user), void *user)
{
    for (size_t i = 0; i < c->block_count; i++) {
        size_t end = BLOCK_SIZE, at = 0;
        if (i + 1 == c->block_count)
            end = c->used;
        while (at + HEAD <= end) {
            uint8_t *item = c->blocks[i] + at;
            if (key_of(item).len == 0)
                break; /* the rest of a block that had no room for the next one */
            if (!dead(item) && visit(item, user))
                return;
            at += HEAD + key_of(item).len;
        }
    }
}

struct visitor {
    void (*visit)(struct bytes key, void *user);
    void *user;
};

static bool visit_key(uint8_t *item, void *user)
{
    struct visitor *v = user;

    v->visit(key_of(item), v->user);
    return false;
}

void cold_each(const struct lock_holder *h, void (*visit)(struct bytes key, void *user), void *user)
{
    struct visitor v = { visit, user };

    if (h->cold != NULL)
        each(h->cold, visit_key, &v);
}

/* ---- going cold ---- */

/* Held exclusively, and neither waited for nor of interest to anybody. */
static bool is_quiet(const struct lock_claim *claim)
{
    const struct lock *lock = claim->lock;

    return claim->mode == LOCK_EXCLUSIVE && list_empty(&lock->waiting) && lock->upgrader == NULL &&
           claim->holder->got != claim && claim->holder->waiting != claim;
}

void cold_some(struct lock_table *t, struct lock_holder *h)
{
    for (int i = 0; i < STEPS && h->warm > t->warm_max; i++) {
        struct lock_claim *claim = claim_of_holder(list_first(&h->held));
        if (is_quiet(claim) && cold_add(t, h, claim->lock->node.key)) {
            lock_give(t, claim);
            continue;
        }
        list_remove(&claim->of_holder);
        list_push(&h->held, &claim->of_holder);
    }
}

/* ---- thawing ---- */

/* It becomes a lock again, which its holder has. */
static enum err thaw(struct lock_table *t, struct lock_cold *c, uint8_t *item)
{
    struct bytes key = key_of(item);
    enum err err = lock_make(t, c->holder, key);

    if (err != OK)
        return err;
    c->slots[find(c, key)] = GONE;
    c->bytes -= weight(key);
    c->holder->bytes -= weight(key);
    item[1] |= DEAD >> 8;
    c->live--;
    return OK;
}

enum err cold_thaw(struct lock_table *t, struct bytes key)
{
    list_each (node, &t->colds) {
        struct lock_cold *c = list_entry(node, struct lock_cold, of_table);
        uint32_t slot = c->slots[find(c, key)];
        if (slot != 0)
            return thaw(t, c, item_at(c, slot));
    }
    return OK;
}

struct in_range {
    const struct range *range;
    uint8_t *found;
};

static bool look_in_range(uint8_t *item, void *user)
{
    struct in_range *in = user;

    if (!range_has(in->range, key_of(item)))
        return false;
    in->found = item;
    return true;
}

/* Keys of c may lie in the range. */
static bool may_meet(const struct lock_cold *c, const struct range *r)
{
    return c->low != NULL && bytes_compare(key_of(c->high), r->low) >= 0 &&
           (r->endless || bytes_compare(key_of(c->low), r->high) < 0);
}

enum err cold_thaw_range(struct lock_table *t, const struct lock_holder *h, const struct range *range, bool *thawed)
{
    *thawed = false;
    list_each (node, &t->colds) {
        struct lock_cold *c = list_entry(node, struct lock_cold, of_table);
        struct in_range in = { range, NULL };
        if (c->holder == h || !may_meet(c, range))
            continue;
        each(c, look_in_range, &in);
        if (in.found != NULL) {
            *thawed = true;
            return thaw(t, c, in.found);
        }
    }
    return OK;
}

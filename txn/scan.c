/*
 * Reading a range, in rounds: the store gives a page of keys, memory adds those in the same range that the page cannot
 * know or may know wrongly, and each candidate, in order, is locked, then seen, then kept if it is there.
 *
 *  1. Candidates are chosen in the moment the store answers, when page and memory belong together, and pinned from then
 *     on: a later change of a candidate shows in its entry, and is not seen before the lock is held.
 *  2. A round with more rows behind it ends at its last row: what memory has beyond belongs to the next round.
 *  3. Keys that an early write may already have deleted on disk are candidates while their transaction has not ended.
 *
 * Whatever it must wait for, asking again goes on where it was. A key that did not exist when the candidates were
 * chosen is not waited for (locks are on keys).
 */
#include "txn/inside.h"

#include "lib/check.h"

#include <stdlib.h>
#include <string.h>

struct scan {
    struct store_request request;
    struct txn_manager *m;
    struct txn *txn; /* NULL: it has gone, the scan ends when the store is through with it */
    bool reading;    /* the store has the request */
    bool delivered;  /* the page was handed out */
    bool more;       /* the store has rows behind this round */
    struct bytes prefix, from;
    size_t count_max;
    char *text;   /* owned: prefix and from */
    char *cursor; /* owned: where the next round begins; NULL in the first */
    struct kv_entry **candidates; /* owned array; those from `next` on are pinned */
    size_t candidate_count, next;
    struct kv_entry **kept; /* owned array of count_max; pinned */
    struct store_pair *items;
    size_t item_count;
};

static void scan_drop_candidates(struct scan *s)
{
    while (s->next < s->candidate_count)
        kv_unpin(&s->m->kv, s->candidates[s->next++]);
    free(s->candidates);
    s->candidates = NULL;
    s->candidate_count = s->next = 0;
}

static void scan_free(struct scan *s)
{
    scan_drop_candidates(s);
    for (size_t i = 0; i < s->item_count; i++)
        kv_unpin(&s->m->kv, s->kept[i]);
    store_request_fini(&s->request);
    free(s->kept);
    free(s->items);
    free(s->text);
    free(s->cursor);
    free(s);
}

void scan_close(struct txn *t)
{
    struct scan *s = t->scan;

    if (s == NULL)
        return;
    t->scan = NULL;
    s->txn = NULL;
    if (!s->reading)
        scan_free(s);
}

/* Candidates */

/* A row of the page, pinned; what memory knows wins. */
static enum err pin_row(struct kv *kv, const struct store_pair *row, struct kv_entry **out)
{
    struct kv_entry *e;
    struct blob *value;

    if (kv_pin_key(kv, row->key, &e) != OK)
        return ERR_NOMEM;
    if (!e->known && !e->loading) {
        value = blob_new(row->value.value);
        if (value == NULL) {
            kv_unpin(kv, e);
            return ERR_NOMEM;
        }
        kv_set(e, value, 0);
    }
    *out = e;
    return OK;
}

struct gather {
    struct scan *s;
    const struct bytes *last; /* the round ends here; NULL: no end */
    size_t cap;
    enum err err;
};

static void gather_key(struct bytes key, void *user)
{
    struct gather *g = user;
    struct scan *s = g->s;

    if (g->err != OK || !bytes_start_with(key, s->prefix) || bytes_compare(key, s->request.from) < 0 ||
        (g->last != NULL && bytes_compare(key, *g->last) > 0))
        return;
    if (s->candidate_count == g->cap) {
        struct kv_entry **grown = reallocarray(s->candidates, 2 * g->cap, sizeof(struct kv_entry *));
        if (grown == NULL) {
            g->err = ERR_NOMEM;
            return;
        }
        s->candidates = grown;
        g->cap *= 2;
    }
    g->err = kv_pin_key(&s->m->kv, key, &s->candidates[s->candidate_count]);
    s->candidate_count += g->err == OK;
}

static int by_key(const void *a, const void *b)
{
    return bytes_compare((*(struct kv_entry *const *)a)->node.key, (*(struct kv_entry *const *)b)->node.key);
}

static void sort_and_unite(struct scan *s)
{
    size_t n = 0;

    qsort(s->candidates, s->candidate_count, sizeof(struct kv_entry *), by_key);
    for (size_t i = 0; i < s->candidate_count; i++) {
        if (n > 0 && s->candidates[n - 1] == s->candidates[i])
            kv_unpin(&s->m->kv, s->candidates[i]);
        else
            s->candidates[n++] = s->candidates[i];
    }
    s->candidate_count = n;
}

static enum err scan_gather(struct scan *s)
{
    struct kv *kv = &s->m->kv;
    const struct store_request *r = &s->request;
    struct gather g = { .s = s, .cap = r->pair_count + kv->pinned_count + 1 };
    size_t dirty;

    if (r->more && r->pair_count > 0)
        g.last = &r->pairs[r->pair_count - 1].key;
    s->candidates = calloc(g.cap, sizeof(struct kv_entry *));
    if (s->candidates == NULL)
        return ERR_NOMEM;
    dirty = kv_dirty_range(kv, s->prefix, r->from, g.last, s->candidates);
    for (s->candidate_count = 0; s->candidate_count < dirty; s->candidate_count++)
        kv_pin(kv, s->candidates[s->candidate_count]);
    for (size_t i = 0; i < r->pair_count; i++, s->candidate_count++)
        if (pin_row(kv, &r->pairs[i], &s->candidates[s->candidate_count]) != OK)
            return ERR_NOMEM;
    list_each (node, &s->m->spilled)
        if (list_entry(node, struct txn, spilled_link) != s->txn)
            lock_each_exclusive(&list_entry(node, struct txn, spilled_link)->locks, gather_key, &g);
    sort_and_unite(s);
    return g.err;
}

/* The next round begins behind the last row of this one. */
static enum err scan_advance(struct scan *s)
{
    const struct store_request *r = &s->request;
    struct bytes last;

    s->more = r->more && r->pair_count > 0;
    if (!s->more)
        return OK;
    last = r->pairs[r->pair_count - 1].key;
    free(s->cursor);
    s->cursor = bytes_dup(last);
    s->request.from = bytes_of(s->cursor, last.len + 1); /* with the zero byte that bytes_dup puts behind */
    return s->cursor == NULL ? ERR_NOMEM : OK;
}

static void scan_answer(struct scan *s)
{
    const struct failure *why = &s->request.why;

    if (why->err == ERR_NOMEM || (why->err == OK && (scan_gather(s) != OK || scan_advance(s) != OK))) {
        txn_doom(s->txn, ERR_NOMEM, "no memory for a page of keys; try again later, or with a smaller count");
        return;
    }
    if (why->err != OK) {
        txn_doom(s->txn, ERR_STORAGE, "reading keys: %s", why->text);
        return;
    }
    if (s->txn->waiting)
        txn_wake(s->txn);
}

static void scan_done(struct store_request *r)
{
    struct scan *s = r->owner;

    s->m->request_count--;
    s->reading = false;
    if (s->txn == NULL) {
        scan_free(s);
        return;
    }
    scan_answer(s);
    store_request_fini(r);
}

static void scan_read(struct scan *s)
{
    s->request = (struct store_request){ .kind = STORE_SCAN, .done = scan_done, .owner = s, .prefix = s->prefix,
                                         .from = s->request.from, .count_max = s->count_max - s->item_count };
    s->reading = true;
    manager_submit(s->m, &s->request);
}

/* The operation */

static enum err scan_open(struct txn *t, struct bytes prefix, struct bytes from, size_t count_max)
{
    struct scan *s = calloc(1, sizeof *s);

    if (s == NULL)
        return ERR_NOMEM;
    s->m = t->m;
    s->txn = t;
    s->count_max = count_max;
    s->text = malloc(prefix.len + from.len + 1);
    s->kept = calloc(count_max, sizeof(struct kv_entry *));
    s->items = calloc(count_max, sizeof *s->items);
    if (s->text == NULL || s->kept == NULL || s->items == NULL) {
        scan_free(s);
        return ERR_NOMEM;
    }
    if (prefix.len > 0)
        memcpy(s->text, prefix.data, prefix.len);
    if (from.len > 0)
        memcpy(s->text + prefix.len, from.data, from.len);
    s->prefix = bytes_of(s->text, prefix.len);
    s->from = s->request.from = bytes_of(s->text + prefix.len, from.len);
    t->scan = s;
    scan_read(s);
    return OK;
}

static bool same_scan(const struct scan *s, struct bytes prefix, struct bytes from, size_t count_max)
{
    return !s->delivered && s->count_max == count_max && bytes_equal(s->prefix, prefix) && bytes_equal(s->from, from);
}

static void scan_keep(struct scan *s, struct kv_entry *e)
{
    if (e->value == NULL) {
        kv_unpin(&s->m->kv, e);
        return;
    }
    s->kept[s->item_count] = e;
    s->items[s->item_count++] = (struct store_pair){ e->node.key, { true, blob_bytes(e->value) } };
}

/* Looks at candidates until the page is full or they are used up. */
static enum err scan_look(struct scan *s, struct failure *why)
{
    while (s->next < s->candidate_count && s->item_count < s->count_max) {
        struct kv_entry *e = s->candidates[s->next];
        enum err err = txn_lock(s->txn, e->node.key, LOCK_SHARED, why);
        if (err == OK)
            err = txn_see(s->txn, e, why);
        if (err != OK)
            return err;
        s->next++;
        scan_keep(s, e);
    }
    return OK;
}

static enum err scan_go_on(struct txn *t, struct scan *s, struct failure *why)
{
    enum err err = s->reading ? ERR_WAIT : scan_look(s, why);

    if (err == OK && s->item_count < s->count_max && s->more) {
        scan_drop_candidates(s);
        scan_read(s);
        err = ERR_WAIT;
    }
    if (err == ERR_WAIT)
        t->waiting = true;
    return err;
}

enum err txn_scan(struct txn *t, struct bytes prefix, struct bytes from, size_t count_max, struct txn_page *page,
                  struct failure *why)
{
    enum err err = txn_enter(t, why);

    if (t->scan != NULL && (err != OK || !same_scan(t->scan, prefix, from, count_max)))
        scan_close(t);
    if (err != OK)
        return err;
    if (prefix.len > t->m->options.key_max || from.len > t->m->options.key_max + 1 || count_max == 0 ||
        count_max > TXN_PAGE_MAX)
        return fail(why, ERR_BADARG, "a scan takes a prefix and a start no longer than a key, and 1 to %d keys",
                    TXN_PAGE_MAX);
    if (t->scan == NULL && scan_open(t, prefix, from, count_max) != OK) {
        txn_doom(t, ERR_NOMEM, "no memory for a page of keys; try again later, or with a smaller count");
        return fail(why, ERR_NOMEM, "%s", t->failure.text);
    }
    err = scan_go_on(t, t->scan, why);
    if (err != OK)
        return err;
    t->scan->delivered = true;
    *page = (struct txn_page){ t->scan->item_count, t->scan->items,
                               t->scan->next < t->scan->candidate_count || t->scan->more };
    return OK;
}

/*
 * Reading a range, in rounds: the store gives a page of keys, memory adds those in the same range that the page cannot
 * know or may know wrongly, what is looked at is locked as a range, and each candidate, in order, is seen, then kept if
 * it is there.
 *
 *  1. Candidates are chosen in the moment the store answers, when page and memory belong together, and pinned from then
 *     on. If the range can be locked in that same moment, nobody has an open change in it, and nobody makes one.
 *  2. If the range must be waited for, the page is read again under the lock (T6).
 *  3. A round ends behind the key that fills the page, or behind the last row if there are more: what memory has
 *     beyond belongs to the next round.
 *
 * Whatever it must wait for, asking again goes on where it was.
 *
 * Inside, prefix, bounds and candidates are names of items; the store, and who asked, see keys. A listing of files is the
 * scan of what begins with the directory, of which only the direct children are told, but all is locked. What this
 * transaction did to files is not where the store lists, even when it was written early: it knows itself.
 */
#include "txn/inside.h"

#include <stdlib.h>
#include <string.h>

struct scan {
    struct store_request request;
    struct txn_manager *m;
    struct txn *txn; /* NULL: it has gone, the scan ends when the store is through with it */
    bool reading;    /* the store has the request */
    bool delivered;  /* the page was handed out */
    bool locked;     /* the round's range is held */
    bool stale;      /* it had to be waited for: the candidates are no longer all there may be */
    bool last;       /* the round ends where the prefix does */
    struct failure refused; /* the store said that this cannot be listed */
    struct bytes prefix, from;
    size_t count_max;
    uint8_t *text;      /* owned: prefix, from, and the end of the prefix */
    struct range whole; /* all items with the prefix, from `from` on */
    struct range round; /* what this round looks at */
    char *low, *high;   /* owned: its bounds where they are not those of the whole */
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
    free(s->low);
    free(s->high);
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

static char resource_of(const struct scan *s) { return item_resource(s->prefix); }

/* A row of the page, pinned; what memory knows wins. */
static enum err pin_row(struct scan *s, const struct store_pair *row, struct kv_entry **out)
{
    struct kv *kv = &s->m->kv;
    struct kv_entry *e;
    struct blob *value;

    if (kv_pin_key(kv, item_name(s->m, resource_of(s), row->key), &e) != OK)
        return ERR_NOMEM;
    e->fleeting = resource_of(s) == RESOURCE_FILE;
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

/* Of files those directly in the directory are told. */
static bool is_told(const struct scan *s, struct bytes item)
{
    const char *name = (const char *)item.data + s->prefix.len;
    size_t len = item.len - s->prefix.len;
    const char *slash = len == 0 ? NULL : memchr(name, '/', len);

    return resource_of(s) != RESOURCE_FILE || (len > 0 && (slash == NULL || slash == name + len - 1));
}

/* Those among the first count candidates, pinned. */
static size_t pin_told(struct scan *s, size_t count)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        if (!is_told(s, s->candidates[i]->node.key))
            continue;
        kv_pin(&s->m->kv, s->candidates[i]);
        s->candidates[n++] = s->candidates[i];
    }
    return n;
}

static enum err scan_gather(struct scan *s)
{
    struct kv *kv = &s->m->kv;
    const struct store_request *r = &s->request;
    bool more = r->more && r->pair_count > 0;
    struct bytes last = { NULL, 0 };
    size_t dirty;

    s->candidates = calloc(r->pair_count + 2 * kv->pinned_count + 1, sizeof(struct kv_entry *));
    if (s->candidates == NULL)
        return ERR_NOMEM;
    if (more)
        last = item_name(s->m, resource_of(s), r->pairs[r->pair_count - 1].key);
    dirty = kv_dirty_range(kv, s->prefix, s->round.low, more ? &last : NULL, s->candidates);
    dirty += files_used_range(s->txn, s->prefix, s->round.low, more ? &last : NULL, s->candidates + dirty);
    s->candidate_count = pin_told(s, dirty);
    for (size_t i = 0; i < r->pair_count; i++, s->candidate_count++)
        if (pin_row(s, &r->pairs[i], &s->candidates[s->candidate_count]) != OK)
            return ERR_NOMEM;
    sort_and_unite(s);
    return OK;
}

/* How many candidates it takes to fill the page, if those are there that may be. */
static size_t scan_enough(const struct scan *s)
{
    size_t missing = s->count_max - s->item_count, n = 0;

    while (n < s->candidate_count && missing > 0) {
        const struct kv_entry *e = s->candidates[n++];
        missing -= !e->known || e->value != NULL;
    }
    return missing == 0 ? n : SIZE_MAX;
}

/* The round ends behind that item. */
static enum err round_end(struct scan *s, struct bytes item)
{
    free(s->high);
    s->high = bytes_dup(item);
    s->round.high = bytes_of(s->high, item.len + 1); /* with the zero byte that bytes_dup puts behind */
    s->round.endless = false;
    s->last = false;
    return s->high == NULL ? ERR_NOMEM : OK;
}

/* Where the round ends; candidates behind that are dropped. */
static enum err scan_bound(struct scan *s)
{
    const struct store_request *r = &s->request;
    bool more = r->more && r->pair_count > 0;
    size_t enough = scan_enough(s);

    s->last = true;
    s->round.high = s->whole.high;
    s->round.endless = s->whole.endless;
    if (enough < s->candidate_count || (enough == s->candidate_count && more)) {
        while (s->candidate_count > enough)
            kv_unpin(&s->m->kv, s->candidates[--s->candidate_count]);
        return round_end(s, s->candidates[enough - 1]->node.key);
    }
    return more ? round_end(s, item_name(s->m, resource_of(s), r->pairs[r->pair_count - 1].key)) : OK;
}

/* A directory that is not there is empty. */
static bool readable(enum err err) { return err == OK || err == ERR_ABSENT; }

static void scan_answer(struct scan *s)
{
    const struct failure *why = &s->request.why;
    struct txn *t = s->txn;
    enum err err;

    if (why->err == ERR_BADARG) {
        s->refused = *why;
        if (t->waiting)
            txn_wake(t);
        return;
    }
    if (why->err == ERR_NOMEM || (readable(why->err) && (scan_gather(s) != OK || scan_bound(s) != OK))) {
        txn_doom(t, ERR_NOMEM, "no memory for a page of keys; try again later, or with a smaller count");
        return;
    }
    if (!readable(why->err)) {
        txn_doom(t, ERR_STORAGE, "reading keys: %s", why->text);
        return;
    }
    if (t->failure.err != OK)
        return; /* it knows */
    err = txn_lock_range(t, &s->round, NULL);
    s->locked = err == OK;
    s->stale = err == ERR_WAIT;
    if (err != ERR_WAIT && t->waiting)
        txn_wake(t);
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
    s->request = (struct store_request){ .kind = STORE_SCAN, .done = scan_done, .owner = s,
                                         .resource = resource_of(s), .prefix = item_key(s->prefix),
                                         .from = item_key(s->round.low), .count_max = s->count_max - s->item_count };
    s->locked = s->stale = false;
    s->reading = true;
    manager_submit(s->m, &s->request);
}

/* The operation */

static struct bytes put(uint8_t *to, char resource, struct bytes key)
{
    to[0] = (uint8_t)resource;
    if (key.len > 0)
        memcpy(to + 1, key.data, key.len);
    return bytes_of(to, key.len + 1);
}

static enum err scan_open(struct txn *t, char resource, struct bytes prefix, struct bytes from, size_t count_max)
{
    struct scan *s = calloc(1, sizeof *s);

    if (s == NULL)
        return ERR_NOMEM;
    s->m = t->m;
    s->txn = t;
    s->count_max = count_max;
    s->text = malloc(2 * (prefix.len + 1) + from.len + 1);
    s->kept = calloc(count_max, sizeof(struct kv_entry *));
    s->items = calloc(count_max, sizeof *s->items);
    if (s->text == NULL || s->kept == NULL || s->items == NULL) {
        scan_free(s);
        return ERR_NOMEM;
    }
    s->prefix = put(s->text, resource, prefix);
    s->from = put(s->text + s->prefix.len, resource, from);
    s->whole = range_of_prefix(s->prefix, s->text + s->prefix.len + s->from.len);
    if (bytes_compare(s->from, s->prefix) > 0)
        s->whole.low = s->from;
    s->round = s->whole;
    t->scan = s;
    scan_read(s);
    return OK;
}

static bool same_scan(const struct scan *s, char resource, struct bytes prefix, struct bytes from, size_t count_max)
{
    return !s->delivered && s->count_max == count_max && resource_of(s) == resource &&
           bytes_equal(item_key(s->prefix), prefix) && bytes_equal(item_key(s->from), from);
}

static void scan_keep(struct scan *s, struct kv_entry *e)
{
    if (e->value == NULL) {
        kv_unpin(&s->m->kv, e);
        return;
    }
    s->kept[s->item_count] = e;
    s->items[s->item_count++] = (struct store_pair){ item_key(e->node.key), { true, blob_bytes(e->value) } };
}

/* Looks at candidates until the page is full or they are used up. */
static enum err scan_look(struct scan *s, struct failure *why)
{
    while (s->next < s->candidate_count && s->item_count < s->count_max) {
        struct kv_entry *e = s->candidates[s->next];
        enum err err = txn_see(s->txn, e, why);
        if (err != OK)
            return err;
        s->next++;
        scan_keep(s, e);
    }
    return OK;
}

/* The next round begins where this one ended. */
static void scan_next_round(struct scan *s)
{
    free(s->low);
    s->low = s->high;
    s->high = NULL;
    s->round.low = s->round.high;
    scan_drop_candidates(s);
    scan_read(s);
}

static enum err scan_lock(struct scan *s, struct failure *why)
{
    enum err err = txn_lock_range(s->txn, &s->round, why);

    if (err != OK)
        return err;
    s->locked = true;
    if (!s->stale)
        return OK;
    scan_drop_candidates(s);
    scan_read(s);
    return ERR_WAIT;
}

static enum err scan_go_on(struct txn *t, struct scan *s, struct failure *why)
{
    enum err err = s->reading ? ERR_WAIT : OK;

    if (s->refused.err != OK) {
        fail(why, s->refused.err, "%s", s->refused.text);
        err = s->refused.err;
        scan_close(t);
        return err;
    }
    if (err == OK && !s->locked)
        err = scan_lock(s, why);
    if (err == OK)
        err = scan_look(s, why);
    if (err == OK && s->item_count < s->count_max && !s->last) {
        scan_next_round(s);
        err = ERR_WAIT;
    }
    if (err == ERR_WAIT)
        t->waiting = true;
    return err;
}

enum err txn_scan_items(struct txn *t, char resource, struct bytes prefix, struct bytes from, size_t count_max,
                        struct txn_page *page, struct failure *why)
{
    uint64_t key_max = resource == RESOURCE_KV ? t->m->options.key_max : STORE_KEY_MAX;
    enum err err = txn_enter(t, why);

    stage_close(t);
    if (t->scan != NULL && (err != OK || !same_scan(t->scan, resource, prefix, from, count_max)))
        scan_close(t);
    if (err != OK)
        return err;
    if (prefix.len > key_max || from.len > key_max + 1 || count_max == 0 || count_max > TXN_PAGE_MAX)
        return fail(why, ERR_BADARG, "a scan takes a prefix and a start no longer than a key, and 1 to %d keys",
                    TXN_PAGE_MAX);
    if (t->scan == NULL && scan_open(t, resource, prefix, from, count_max) != OK) {
        txn_doom(t, ERR_NOMEM, "no memory for a page of keys; try again later, or with a smaller count");
        return fail(why, ERR_NOMEM, "%s", t->failure.text);
    }
    err = scan_go_on(t, t->scan, why);
    if (err != OK)
        return err;
    t->scan->delivered = true;
    *page = (struct txn_page){ t->scan->item_count, t->scan->items,
                               t->scan->next < t->scan->candidate_count || !t->scan->last };
    return OK;
}

enum err txn_scan(struct txn *t, struct bytes prefix, struct bytes from, size_t count_max, struct txn_page *page,
                  struct failure *why)
{
    return txn_scan_items(t, RESOURCE_KV, prefix, from, count_max, page, why);
}

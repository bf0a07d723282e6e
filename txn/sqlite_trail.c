/*
 * The questions about a key's past. The changes of a key are a trail of undo records, newest first: its head is
 * stored with the key (sqlite_image.c), and each record knows the one before. So a commit pays no index, which cost it more than all
 * else, and a question walks as far as it asks.
 *
 * What a trail says: the order of its records is the order of commits, for a key is locked from its change to the end
 * of the transaction; the records of one transaction lie together. It ends at the first change, or where the history
 * was forgotten: a record counts only with its row in txn. Forgetting goes by age, not along trails; all that ended
 * after ledger.reach is kept, and so a trail is whole down to there.
 */
#include "txn/sqlite.h"

#include "lib/check.h"
#include "lib/map.h"

#include <stdlib.h>
#include <string.h>

/* --- walking --- */

/* How a transaction lies among the others. */
struct order {
    bool committed, open; /* open: it has not ended */
    uint64_t serial, undoes, undone_by;
};

struct trail {
    struct db *db;
    struct store_request *r;
    char resource;           /* of the key */
    struct spot at;          /* the next record */
    struct spot first, last; /* of the changes that one transaction made */
    struct order order;      /* of that transaction */
    size_t *looked;
};

/* False: it is not in the history, or r->why says why not. */
static bool order_get(struct db *db, struct store_request *r, uint64_t txn, struct order *order)
{
    sqlite3_stmt *q = db->query[Q_TXN_ORDER];
    bool found;

    bind_id(q, 1, txn);
    found = sqlite3_step(q) == SQLITE_ROW;
    if (found)
        *order = (struct order){ column_u64(q, 0) == 1, column_u64(q, 4) == 1, column_u64(q, 1), column_u64(q, 2),
                                 column_u64(q, 3) };
    read_end(db, r, q);
    return found && r->why.err == OK;
}

/* The first column pair that a statement answers, which is a place. */
static bool spot_get(struct db *db, struct store_request *r, sqlite3_stmt *q, struct spot *out)
{
    bool found = sqlite3_step(q) == SQLITE_ROW;

    if (found)
        *out = column_spot(q, 0);
    read_end(db, r, q);
    return found && r->why.err == OK;
}

static bool record_prev(struct trail *t, struct spot *at)
{
    sqlite3_stmt *q = t->db->query[Q_UNDO_PREV];

    if ((*t->looked)++ == STORE_LOOK_MAX) {
        fail(&t->r->why, ERR_LIMIT, "the answer is too far back: more than %d changes would have to be looked at",
             STORE_LOOK_MAX);
        return false;
    }
    bind_u64(q, 1, at->txn);
    bind_u64(q, 2, at->seq);
    return spot_get(t->db, t->r, q, at);
}

static bool trail_from_head(struct trail *t, struct bytes key)
{
    enum head_place place;
    int code = key.len > DB_KEY_MAX ? SQLITE_OK : db_head(t->db, t->resource, key, &t->at, &place);

    if (code != SQLITE_OK)
        db_fail(t->db, code, "the read", &t->r->why);
    return code == SQLITE_OK;
}

/* From where this transaction began to change the key. */
static bool trail_before(struct trail *t, struct bytes key, uint64_t txn)
{
    sqlite3_stmt *q = t->db->query[Q_UNDO_FIRST];

    if (key.len > DB_KEY_MAX)
        return true;
    bind_id(q, 1, txn);
    bind_bytes(q, 2, key);
    bind_resource(q, 3, t->resource);
    spot_get(t->db, t->r, q, &t->at);
    return t->r->why.err == OK;
}

/* To the next transaction back. False: there is none, or none that is kept, or r->why says why not. */
static bool trail_next(struct trail *t)
{
    if (t->at.txn == 0 || !order_get(t->db, t->r, t->at.txn, &t->order))
        return false;
    t->last = t->at;
    do {
        t->first = t->at;
        if (!record_prev(t, &t->at))
            return false;
    } while (t->at.txn == t->first.txn);
    return true;
}

static bool read_record_image(struct trail *t, struct spot spot, int column, struct image *out)
{
    sqlite3_stmt *q = t->db->query[Q_UNDO_IMAGES];

    bind_u64(q, 1, spot.txn);
    bind_u64(q, 2, spot.seq);
    if (sqlite3_step(q) == SQLITE_ROW)
        read_image(t->r, q, column, out);
    read_end(t->db, t->r, q);
    return t->r->why.err == OK;
}

/* --- who changed it --- */

/* The row at which the trail is, if it is to be told of: *matches. False: r->why. */
static bool read_owner(struct trail *t, size_t max, bool *matches)
{
    struct store_request *r = t->r;
    sqlite3_stmt *q = t->db->query[Q_TXN_SHOW];

    bind_u64(q, 1, t->last.txn);
    *matches = sqlite3_step(q) == SQLITE_ROW && read_matches(&r->filter, q);
    r->more = *matches && r->row_count == max;
    if (*matches && !r->more)
        read_row(r, q, &r->rows[r->row_count]);
    read_end(t->db, r, q);
    return r->why.err == OK && !r->more;
}

static bool read_change(struct trail *t, struct bytes key)
{
    struct store_effect *e = &t->r->effects[t->r->row_count];

    e->resource = t->resource;
    e->key = key;
    return read_record_image(t, t->first, 0, &e->before) && read_record_image(t, t->last, 1, &e->after);
}

static void read_owners(struct db *db, struct store_request *r, struct bytes key, bool blame)
{
    size_t max = read_count_max(r, STORE_ROW_MAX), looked = 0;
    struct trail t = { .db = db, .r = r, .resource = read_resource(r), .looked = &looked };
    struct bytes name = bytes_of(store_request_copy(r, key), key.len);
    bool matches;

    r->rows = store_request_alloc(r, max * sizeof *r->rows);
    if (blame && r->rows != NULL)
        r->effects = store_request_alloc(r, max * sizeof *r->effects);
    if (r->why.err != OK || !(r->txn == 0 ? trail_from_head(&t, key) : trail_before(&t, key, r->txn)))
        return;
    r->next = r->txn;
    while (trail_next(&t)) {
        if (!blame || t.order.committed) {
            if (!read_owner(&t, max, &matches) || (matches && blame && !read_change(&t, name)))
                break;
            r->row_count += matches;
        }
        r->next = t.last.txn;
        r->more = looked >= STORE_PAGE_LOOK_MAX && t.at.txn != 0;
        if (r->more)
            break;
    }
    read_stop_early(r, r->row_count);
    r->effect_count = blame ? r->row_count : 0;
}

void read_list_key(struct db *db, struct store_request *r) { read_owners(db, r, r->filter.key, false); }
void read_blame(struct db *db, struct store_request *r) { read_owners(db, r, r->key, true); }

/* --- what it was, and what builds on it --- */

/* That it committed, and that all that came after it is kept. */
static bool whole_since(struct db *db, struct store_request *r, struct order *order)
{
    unsigned long long txn = r->txn;

    if (!order_get(db, r, r->txn, order)) {
        if (r->why.err == OK)
            fail(&r->why, ERR_ABSENT,
                 "transaction %llu is not in the history: it changed nothing, is too old, or never was", txn);
        return false;
    }
    if (!order->committed)
        fail(&r->why, ERR_BADARG, "transaction %llu %s", txn,
             order->open ? "has not ended; wait until it has" : "did not commit, so it changed nothing");
    else if (order->serial <= db->ledger.reach)
        fail(&r->why, ERR_ABSENT, "what came after transaction %llu is no longer kept whole; the history keeps what is "
             "younger", txn);
    return r->why.err == OK;
}

void read_at(struct db *db, struct store_request *r)
{
    size_t looked = 0;
    struct trail t = { .db = db, .r = r, .resource = RESOURCE_KV, .looked = &looked };
    struct spot next = { 0 }; /* the first change after txn */
    struct order order;

    if (!whole_since(db, r, &order) || !trail_from_head(&t, r->key))
        return;
    r->pairs = store_request_alloc(r, sizeof *r->pairs);
    if (r->pairs == NULL)
        return;
    r->pairs[0].key = bytes_of(store_request_copy(r, r->key), r->key.len);
    while (trail_next(&t) && (t.order.open || t.order.serial > order.serial))
        next = t.first;
    if (r->why.err != OK)
        return;
    if (next.txn == 0)
        read_current(db, r, RESOURCE_KV, r->key, &r->pairs[0].value);
    else
        read_record_image(&t, next, 0, &r->pairs[0].value);
    r->pair_count = 1;
}

struct later {
    uint64_t txn, serial;
    bool walked; /* what builds on it was found */
};

struct search {
    struct db *db;
    struct store_request *r;
    struct later *found; /* in the request's memory; STORE_ROW_MAX and the transaction itself */
    size_t count;
    size_t looked;
    struct map keys; /* that were walked; in the request's memory too */
};

/* Keys are told apart with their resource before them. */
static bool key_is_new(struct search *s, char resource, struct bytes key)
{
    char name[1 + DB_KEY_MAX];
    struct map_node *node;

    CHECK(key.len <= DB_KEY_MAX);
    name[0] = resource;
    memcpy(name + 1, key.data == NULL ? "" : key.data, key.len);
    if (map_find(&s->keys, bytes_of(name, 1 + key.len)) != NULL)
        return false;
    node = store_request_alloc(s->r, sizeof *node);
    if (node == NULL)
        return false;
    node->key = bytes_of(store_request_copy(s->r, bytes_of(name, 1 + key.len)), 1 + key.len);
    if (node->key.data == NULL)
        return false;
    map_add(&s->keys, node);
    return true;
}

static bool found_add(struct search *s, uint64_t txn, uint64_t serial)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->found[i].txn == txn)
            return true;
    if (s->count > STORE_ROW_MAX) {
        fail(&s->r->why, ERR_LIMIT, "more than %d transactions build on transaction %llu", STORE_ROW_MAX,
             (unsigned long long)s->r->txn);
        return false;
    }
    s->found[s->count++] = (struct later){ .txn = txn, .serial = serial };
    return true;
}

/* What was undone, and what undid it, are together as if neither had been. */
static bool stands(struct trail *t, const struct later *base)
{
    struct order undone;

    if (!t->order.committed || t->order.undone_by != 0)
        return false;
    return t->order.undoes == 0 || !order_get(t->db, t->r, t->order.undoes, &undone) || undone.serial <= base->serial;
}

/* Those that changed the key after base did. */
static void search_key(struct search *s, const struct later *base, char resource, struct bytes key)
{
    struct trail t = { .db = s->db, .r = s->r, .resource = resource, .looked = &s->looked };

    if (!trail_from_head(&t, key))
        return;
    while (trail_next(&t)) {
        if (t.last.txn == base->txn)
            return;
        if (stands(&t, base) && !found_add(s, t.last.txn, t.order.serial))
            return;
    }
    if (s->r->why.err == OK)
        fail(&s->r->why, ERR_ABSENT, "what came after transaction %llu is no longer kept whole",
             (unsigned long long)base->txn);
}

static void search_from(struct search *s, struct later base)
{
    sqlite3_stmt *q = s->db->query[Q_UNDO_KEYS];
    char resource;

    bind_u64(q, 1, base.txn);
    while (s->r->why.err == OK && sqlite3_step(q) == SQLITE_ROW) {
        resource = column_bytes(q, 1).len == 1 ? *(const char *)column_bytes(q, 1).data : RESOURCE_KV;
        if (key_is_new(s, resource, column_bytes(q, 0)))
            search_key(s, &base, resource, column_bytes(q, 0));
    }
    read_end(s->db, s->r, q);
}

/* The earliest that was not walked from: so a key that was walked once was walked from its earliest change. */
static struct later *search_next(struct search *s)
{
    struct later *next = NULL;

    for (size_t i = 0; i < s->count; i++)
        if (!s->found[i].walked && (next == NULL || s->found[i].serial < next->serial))
            next = &s->found[i];
    return next;
}

static int newest_first(const void *a, const void *b)
{
    const struct later *x = a, *y = b;

    return x->serial > y->serial ? -1 : x->serial < y->serial;
}

/* The last is the transaction itself, and is not told. */
static void tell_found(struct search *s)
{
    struct store_request *r = s->r;
    sqlite3_stmt *q = s->db->query[Q_TXN_SHOW];

    qsort(s->found, s->count, sizeof *s->found, newest_first);
    r->rows = store_request_alloc(r, s->count * sizeof *r->rows);
    for (size_t i = 0; i + 1 < s->count && r->why.err == OK; i++) {
        bind_u64(q, 1, s->found[i].txn);
        if (sqlite3_step(q) == SQLITE_ROW && read_row(r, q, &r->rows[r->row_count]))
            r->row_count++;
        read_end(s->db, r, q);
    }
}

void read_dependents(struct db *db, struct store_request *r)
{
    struct search s = { .db = db, .r = r };
    struct order order;
    struct later *next;

    if (!whole_since(db, r, &order))
        return;
    if (order.undone_by != 0) {
        fail(&r->why, ERR_BADARG, "transaction %llu was undone already, by transaction %llu",
             (unsigned long long)r->txn, (unsigned long long)order.undone_by);
        return;
    }
    if (map_init(&s.keys) != OK) {
        fail(&r->why, ERR_NOMEM, "no memory to look for what builds on a transaction");
        return;
    }
    s.found = store_request_alloc(r, (STORE_ROW_MAX + 1) * sizeof *s.found);
    if (s.found != NULL && found_add(&s, r->txn, order.serial)) {
        while (r->why.err == OK && (next = search_next(&s)) != NULL) {
            next->walked = true;
            search_from(&s, *next);
        }
    }
    if (r->why.err == OK)
        tell_found(&s);
    map_fini(&s.keys);
}

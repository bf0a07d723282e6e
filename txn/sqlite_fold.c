/*
 * Folding: the rows of kv and gone are written later than the undo records that say what they hold, many neighbouring
 * keys at once, so that a commit writes at the ends of txn and undo alone, and not a page for each key.
 *
 *     commit ──► txn, undo (what each key holds now) ──► disk
 *            └─► fresh: the same, in memory ─── sweep, in the order of keys ──► kv, gone
 *
 *  1. What a key holds is in fresh, or else in kv; every reader asks in this order.
 *  2. What ended with a serial up to meta.redo_serial is in kv. What ended later has an id from meta.redo_txn on, its
 *     records are kept (nothing of it is forgotten), and they hold all that kv may lack (T7).
 *  3. A sweep folds all that was fresh when it began; when it is through, redo_serial moves to where it began.
 *  4. At open, fresh is made again from what has a higher serial, in the order of commits. Some of it may be in kv
 *     already; the last record of each key is the same one, so folding it again changes nothing.
 *
 * What does not wait: early writes, whose transaction may never end; what is taken back; values too long to gain by it. And
 * nothing does where there are very long values: a search that meets one is slow, so the table had better be as large as it can.
 */
#include "txn/sqlite.h"

#include "lib/check.h"

#include <stdlib.h>
#include <string.h>

enum {
    WAITS_VALUE_MAX = 1024,  /* bytes; a longer one has most of a page to itself */
    FOLD_IDLE = 1024,        /* keys in one step when nobody waits */
    FOLD_IDLE_WORTH = 65536, /* bytes of redo that are worth a sweep when nobody waits for a moment only */
    FOLD_BACKUP = 256,       /* keys in one step beside a backup */
};

/* --- what waits --- */

int db_image_later(struct db *db, struct bytes key, const struct image *image, struct spot head, enum head_place was)
{
    /* A sweep that cannot keep up, which it should, must not cost all memory. */
    if ((image->present && image->value.len > WAITS_VALUE_MAX) || db->ledger.large ||
        db->fresh.bytes / 2 > db->fresh_bytes)
        return db_image_put(db, RESOURCE_KV, key, image, head, was);
    return fresh_put(&db->fresh, key, image, head, was) == OK ? SQLITE_OK : SQLITE_NOMEM;
}

void db_redo_note(struct db *db, uint64_t txn, uint64_t bytes)
{
    struct ledger *l = &db->ledger;

    l->redo_bytes += bytes;
    if (txn < l->redo_txn)
        l->redo_txn = txn;
    if (l->folding && txn < l->fold_txn)
        l->fold_txn = txn;
    if (txn > l->txn_seen)
        l->txn_seen = txn;
}

/* --- the sweep --- */

static void sweep_begin(struct db *db)
{
    struct ledger *l = &db->ledger;

    l->folding = true;
    l->fold_serial = l->serial;
    l->fold_txn = l->txn_seen + 1; /* a lower one that ends later is noted then */
    l->fold_bytes = l->redo_bytes;
    db->fold_from_len = 0;
}

static void sweep_end(struct db *db)
{
    struct ledger *l = &db->ledger;

    l->folding = false;
    l->redo_serial = l->fold_serial;
    l->redo_txn = l->fold_txn;
    l->redo_bytes -= l->fold_bytes;
    db->forget_waits = false;
}

void db_fold_again(struct db *db) { db->fold_from_len = 0; }

static int fold_one(struct db *db, const struct fresh_node *n)
{
    const struct fresh_item *item = n->item;

    return db_image_put(db, RESOURCE_KV, n->by_key.key, &item->image, item->head, item->stored);
}

/* True: it is through. */
static bool fold_some(struct db *db, size_t budget, int *code)
{
    struct fresh_node *n = fresh_from(&db->fresh, bytes_of(db->fold_from, db->fold_from_len));

    for (; n != NULL && budget > 0 && *code == SQLITE_OK; n = fresh_after(n), budget--)
        *code = fold_one(db, n);
    if (n != NULL && *code == SQLITE_OK) {
        memcpy(db->fold_from, n->by_key.key.data, n->by_key.key.len);
        db->fold_from_len = n->by_key.key.len;
    }
    return n == NULL && *code == SQLITE_OK;
}

static bool sweep_due(const struct db *db)
{
    return db->ledger.folding || db->fresh.bytes >= db->fresh_bytes || db->ledger.redo_bytes >= db->redo_bytes ||
           (db->ledger.large && db->fresh.bytes > 0);
}

int db_fold(struct db *db, size_t budget)
{
    int code = SQLITE_OK;

    if (!sweep_due(db))
        return SQLITE_OK;
    if (!db->ledger.folding)
        sweep_begin(db);
    if (fold_some(db, budget, &code))
        sweep_end(db);
    return code;
}

static int ledger_put(struct db *db, const char *name, uint64_t value, uint64_t before)
{
    return value == before ? SQLITE_OK : db_meta_put(db, name, value);
}

int db_fold_ledger(struct db *db)
{
    const struct ledger *l = &db->ledger, *was = &db->before;
    int code = ledger_put(db, "redo_serial", l->redo_serial, was->redo_serial);

    return code == SQLITE_OK ? ledger_put(db, "redo_txn", l->redo_txn, was->redo_txn) : code;
}

bool db_fold_worth(const struct db *db, enum rest rest)
{
    const struct ledger *l = &db->ledger;

    if (l->serial == l->redo_serial)
        return false;
    if (db->backup != NULL || rest == REST_LONG)
        return true;
    return rest == REST_QUIET && (l->folding || l->redo_bytes >= FOLD_IDLE_WORTH || db->forget_waits);
}

enum err db_fold_step(struct db *db, struct failure *why)
{
    int code = db_begin(db);

    if (code == SQLITE_OK && !db->ledger.folding)
        sweep_begin(db);
    if (code == SQLITE_OK && fold_some(db, db->backup != NULL ? FOLD_BACKUP : FOLD_IDLE, &code))
        sweep_end(db);
    if (code == SQLITE_OK)
        code = db_fold_ledger(db);
    return db_end(db, code, "bringing keys up to date", why);
}

enum err db_fold_all(struct db *db, struct failure *why)
{
    enum err err = OK;

    while (err == OK && db->ledger.serial != db->ledger.redo_serial)
        err = db_fold_step(db, why);
    return err;
}

/* --- at open --- */

struct redo {
    uint64_t serial, txn;
};

struct redos {
    struct redo *redo; /* owned */
    size_t count, cap;
};

static bool redo_add(struct redos *all, struct redo redo)
{
    if (all->count == all->cap) {
        size_t cap = all->cap == 0 ? 1024 : 2 * all->cap;
        struct redo *more = reallocarray(all->redo, cap, sizeof *more);
        if (more == NULL)
            return false;
        all->redo = more;
        all->cap = cap;
    }
    all->redo[all->count++] = redo;
    return true;
}

static int serial_compare(const void *a, const void *b)
{
    const struct redo *x = a, *y = b;

    return x->serial < y->serial ? -1 : x->serial > y->serial;
}

static int redo_list(struct db *db, struct redos *all)
{
    sqlite3_stmt *q = db->query[Q_REDO_LIST];
    bool added = true;
    int code;

    bind_id(q, 1, db->ledger.redo_txn);
    bind_id(q, 2, db->ledger.redo_serial);
    while (added && sqlite3_step(q) == SQLITE_ROW) {
        added = redo_add(all, (struct redo){ column_u64(q, 0), column_u64(q, 1) });
        db->ledger.redo_bytes += column_u64(q, 2);
    }
    code = sqlite3_reset(q);
    if (all->count > 0)
        qsort(all->redo, all->count, sizeof *all->redo, serial_compare);
    return added ? code : SQLITE_NOMEM;
}

/* It is more than memory is there for. If it fails nothing goes on, so what was folded needs not wait for the commit. */
static int redo_fold(struct db *db)
{
    int code = SQLITE_OK;

    db->fold_from_len = 0;
    fold_some(db, SIZE_MAX, &code);
    if (code == SQLITE_OK)
        fresh_commit(&db->fresh);
    return code;
}

static int redo_one(struct db *db, uint64_t txn)
{
    sqlite3_stmt *q = db->query[Q_REDO_UNDO];
    int code = SQLITE_OK, end;

    bind_u64(q, 1, txn);
    while (code == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW) {
        struct image after = { sqlite3_column_type(q, 1) != SQLITE_NULL, column_bytes(q, 1) };
        struct spot head = { txn, column_u64(q, 2) };
        struct bytes key = column_bytes(q, 0);
        if (key.len > DB_KEY_MAX || after.value.len > DB_VALUE_MAX)
            code = SQLITE_CORRUPT; /* no release wrote such */
        else if (fresh_put(&db->fresh, key, &after, head, HEAD_UNKNOWN) != OK)
            code = SQLITE_NOMEM;
        else if (db->fresh.bytes >= db->fresh_bytes)
            code = redo_fold(db);
    }
    end = sqlite3_reset(q);
    return code == SQLITE_OK ? end : code;
}

static int redo_ledger(struct db *db)
{
    struct ledger *l = &db->ledger;
    uint64_t serial = 0, reserve = 0;
    int code = db_meta_get(db, "redo_serial", &l->redo_serial);

    if (code == SQLITE_OK)
        code = db_meta_get(db, "redo_txn", &l->redo_txn);
    if (code == SQLITE_OK)
        code = db_meta_get(db, "serial_reserve", &serial);
    if (code == SQLITE_OK)
        code = db_meta_get(db, "txn_reserve", &reserve);
    l->serial = serial > l->serial ? serial : l->serial;
    l->txn_seen = reserve > l->txn_seen ? reserve : l->txn_seen;
    return code;
}

int db_redo(struct db *db)
{
    struct redos all = { 0 };
    int code = redo_ledger(db);

    if (code == SQLITE_OK)
        code = redo_list(db, &all);
    for (size_t i = 0; i < all.count && code == SQLITE_OK; i++)
        code = redo_one(db, all.redo[i].txn);
    if (all.count == 0)
        db->ledger.redo_serial = db->ledger.serial;
    free(all.redo);
    return code;
}

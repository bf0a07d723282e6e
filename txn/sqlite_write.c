/*
 * All that changes the database. One rule for each function: begin, do, end; db_end() alone decides
 * what a failure means.
 *
 * T7: a group of commits is one SQLite transaction. T5: undo plays back newest first and deletes its
 * records in the same SQLite transaction, so that twice is the same as once.
 *
 * An I/O error at COMMIT leaves open what is on disk: SQLite says "failed", and after a crash the
 * transaction may be there all the same (its bytes were written, the sync failed). It is answered
 * ERR_UNKNOWN and the database is not touched again before recovery. A full disk is different: the
 * commit's last page was never written whole, so it is rolled back and stays so.
 */
#include "txn/sqlite.h"

#include "lib/check.h"

#include <stdlib.h>
#include <string.h>

enum { TXN_ROW_BYTES = 80, UNDO_ROW_BYTES = 24 }; /* beside the texts and images; for the estimate of the history */

/* --- one SQLite transaction --- */

int db_begin(struct db *db)
{
    db->before = db->ledger;
    return db_run(db, Q_BEGIN);
}

static enum err commit_unknown(struct db *db, struct failure *why)
{
    return db_poison(db, ERR_UNKNOWN, why,
                     "an I/O error hit the commit itself; whether it holds is known only after recovery");
}

enum err db_end(struct db *db, int code, const char *doing, struct failure *why)
{
    if (code == SQLITE_OK) {
        code = db_run(db, Q_COMMIT);
        if (code == SQLITE_OK)
            return OK;
        if ((code & 0xff) != SQLITE_FULL)
            return commit_unknown(db, why);
    }
    db->ledger = db->before;
    db_fail(db, code, doing, why);
    if (!sqlite3_get_autocommit(db->handle) && db_run(db, Q_ROLLBACK) != SQLITE_OK)
        db_poison(db, ERR_STORAGE, NULL, "a failed write could not be rolled back");
    return why->err;
}

/* Nothing may be done any more: true, with the reason. */
static bool stopped(const struct db *db, struct failure *why)
{
    if (db->poison.err == OK)
        return false;
    fail(why, ERR_STORAGE, "%s", db->poison.text);
    return true;
}

/* --- rows --- */

static int kv_put(struct db *db, struct bytes key, struct bytes value)
{
    bind_bytes(db->query[Q_KV_PUT], 1, key);
    bind_bytes(db->query[Q_KV_PUT], 2, value);
    return db_run(db, Q_KV_PUT);
}

static int kv_del(struct db *db, struct bytes key)
{
    bind_bytes(db->query[Q_KV_DEL], 1, key);
    return db_run(db, Q_KV_DEL);
}

static void bind_image(sqlite3_stmt *q, int at, const struct image *image)
{
    if (image->present)
        bind_bytes(q, at, image->value);
    else
        CHECK(sqlite3_bind_null(q, at) == SQLITE_OK);
}

static size_t text_len(const char *text) { return text == NULL ? 0 : strlen(text); }

static int txn_put(struct db *db, uint64_t txn, const struct store_history *h, uint64_t undo_bytes)
{
    uint64_t bytes = TXN_ROW_BYTES + undo_bytes + text_len(h->graft) + text_len(h->version) + text_len(h->function) +
                     text_len(h->outcome) + text_len(h->error);
    sqlite3_stmt *q = db->query[Q_TXN_PUT];

    bind_u64(q, 1, txn);
    bind_text(q, 2, h->graft);
    bind_text(q, 3, h->version);
    bind_text(q, 4, h->function);
    bind_u64(q, 5, h->uid);
    bind_u64(q, 6, h->gid);
    bind_u64(q, 7, h->pid);
    sqlite3_bind_int64(q, 8, h->begun_us);
    if (h->outcome == NULL)
        sqlite3_bind_null(q, 9);
    else
        sqlite3_bind_int64(q, 9, h->ended_us);
    bind_text(q, 10, h->outcome);
    bind_text(q, 11, h->error);
    bind_u64(q, 12, h->cpu_us);
    bind_u64(q, 13, h->effect_count);
    bind_u64(q, 14, bytes);
    db->ledger.history_bytes += bytes;
    return db_run(db, Q_TXN_PUT);
}

static int undo_add(struct db *db, uint64_t txn, uint64_t seq, const struct store_effect *e)
{
    sqlite3_stmt *q = db->query[Q_UNDO_ADD];

    CHECK(e->resource == 'k');
    CHECK(e->key.len <= DB_KEY_MAX);
    bind_u64(q, 1, txn);
    bind_u64(q, 2, seq);
    sqlite3_bind_text(q, 3, &e->resource, 1, SQLITE_STATIC);
    bind_bytes(q, 4, e->key);
    bind_image(q, 5, &e->before);
    bind_image(q, 6, &e->after);
    return db_run(db, Q_UNDO_ADD);
}

static uint64_t effect_bytes(const struct store_effect *e)
{
    return UNDO_ROW_BYTES + e->key.len + (e->before.present ? e->before.value.len : 0) +
           (e->after.present ? e->after.value.len : 0);
}

/* --- commit --- */

static int entry_write(struct db *db, const struct store_entry *e)
{
    uint64_t bytes = 0;
    int code = SQLITE_OK;

    for (size_t i = 0; i < e->effect_count && code == SQLITE_OK; i++) {
        bytes += effect_bytes(&e->effects[i]);
        code = undo_add(db, e->txn, e->first_effect + i, &e->effects[i]);
    }
    return code == SQLITE_OK ? txn_put(db, e->txn, &e->history, bytes) : code;
}

static int place_compare(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int c = bytes_compare(x->effect->key, y->effect->key);

    if (c != 0)
        return c;
    return x->order < y->order ? -1 : x->order > y->order;
}

static bool places_reserve(struct db *db, size_t count)
{
    struct place *places;

    if (count <= db->place_max)
        return true;
    places = realloc(db->places, count * 2 * sizeof *places);
    if (places == NULL)
        return false;
    db->places = places;
    db->place_max = count * 2;
    return true;
}

/* Of each key only the group's last image is written, in the order of the tree. */
static int images_write(struct db *db, struct store_request *const *requests, size_t count, size_t effects)
{
    size_t n = 0;
    int code = SQLITE_OK;

    if (!places_reserve(db, effects))
        return SQLITE_NOMEM;
    for (size_t r = 0; r < count; r++)
        for (size_t e = 0; e < requests[r]->entry_count; e++)
            for (size_t i = 0; i < requests[r]->entries[e].effect_count; i++, n++)
                db->places[n] = (struct place){ &requests[r]->entries[e].effects[i], n };
    if (n > 1)
        qsort(db->places, n, sizeof *db->places, place_compare);
    for (size_t i = 0; i < n && code == SQLITE_OK; i++) {
        const struct store_effect *e = db->places[i].effect;
        if (i + 1 < n && bytes_equal(e->key, db->places[i + 1].effect->key))
            continue;
        code = e->after.present ? kv_put(db, e->key, e->after.value) : kv_del(db, e->key);
    }
    return code;
}

static int group_write(struct db *db, struct store_request *const *requests, size_t count)
{
    uint64_t reserve = db->ledger.reserve;
    size_t effects = 0, rows = 0;
    int code = SQLITE_OK;

    for (size_t r = 0; r < count; r++) {
        for (size_t e = 0; e < requests[r]->entry_count && code == SQLITE_OK; e++) {
            code = entry_write(db, &requests[r]->entries[e]);
            effects += requests[r]->entries[e].effect_count;
            rows += 1 + requests[r]->entries[e].effect_count;
        }
        if (requests[r]->txn_reserve > db->ledger.reserve)
            db->ledger.reserve = requests[r]->txn_reserve;
    }
    if (code == SQLITE_OK)
        code = images_write(db, requests, count, effects);
    if (code == SQLITE_OK && db->ledger.reserve != reserve)
        code = db_meta_put(db, "txn_reserve", db->ledger.reserve);
    return code == SQLITE_OK ? db_forget(db, rows) : code;
}

void db_commit(struct db *db, struct store_request *const *requests, size_t count, struct failure *why)
{
    int code;

    if (stopped(db, why))
        return;
    code = db_begin(db);
    if (code == SQLITE_OK)
        code = group_write(db, requests, count);
    db_end(db, code, "the commit", why);
}

/* --- undo --- */

/* Newest first, and its records go. bytes: what it was counted with. */
static int take_back(struct db *db, uint64_t txn, uint64_t bytes)
{
    sqlite3_stmt *q = db->query[Q_UNDO_BACK];
    int code = SQLITE_OK, end;

    bind_u64(q, 1, txn);
    while (code == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW) {
        if (!bytes_equal(column_bytes(q, 0), bytes_str("k")))
            code = SQLITE_CORRUPT; /* no release wrote another resource: never guess (T10) */
        else if (sqlite3_column_type(q, 2) == SQLITE_NULL)
            code = kv_del(db, column_bytes(q, 1));
        else
            code = kv_put(db, column_bytes(q, 1), column_bytes(q, 2));
    }
    end = sqlite3_reset(q);
    if (code == SQLITE_OK)
        code = end;
    if (code != SQLITE_OK)
        return code;
    bind_u64(db->query[Q_UNDO_DEL], 1, txn);
    db->ledger.history_bytes = less(db->ledger.history_bytes, bytes);
    return db_run(db, Q_UNDO_DEL);
}

enum txn_state { TXN_NEVER_STORED, TXN_NOT_ENDED, TXN_ENDED };

static int txn_state(struct db *db, uint64_t txn, enum txn_state *state, uint64_t *bytes)
{
    sqlite3_stmt *q = db->query[Q_TXN_STATE];

    *state = TXN_NEVER_STORED;
    *bytes = 0;
    bind_u64(q, 1, txn);
    if (sqlite3_step(q) == SQLITE_ROW) {
        *state = column_u64(q, 0) == 1 ? TXN_NOT_ENDED : TXN_ENDED;
        *bytes = column_u64(q, 1);
    }
    return sqlite3_reset(q);
}

static int undo_write(struct db *db, uint64_t txn, const struct store_history *history)
{
    enum txn_state state;
    uint64_t bytes;
    int code = txn_state(db, txn, &state, &bytes);

    if (code != SQLITE_OK || state == TXN_ENDED)
        return code;
    if (state == TXN_NOT_ENDED) {
        code = take_back(db, txn, bytes);
        bind_u64(db->query[Q_TXN_DEL], 1, txn);
        if (code == SQLITE_OK)
            code = db_run(db, Q_TXN_DEL);
    }
    return code == SQLITE_OK ? txn_put(db, txn, history, 0) : code;
}

void db_undo(struct db *db, const struct store_request *r, struct failure *why)
{
    int code;

    CHECK(r->history.outcome != NULL);
    if (stopped(db, why))
        return;
    code = db_begin(db);
    if (code == SQLITE_OK)
        code = undo_write(db, r->txn, &r->history);
    db_end(db, code, "the undo", why);
}

/* The newest transaction that began and did not end; *txn is 0 when there is none. */
static int txn_open(struct db *db, uint64_t *txn, uint64_t *bytes)
{
    sqlite3_stmt *q = db->query[Q_TXN_OPEN];

    *txn = 0;
    if (sqlite3_step(q) == SQLITE_ROW) {
        *txn = column_u64(q, 0);
        *bytes = column_u64(q, 1);
    }
    return sqlite3_reset(q);
}

static int recover_write(struct db *db, uint64_t *undone)
{
    sqlite3_stmt *q = db->query[Q_TXN_END];
    uint64_t txn, bytes;
    int code;

    for (;;) {
        code = txn_open(db, &txn, &bytes);
        if (code != SQLITE_OK || txn == 0)
            return code;
        code = take_back(db, txn, bytes);
        if (code != SQLITE_OK)
            return code;
        db->ledger.history_bytes += TXN_ROW_BYTES;
        bind_u64(q, 1, txn);
        bind_text(q, 2, "ROLLEDBACK");
        bind_text(q, 3, "undone by recovery");
        bind_u64(q, 4, (uint64_t)db_now_us());
        bind_u64(q, 5, TXN_ROW_BYTES);
        code = db_run(db, Q_TXN_END);
        if (code != SQLITE_OK)
            return code;
        (*undone)++;
    }
}

enum err db_recover(struct db *db, uint64_t *undone, struct failure *why)
{
    struct failure local = { 0 };
    int code = db_begin(db);

    *undone = 0;
    if (code == SQLITE_OK)
        code = recover_write(db, undone);
    /* Even a commit that may hold is no more than not done here: recovery begins anew each time. */
    return db_end(db, code, "recovery", &local) == OK ? OK : fail(why, ERR_STORAGE, "recovery failed: %s", local.text);
}

/* --- grafts --- */

void db_graft_put(struct db *db, const struct store_graft *graft, struct failure *why)
{
    sqlite3_stmt *q = db->query[Q_GRAFT_PUT];
    int code;

    if (stopped(db, why))
        return;
    bind_text(q, 1, graft->name);
    bind_text(q, 2, graft->version);
    bind_text(q, 3, graft->sha256);
    bind_u64(q, 4, graft->size);
    bind_u64(q, 5, graft->loaded_by);
    sqlite3_bind_int64(q, 6, graft->loaded_us);
    code = db_begin(db);
    if (code == SQLITE_OK)
        code = db_run(db, Q_GRAFT_PUT);
    db_end(db, code, "storing the graft", why);
}

void db_graft_del(struct db *db, const char *name, struct failure *why)
{
    int code;

    if (stopped(db, why))
        return;
    bind_text(db->query[Q_GRAFT_DEL], 1, name);
    code = db_begin(db);
    if (code == SQLITE_OK)
        code = db_run(db, Q_GRAFT_DEL);
    db_end(db, code, "removing the graft", why);
}

/*
 * Undo and recovery: what was written early is taken back. At open that comes after what committed was made fresh again
 * (sqlite_fold.c): what is taken back was changed later, and its keys go to kv at once.
 *
 * T5: newest first, and the records go in the same SQLite transaction, so that twice is the same as once. Files go back
 * before that, while their records are still there: whatever interrupts it, the next try begins again from these. T10:
 * what cannot be taken back poisons the store, or keeps it from being opened.
 */
#include "txn/sqlite.h"

#include "lib/check.h"

#include <stdlib.h>

/* The record of the change before, if it is still there: a key that is gone must not be kept for a record that is
 * forgotten. */
static int spot_kept(struct db *db, struct spot *spot)
{
    sqlite3_stmt *q = db->query[Q_UNDO_PREV];

    bind_spot(q, 1, *spot);
    if (sqlite3_step(q) == SQLITE_DONE)
        *spot = (struct spot){ 0 };
    return sqlite3_reset(q);
}

static bool resource_known(struct bytes b, char *resource)
{
    *resource = b.len == 1 ? *(const char *)b.data : '\0';
    return resource_name(*resource)[0] != '?';
}

/* One change, from the columns of Q_UNDO_BACK. */
static int change_back(struct db *db, sqlite3_stmt *q)
{
    struct image before = { sqlite3_column_type(q, 2) != SQLITE_NULL, column_bytes(q, 2) };
    struct spot prev = column_spot(q, 3);
    int code = SQLITE_OK;
    char resource;

    if (!resource_known(column_bytes(q, 0), &resource))
        return SQLITE_CORRUPT; /* no release wrote another: never guess (T10) */
    if (prev.txn != 0 && (!before.present || resource != RESOURCE_KV))
        code = spot_kept(db, &prev);
    if (code != SQLITE_OK)
        return code;
    /* Where it is the record does not tell: at open, what is redone may have been folded over it. */
    return db_image_put(db, resource, column_bytes(q, 1), &before, prev, HEAD_UNKNOWN);
}

/* Newest first, and its records go. bytes: what it was counted with. */
static int take_back(struct db *db, uint64_t txn, uint64_t bytes)
{
    sqlite3_stmt *q = db->query[Q_UNDO_BACK];
    int code = SQLITE_OK, end;

    bind_u64(q, 1, txn);
    while (code == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW)
        code = change_back(db, q);
    end = sqlite3_reset(q);
    if (code == SQLITE_OK)
        code = end;
    if (code != SQLITE_OK)
        return code;
    bind_u64(db->query[Q_UNDO_DEL], 1, txn);
    db->ledger.history_bytes = less(db->ledger.history_bytes, bytes);
    return db_run(db, Q_UNDO_DEL);
}

/* Its row stays and tells this end. */
static int row_end(struct db *db, uint64_t txn, const char *outcome, const char *error, int64_t ended_us)
{
    sqlite3_stmt *q = db->query[Q_TXN_END];

    db->ledger.history_bytes += TXN_ROW_BYTES;
    bind_u64(q, 1, txn);
    bind_text(q, 2, outcome);
    bind_text(q, 3, error);
    sqlite3_bind_int64(q, 4, ended_us);
    bind_u64(q, 5, TXN_ROW_BYTES);
    return db_run(db, Q_TXN_END);
}

/* --- undo --- */

static int undo_part(struct db *db, const struct store_request *r, uint64_t part)
{
    enum txn_state state;
    uint64_t bytes;
    unsigned touched;
    int code = db_txn_state(db, part, &state, &bytes, &touched);

    if (code != SQLITE_OK || state != TXN_NOT_ENDED)
        return code;
    code = take_back(db, part, bytes);
    return code == SQLITE_OK ? row_end(db, part, r->history.outcome, r->history.error, r->history.ended_us) : code;
}

static int undo_main(struct db *db, const struct store_request *r)
{
    enum txn_state state;
    uint64_t bytes, txn = r->txn;
    unsigned touched;
    int code = db_txn_state(db, txn, &state, &bytes, &touched);

    if (code != SQLITE_OK || state == TXN_ENDED)
        return code;
    if (state == TXN_NOT_ENDED) {
        code = take_back(db, txn, bytes);
        bind_u64(db->query[Q_TXN_DEL], 1, txn);
        if (code == SQLITE_OK)
            code = db_run(db, Q_TXN_DEL);
    }
    bytes = 0;
    if (code == SQLITE_OK)
        code = db_nested_write(db, txn, r->calls, r->call_count, &bytes);
    if (code == SQLITE_OK)
        code = db_txn_put(db, txn, &r->history, 0, bytes);
    return code == SQLITE_OK ? db_serial_reserve(db) : code;
}

static int undo_write(struct db *db, const struct store_request *r, const struct ids *ids)
{
    int code = SQLITE_OK;

    for (size_t i = ids->count; i > 0 && code == SQLITE_OK; i--)
        code = ids->id[i - 1] == r->txn ? undo_main(db, r) : undo_part(db, r, ids->id[i - 1]);
    return code;
}

/* The files of what has not ended; the stage files of all. */
static enum err undo_files(struct db *db, const struct ids *ids, struct failure *why)
{
    enum txn_state state;
    uint64_t bytes;
    unsigned touched;
    enum err err = OK;
    int code;

    for (size_t i = ids->count; i > 0 && err == OK; i--) {
        code = db_txn_state(db, ids->id[i - 1], &state, &bytes, &touched);
        if (code != SQLITE_OK)
            return db_fail(db, code, "the undo", why);
        if (state == TXN_NOT_ENDED && (touched & TOUCHES_FILE) != 0)
            err = db_files_undo(db, ids->id[i - 1], why);
    }
    for (size_t i = 0; i < ids->count && err == OK; i++)
        files_end(db->files, ids->id[i]);
    return err;
}

void db_undo(struct db *db, const struct store_request *r, struct failure *why)
{
    struct ids ids = { 0 };
    int code;

    CHECK(r->history.outcome != NULL);
    if (db_stopped(db, why))
        return;
    if (!ids_of(r, &ids)) {
        fail(why, ERR_NOMEM, "no memory for the undo; it was not done");
    } else if (undo_files(db, &ids, why) == OK) {
        code = db_begin(db);
        if (code == SQLITE_OK)
            code = undo_write(db, r, &ids);
        db_end(db, code, "the undo", why);
    }
    free(ids.id);
}

/* --- recovery --- */

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
    uint64_t txn, bytes;
    int code;

    for (;;) {
        code = txn_open(db, &txn, &bytes);
        if (code != SQLITE_OK || txn == 0)
            return code;
        code = take_back(db, txn, bytes);
        if (code == SQLITE_OK)
            code = row_end(db, txn, "ROLLEDBACK", "undone by recovery", db_now_us());
        if (code != SQLITE_OK)
            return code;
        (*undone)++;
    }
}

enum err db_recover(struct db *db, uint64_t *undone, struct failure *why)
{
    struct failure local = { 0 };
    enum err err = db->files == NULL ? OK : db_files_recover(db, &local);
    int code;

    *undone = 0;
    if (err == OK) {
        code = db_begin(db);
        if (code == SQLITE_OK)
            code = db_redo(db);
        if (code == SQLITE_OK)
            code = recover_write(db, undone);
        err = db_end(db, code, "recovery", &local);
    }
    /* Even a commit that may hold is no more than not done here: recovery begins anew each time. */
    return err == OK ? OK : fail(why, ERR_STORAGE, "recovery failed: %s", local.text);
}

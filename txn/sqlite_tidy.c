/*
 * What nobody waits for: folding, forgetting old history, and moving the log into the database.
 *
 * Forgotten are whole transactions, replies that were kept for a token, and events. What a forgotten transaction kept
 * of files goes when it is forgotten on disk.
 * History goes from the oldest, in steps of some rows: with each commit twice what it added, so that it
 * keeps up, and more when nobody waits. Transactions that have not ended stay. Checkpoints run on the one
 * connection, when it is quiet or when the log is long.
 */
#include "txn/sqlite.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
    HISTORY_LAG_MAX = 1024 * 1024, /* bytes that the estimate in meta may be off after a crash */
    FORGET_ROWS_MIN = 64,          /* rows forgotten in one commit: this, or twice what it adds */
    FORGET_ROWS_IDLE = 1024,
    CHECKPOINT_IDLE = 256,         /* pages in the log that are worth a checkpoint when nobody waits */
    CHECKPOINT_FORCED = 8192,      /* and when somebody does */
    TOKENS_IDLE = 64,              /* of which each can have a long reply */
    EVENTS_IDLE = 64,              /* of which each can be long */
    TOPICS_IDLE = 256,             /* looked at */
    FORGET_FILES_MAX = 64,         /* transactions with files that are forgotten in one step */
};

static const uint64_t token_ms_min = 24 * 3600 * 1000; /* a reply is kept for its token for as long, at least */

int64_t db_now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* --- forgetting --- */

static int forget_some(struct db *db, enum query id, size_t budget)
{
    bind_u64(db->query[id], 1, db->ledger.forgetting);
    bind_u64(db->query[id], 2, budget);
    return db_run(db, id);
}

/* Deletes rows of a transaction whose own row is gone. Nobody sees a part of them: they are asked for through that
 * row. Keys that are gone go with the record that remembers them. */
static int forget_parts(struct db *db, size_t *budget)
{
    static const enum query parts[] = { Q_UNDO_DEL_SOME, Q_NESTED_DEL_SOME };
    int code = forget_some(db, Q_GONE_FORGET, *budget);
    size_t gone = 0;

    if (code == SQLITE_OK && (db->ledger.forgetting_touches & (TOUCHES_TIMER | TOUCHES_FILE)) != 0)
        code = forget_some(db, Q_HEAD_FORGET, *budget);
    for (size_t i = 0; i < 2 && gone == 0 && code == SQLITE_OK; i++) {
        code = forget_some(db, parts[i], *budget);
        gone = code == SQLITE_OK ? (size_t)sqlite3_changes(db->handle) : 0;
    }
    *budget -= gone;
    if (code == SQLITE_OK && gone == 0)
        db->ledger.forgetting = 0;
    return code;
}

/* The oldest transaction that has ended, if it has to go; *txn is 0 if none has to. Recovery may need what is not folded
 * yet: that waits. */
static int forget_next(struct db *db, uint64_t *txn, uint64_t *bytes, uint64_t *serial, unsigned *touched)
{
    sqlite3_stmt *q = db->query[Q_TXN_OLDEST];
    int64_t now = db_now_us();
    uint64_t age_ms;
    bool due;
    int code;

    *txn = 0;
    code = sqlite3_step(q);
    if (code == SQLITE_DONE)
        db->ledger.history_bytes = 0; /* crashes leave the estimate a little off: begin anew */
    if (code == SQLITE_ROW) {
        age_ms = now > sqlite3_column_int64(q, 1) ? (uint64_t)(now - sqlite3_column_int64(q, 1)) / 1000 : 0;
        *bytes = column_u64(q, 2);
        *serial = column_u64(q, 3);
        *touched = (unsigned)column_u64(q, 4);
        due = age_ms >= db->history_ms || db->ledger.history_bytes > db->history_bytes;
        db->forget_waits = due && column_u64(q, 5) > db->ledger.redo_serial;
        if (due && !db->forget_waits)
            *txn = column_u64(q, 0);
    }
    return sqlite3_reset(q);
}

/* Deletes at most so many rows of what is too old or too much. */
static int forget(struct db *db, size_t budget)
{
    uint64_t txn, bytes, serial = 0, forgetting = db->ledger.forgetting, reach = db->ledger.reach;
    unsigned touched = 0;
    int code = SQLITE_OK;

    while (code == SQLITE_OK && budget > 0 && db->forgotten.count < FORGET_FILES_MAX) {
        if (db->ledger.forgetting != 0) {
            code = forget_parts(db, &budget);
            continue;
        }
        code = forget_next(db, &txn, &bytes, &serial, &touched);
        if (code != SQLITE_OK || txn == 0)
            break;
        if ((touched & TOUCHES_FILE) != 0 && !ids_add(&db->forgotten, txn))
            return SQLITE_NOMEM;
        bind_u64(db->query[Q_TXN_DEL], 1, txn);
        code = db_run(db, Q_TXN_DEL);
        db->ledger.history_bytes = less(db->ledger.history_bytes, bytes);
        db->ledger.forgetting = txn;
        db->ledger.forgetting_touches = touched;
        if (serial > db->ledger.reach)
            db->ledger.reach = serial;
        budget--;
    }
    if (code == SQLITE_OK && db->ledger.reach != reach)
        code = db_meta_put(db, "reach", db->ledger.reach);
    if (code == SQLITE_OK && db->ledger.forgetting != forgetting)
        code = db_meta_put(db, "forgetting", db->ledger.forgetting);
    return code;
}

/* What ended at or before this has tokens that may go. */
static int64_t token_until(const struct db *db)
{
    uint64_t ms = db->history_ms > token_ms_min ? db->history_ms : token_ms_min;
    int64_t now = db_now_us();

    return ms > (uint64_t)now / 1000 ? INT64_MIN : now - (int64_t)ms * 1000;
}

static int forget_tokens(struct db *db, size_t budget)
{
    sqlite3_stmt *q = db->query[Q_IDEM_DEL_SOME];

    sqlite3_bind_int64(q, 1, token_until(db));
    bind_u64(q, 2, budget);
    return db_run(db, Q_IDEM_DEL_SOME);
}

static bool tokens_due(struct db *db)
{
    sqlite3_stmt *q = db->query[Q_IDEM_OLDEST];
    bool due = sqlite3_step(q) == SQLITE_ROW && sqlite3_column_type(q, 0) != SQLITE_NULL &&
               sqlite3_column_int64(q, 0) <= token_until(db);

    return sqlite3_reset(q) == SQLITE_OK && due;
}

static int ledger_write(struct db *db, uint64_t lag_max)
{
    struct ledger *l = &db->ledger;

    if (less(l->history_bytes, l->history_stored) + less(l->history_stored, l->history_bytes) <= lag_max)
        return SQLITE_OK;
    l->history_stored = l->history_bytes;
    return db_meta_put(db, "history_bytes", l->history_bytes);
}

int db_forget(struct db *db, size_t rows_added, size_t tokens_added, size_t events_added)
{
    int code = forget(db, rows_added * 2 > FORGET_ROWS_MIN ? rows_added * 2 : FORGET_ROWS_MIN);

    if (code == SQLITE_OK && tokens_added > 0)
        code = forget_tokens(db, tokens_added * 2);
    if (code == SQLITE_OK && events_added > 0)
        code = db_events_forget(db, events_added * 2);
    if (code == SQLITE_OK)
        code = db_events_ledger(db);
    return code == SQLITE_OK ? ledger_write(db, HISTORY_LAG_MAX) : code;
}

void db_ledger_flush(struct db *db)
{
    struct failure why = { 0 };
    int code = db_begin(db);

    if (code == SQLITE_OK)
        code = ledger_write(db, 0);
    db_end(db, code, "the estimate of the history", &why); /* an estimate: if it fails it only lags */
}

/* --- the log --- */

bool db_checkpoint(struct db *db, int mode)
{
    int code = sqlite3_wal_checkpoint_v2(db->handle, NULL, mode, NULL, NULL);

    db->full = false;
    if (code == SQLITE_OK) {
        db->wal_pages = 0;
        db->checkpoint_at = CHECKPOINT_FORCED;
        return true;
    }
    db->checkpoint_at = db->wal_pages + CHECKPOINT_FORCED;
    if ((code & 0xff) == SQLITE_FULL || code == SQLITE_NOMEM || code == SQLITE_BUSY || code == SQLITE_LOCKED)
        return false;
    /* A second try might sync nothing and say that all is well, and then the log would go: leave it for recovery. */
    db_poison(db, ERR_STORAGE, NULL, "an I/O error hit the database file; all that was answered is in its log");
    return false;
}

enum err db_sync(struct db *db)
{
    return db->log->pMethods->xSync(db->log, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY) == SQLITE_OK ? OK : ERR_UNKNOWN;
}

bool db_checkpoint_due(const struct db *db, enum rest rest)
{
    return db->wal_pages >= db->checkpoint_at || (rest != REST_NONE && (db->full || db->wal_pages >= CHECKPOINT_IDLE));
}

/* SQLite holds no lock on the log that closing it would drop. */
bool db_log_sync(struct db *db)
{
    char path[PATH_MAX];
    bool synced = !db->lazy;
    int fd;

    if (synced)
        return true;
    snprintf(path, sizeof path, "%.*s-wal", PATH_MAX - 5, db->path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    synced = fd >= 0 && fdatasync(fd) == 0;
    if (fd >= 0)
        close(fd);
    if (!synced)
        db_poison(db, ERR_STORAGE, NULL, "an I/O error hit the log; whether what it holds is on disk is not known");
    return synced;
}

static bool forget_idle(struct db *db)
{
    struct failure why = { 0 };
    uint64_t txn, bytes, serial;
    unsigned touched;
    int code = forget_next(db, &txn, &bytes, &serial, &touched);

    if (code != SQLITE_OK || (txn == 0 && db->ledger.forgetting == 0 && !tokens_due(db) && !db_events_due(db) &&
                              !db_topics_due(db)))
        return false;
    code = db_begin(db);
    if (code == SQLITE_OK)
        code = forget(db, FORGET_ROWS_IDLE);
    if (code == SQLITE_OK)
        code = forget_tokens(db, TOKENS_IDLE);
    if (code == SQLITE_OK)
        code = db_events_forget(db, EVENTS_IDLE);
    if (code == SQLITE_OK)
        code = db_topics_forget(db, TOPICS_IDLE);
    if (code == SQLITE_OK)
        code = db_events_ledger(db);
    return db_end(db, code, "forgetting old history", &why) == OK;
}

bool db_tidy(struct db *db, enum rest rest)
{
    struct failure why = { 0 };
    bool idle = rest != REST_NONE;

    if (db->poison.err != OK)
        return false;
    /* What a step that failed did not do, recovery would. */
    if (db_fold_worth(db, rest) && db_fold_step(db, &why) == OK && idle)
        return true;
    return db->poison.err == OK && idle && forget_idle(db);
}

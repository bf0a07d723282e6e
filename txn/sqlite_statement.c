/*
 * The tables, every statement on them, and what SQLite's answers mean in our words. doc/schema.md
 * describes the tables for people.
 */
#include "txn/sqlite.h"

#include "lib/check.h"

#include <stdio.h>
#include <string.h>

/* What format 2 added as tables and views of their own. */
#define SCHEMA_2                                                                                     \
    "CREATE TABLE gone (\n"                                                                          \
    "    key BLOB PRIMARY KEY, -- not there, but its past is\n"                                      \
    "    txn INTEGER,          -- the undo record of its newest change\n"                            \
    "    seq INTEGER\n"                                                                              \
    ") WITHOUT ROWID;\n"                                                                             \
    "CREATE TABLE nested (\n"                                                                        \
    "    txn        INTEGER,\n"                                                                      \
    "    seq        INTEGER, -- from 1, in the order in which they began\n"                          \
    "    parent_seq INTEGER, -- 0: called by the transaction's own function\n"                       \
    "    graft      TEXT,\n"                                                                         \
    "    version    TEXT,\n"                                                                         \
    "    function   TEXT,\n"                                                                         \
    "    outcome    TEXT,\n"                                                                         \
    "    error      TEXT,\n"                                                                         \
    "    begun_us   INTEGER,\n"                                                                      \
    "    ended_us   INTEGER,\n"                                                                      \
    "    cpu_us     INTEGER,\n"                                                                      \
    "    first      INTEGER, -- its first effect is the undo record with this seq\n"                 \
    "    effects    INTEGER,\n"                                                                      \
    "    PRIMARY KEY (txn, seq)\n"                                                                   \
    ") WITHOUT ROWID;\n"                                                                             \
    "CREATE TABLE idem (\n"                                                                          \
    "    uid   INTEGER,\n"                                                                           \
    "    token BLOB,\n"                                                                              \
    "    txn   INTEGER, -- the transaction that it named\n"                                          \
    "    at_us INTEGER, -- when that ended\n"                                                        \
    "    reply BLOB,    -- what a repeat is answered\n"                                              \
    "    PRIMARY KEY (uid, token)\n"                                                                 \
    ") WITHOUT ROWID;\n"                                                                             \
    "CREATE INDEX idem_at ON idem(at_us);\n"                                                         \
    "CREATE VIEW history AS SELECT id, datetime(begun_us / 1000000, 'unixepoch') AS begun,\n"        \
    "    coalesce(graft || '.', '') || function AS what, version, uid, gid, pid,\n"                  \
    "    coalesce(outcome, 'not ended') AS outcome, error, effects,\n"                               \
    "    (ended_us - begun_us) / 1000.0 AS ms, cpu_us / 1000.0 AS cpu_ms,\n"                         \
    "    lock_wait_us / 1000.0 AS lock_ms, nullif(undoes, 0) AS undoes,\n"                           \
    "    nullif(undone_by, 0) AS undone_by FROM txn;\n"

#define SCHEMA_ROOT                                                                                  \
    "CREATE TABLE IF NOT EXISTS root (\n"                                                            \
    "    name TEXT PRIMARY KEY, -- the first component of paths; empty: the standard one\n"          \
    "    path TEXT NOT NULL     -- of the directory, when graftd was last started\n"                 \
    ") WITHOUT ROWID;\n"

/* What format 3 added. */
#define SCHEMA_3                                                                                     \
    "CREATE TABLE head (\n"                                                                          \
    "    resource TEXT, -- f: file, t: timer; those of kv are in kv and gone\n"                      \
    "    key      BLOB,\n"                                                                           \
    "    txn      INTEGER, -- the undo record of its newest change\n"                                \
    "    seq      INTEGER,\n"                                                                        \
    "    PRIMARY KEY (resource, key)\n"                                                              \
    ") WITHOUT ROWID;\n"                                                                             \
    "CREATE TABLE timer (\n"                                                                         \
    "    id       BLOB PRIMARY KEY,\n"                                                               \
    "    due_us   INTEGER, -- since 1970\n"                                                          \
    "    function TEXT,    -- what it calls\n"                                                       \
    "    uid      INTEGER, -- for whom\n"                                                            \
    "    parked   INTEGER, -- 1: it failed too often, or its firing was undone\n"                    \
    "    value    BLOB NOT NULL -- all of it\n"                                                      \
    ") WITHOUT ROWID;\n"                                                                             \
    "CREATE TABLE event (\n"                                                                         \
    "    id    INTEGER PRIMARY KEY, -- rises in the order of commits, over all topics\n"             \
    "    topic TEXT NOT NULL,\n"                                                                     \
    "    txn   INTEGER, -- the transaction that told it\n"                                           \
    "    at_us INTEGER, -- when that ended\n"                                                        \
    "    data  BLOB NOT NULL\n"                                                                      \
    ");\n"                                                                                           \
    "CREATE INDEX event_topic ON event(topic, id);\n"                                                \
    "CREATE TABLE topic (\n"                                                                         \
    "    name      TEXT PRIMARY KEY,\n"                                                              \
    "    last      INTEGER, -- its newest event\n"                                                   \
    "    forgotten INTEGER NOT NULL DEFAULT 0, -- events up to this one are no longer kept\n"        \
    "    count     INTEGER NOT NULL DEFAULT 0  -- kept\n"                                            \
    ") WITHOUT ROWID;\n"                                                                             \
    "CREATE VIEW changes AS SELECT txn, seq, datetime(begun_us / 1000000, 'unixepoch') AS begun,\n"  \
    "    coalesce(graft || '.', '') || function AS what, uid, resource, CAST(key AS TEXT) AS key,\n" \
    "    iif(resource IN ('k', 'e'), CAST(before AS TEXT), before) AS before,\n"                     \
    "    iif(resource IN ('k', 'e'), CAST(after AS TEXT), after) AS after\n"                         \
    "    FROM undo JOIN txn ON txn.id = undo.txn ORDER BY txn, seq;\n"                               \
    "CREATE VIEW timers AS SELECT CAST(id AS TEXT) AS id,\n"                                         \
    "    datetime(due_us / 1000000, 'unixepoch') AS due, function, uid, parked FROM timer;\n"        \
    "CREATE VIEW events AS SELECT id, topic, txn, datetime(at_us / 1000000, 'unixepoch') AS at,\n"   \
    "    CAST(data AS TEXT) AS data FROM event;\n"                                                        \
    SCHEMA_ROOT

const char db_schema[] =
    "CREATE TABLE kv (\n"
    "    key   BLOB PRIMARY KEY,\n"
    "    txn   INTEGER NOT NULL DEFAULT 0, -- the undo record of its newest change; 0: none\n"
    "    seq   INTEGER NOT NULL DEFAULT 0,\n"
    "    value BLOB NOT NULL\n"
    ") WITHOUT ROWID;\n"
    "CREATE TABLE txn (\n"
    "    id       INTEGER PRIMARY KEY,\n"
    "    graft    TEXT,    -- NULL: a plain command\n"
    "    version  TEXT,\n"
    "    function TEXT,    -- or the command\n"
    "    uid      INTEGER, -- who asked\n"
    "    gid      INTEGER,\n"
    "    pid      INTEGER,\n"
    "    begun_us INTEGER, -- since 1970\n"
    "    ended_us INTEGER,\n"
    "    outcome  TEXT,    -- committed, or the error word; NULL: begun and not ended\n"
    "    error    TEXT,\n"
    "    cpu_us   INTEGER,\n"
    "    effects  INTEGER, -- made in all; undone if outcome is not committed\n"
    "    bytes    INTEGER, -- estimate of this row and its undo rows\n"
    "    serial       INTEGER NOT NULL DEFAULT 0, -- the order of commits\n"
    "    lock_wait_us INTEGER NOT NULL DEFAULT 0,\n"
    "    undoes       INTEGER NOT NULL DEFAULT 0, -- takes back this transaction; 0: none\n"
    "    undone_by    INTEGER NOT NULL DEFAULT 0, -- was taken back by this one; 0: stands\n"
    "    parent       INTEGER NOT NULL DEFAULT 0,\n"
    "    depth        INTEGER NOT NULL DEFAULT 0,\n"
    "    resources    INTEGER NOT NULL DEFAULT 0  -- changed beside kv: 1 timers, 2 files, 4 events\n"
    ");\n"
    "CREATE INDEX txn_open ON txn(id) WHERE outcome IS NULL;\n"
    "CREATE TABLE undo (\n"
    "    txn      INTEGER,\n"
    "    seq      INTEGER, -- undone from the highest down\n"
    "    resource TEXT,    -- k: kv, f: file, e: event, t: timer\n"
    "    key      BLOB,\n"
    "    prev_txn INTEGER NOT NULL DEFAULT 0, -- the undo record of the change before of this key; 0: none\n"
    "    prev_seq INTEGER NOT NULL DEFAULT 0,\n"
    "    before   BLOB,    -- NULL: was not there\n"
    "    after    BLOB,    -- NULL: is not there\n"
    "    PRIMARY KEY (txn, seq)\n"
    ") WITHOUT ROWID;\n"
    "CREATE TABLE graft (\n"
    "    name      TEXT PRIMARY KEY,\n"
    "    version   TEXT,\n"
    "    sha256    TEXT,\n"
    "    size      INTEGER,\n"
    "    loaded_by INTEGER, -- uid\n"
    "    loaded_us INTEGER\n"
    ") WITHOUT ROWID;\n"
    "CREATE TABLE meta (\n"
    "    name  TEXT PRIMARY KEY,\n"
    "    value INTEGER\n"
    ") WITHOUT ROWID;\n"
    SCHEMA_2 SCHEMA_3;

/* No row is rewritten: a database of any size is brought up to date in a moment. The old history of format 1 has no
 * trails. */
static const char from_1[] =
    "ALTER TABLE kv ADD COLUMN txn INTEGER NOT NULL DEFAULT 0;\n"
    "ALTER TABLE kv ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;\n"
    "ALTER TABLE undo ADD COLUMN prev_txn INTEGER NOT NULL DEFAULT 0;\n"
    "ALTER TABLE undo ADD COLUMN prev_seq INTEGER NOT NULL DEFAULT 0;\n"
    "ALTER TABLE txn ADD COLUMN serial INTEGER NOT NULL DEFAULT 0;\n"
    "ALTER TABLE txn ADD COLUMN lock_wait_us INTEGER NOT NULL DEFAULT 0;\n"
    "ALTER TABLE txn ADD COLUMN undoes INTEGER NOT NULL DEFAULT 0;\n"
    "ALTER TABLE txn ADD COLUMN undone_by INTEGER NOT NULL DEFAULT 0;\n"
    "ALTER TABLE txn ADD COLUMN parent INTEGER NOT NULL DEFAULT 0;\n"
    "ALTER TABLE txn ADD COLUMN depth INTEGER NOT NULL DEFAULT 0;\n"
    "DROP VIEW history;\n"
    SCHEMA_2;

static const char from_2[] =
    "ALTER TABLE txn ADD COLUMN resources INTEGER NOT NULL DEFAULT 0;\n"
    "DROP VIEW changes;\n"
    SCHEMA_3;

/* Until now all was in kv at once; and the first databases of format 3 had no table root. */
static const char from_3[] = SCHEMA_ROOT
    "REPLACE INTO meta(name, value) SELECT 'redo_serial', coalesce(max(value), 0) FROM meta "
    "WHERE name = 'serial_reserve';\n"
    "REPLACE INTO meta(name, value) SELECT 'redo_txn', coalesce(max(id), 0) + 1 FROM txn;\n"
    "REPLACE INTO meta(name, value) SELECT 'large_values', 1 WHERE EXISTS (SELECT 1 FROM kv WHERE length(value) > 65536);\n";

const char *const db_schema_from[DB_FORMAT] = { [1] = from_1, [2] = from_2, [3] = from_3 };

#define ROW_COLUMNS                                                                                                 \
    "id, graft, version, function, outcome, error, uid, gid, pid, begun_us, ended_us, cpu_us, effects, lock_wait_us, " \
    "undoes, undone_by, parent, depth "

#define TOPIC_COLUMNS "name, (SELECT min(id) FROM event WHERE topic = name), last, forgotten, count "

static const char *const texts[Q_COUNT] = {
    [Q_BEGIN] = "BEGIN IMMEDIATE",
    [Q_COMMIT] = "COMMIT",
    [Q_ROLLBACK] = "ROLLBACK",
    [Q_KV_GET] = "SELECT value FROM kv WHERE key = ?1",
    [Q_KV_SCAN] = "SELECT key, value FROM kv WHERE key >= ?1 ORDER BY key",
    [Q_KV_PUT] = "REPLACE INTO kv(key, value, txn, seq) VALUES(?1, ?2, ?3, ?4)",
    [Q_KV_DEL] = "DELETE FROM kv WHERE key = ?1",
    [Q_KV_HEAD] = "SELECT txn, seq FROM kv WHERE key = ?1",
    [Q_GONE_GET] = "SELECT txn, seq FROM gone WHERE key = ?1",
    [Q_GONE_PUT] = "REPLACE INTO gone(key, txn, seq) VALUES(?1, ?2, ?3)",
    [Q_GONE_DEL] = "DELETE FROM gone WHERE key = ?1",
    [Q_GONE_FORGET] = "DELETE FROM gone WHERE txn = ?1 AND key IN (SELECT key FROM undo WHERE txn = ?1 "
                      "AND after IS NULL AND resource = 'k' AND seq < ?2 + (SELECT min(seq) FROM undo WHERE txn = ?1))",
    [Q_HEAD_GET] = "SELECT txn, seq FROM head WHERE key = ?1 AND resource = ?2",
    [Q_HEAD_PUT] = "REPLACE INTO head(key, resource, txn, seq) VALUES(?1, ?2, ?3, ?4)",
    [Q_HEAD_DEL] = "DELETE FROM head WHERE key = ?1 AND resource = ?2",
    [Q_HEAD_FORGET] = "DELETE FROM head WHERE txn = ?1 AND (resource, key) IN (SELECT resource, key FROM undo "
                      "WHERE txn = ?1 AND seq < ?2 + (SELECT min(seq) FROM undo WHERE txn = ?1))",
    [Q_TIMER_GET] = "SELECT value FROM timer WHERE id = ?1",
    [Q_TIMER_SCAN] = "SELECT id, value FROM timer WHERE id >= ?1 ORDER BY id",
    [Q_TIMER_PUT] = "REPLACE INTO timer(id, value, due_us, function, uid, parked) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [Q_TIMER_DEL] = "DELETE FROM timer WHERE id = ?1",
    [Q_TXN_PUT] =
        "INSERT INTO txn(id, graft, version, function, uid, gid, pid, begun_us, ended_us, outcome, error, cpu_us, "
        "effects, bytes, serial, lock_wait_us, undoes, parent, depth, resources) "
        "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20) "
        "ON CONFLICT(id) DO UPDATE SET graft = ?2, version = ?3, function = ?4, uid = ?5, gid = ?6, pid = ?7, "
        "begun_us = ?8, ended_us = ?9, outcome = ?10, error = ?11, cpu_us = ?12, effects = ?13, bytes = bytes + ?14, "
        "serial = ?15, lock_wait_us = ?16, undoes = ?17, parent = ?18, depth = ?19, resources = resources | ?20",
    [Q_TXN_STATE] = "SELECT outcome IS NULL, bytes, resources FROM txn WHERE id = ?1",
    [Q_TXN_OPEN] = "SELECT id, bytes FROM txn WHERE outcome IS NULL ORDER BY id DESC LIMIT 1",
    [Q_TXN_OPEN_FILES] = "SELECT id FROM txn WHERE outcome IS NULL AND resources & 2 ORDER BY id DESC",
    [Q_TXN_OLDEST] = "SELECT id, ended_us, bytes, iif(outcome = 'committed', serial, 0), resources, serial FROM txn "
                     "WHERE outcome IS NOT NULL ORDER BY id LIMIT 1",
    [Q_TXN_DEL] = "DELETE FROM txn WHERE id = ?1",
    [Q_TXN_END] = "UPDATE txn SET outcome = ?2, error = ?3, ended_us = ?4, bytes = ?5, resources = 0 WHERE id = ?1",
    [Q_TXN_LIST] = "SELECT " ROW_COLUMNS "FROM txn WHERE id < ?1 ORDER BY id DESC",
    [Q_TXN_SHOW] = "SELECT " ROW_COLUMNS "FROM txn WHERE id = ?1",
    [Q_TXN_ORDER] = "SELECT outcome IS 'committed', serial, undoes, undone_by, outcome IS NULL FROM txn WHERE id = ?1",
    [Q_TXN_UNDONE] = "UPDATE txn SET undone_by = ?2 WHERE id = ?1",
    [Q_UNDO_ADD] = "INSERT INTO undo(txn, seq, resource, key, before, after, prev_txn, prev_seq) "
                   "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [Q_UNDO_BACK] = "SELECT resource, key, before, prev_txn, prev_seq FROM undo "
                    "WHERE txn = ?1 ORDER BY seq DESC",
    [Q_UNDO_DEL] = "DELETE FROM undo WHERE txn = ?1",
    [Q_UNDO_DEL_SOME] = "DELETE FROM undo WHERE txn = ?1 AND seq < ?2 + (SELECT min(seq) FROM undo WHERE txn = ?1)",
    [Q_UNDO_COUNT] = "SELECT count(*) FROM undo WHERE txn = ?1",
    [Q_UNDO_LIST] = "SELECT resource, key, before, after FROM undo WHERE txn = ?1 ORDER BY seq",
    [Q_UNDO_PREV] = "SELECT prev_txn, prev_seq FROM undo WHERE txn = ?1 AND seq = ?2",
    [Q_UNDO_IMAGES] = "SELECT before, after FROM undo WHERE txn = ?1 AND seq = ?2",
    [Q_UNDO_FIRST] = "SELECT prev_txn, prev_seq FROM undo WHERE txn = ?1 AND key = ?2 AND resource = ?3 "
                     "ORDER BY seq LIMIT 1",
    [Q_UNDO_KEYS] = "SELECT key, resource FROM undo WHERE txn = ?1 AND prev_txn <> ?1 AND resource <> 'e' ORDER BY seq",
    [Q_UNDO_FILES] = "SELECT key, seq, before, after FROM undo WHERE txn = ?1 AND resource = 'f' ORDER BY key, seq",
    [Q_UNDO_EVENTS] = "SELECT key, after FROM undo WHERE txn = ?1 AND after IS NOT NULL AND seq IN "
                      "(SELECT max(seq) FROM undo WHERE txn = ?1 AND resource = 'e' GROUP BY key) ORDER BY seq",
    [Q_EVENT_ADD] = "INSERT INTO event(id, topic, txn, at_us, data) VALUES(?1, ?2, ?3, ?4, ?5)",
    [Q_EVENT_OLDEST] =
        "SELECT id, at_us, topic, length(CAST(topic AS BLOB)) + length(data) FROM event ORDER BY id LIMIT 1",
    [Q_EVENT_DEL] = "DELETE FROM event WHERE id = ?1",
    [Q_EVENT_LIST] = "SELECT id, txn, at_us, data FROM event WHERE topic = ?1 AND id > ?2 ORDER BY id",
    [Q_TOPIC_ADD] = "INSERT INTO topic(name, last, forgotten, count) VALUES(?1, ?2, ?3, 1) "
                    "ON CONFLICT(name) DO UPDATE SET last = ?2, count = count + 1",
    [Q_TOPIC_FORGET] = "UPDATE topic SET forgotten = ?2, count = count - 1 WHERE name = ?1",
    [Q_TOPIC_PAGE] = "SELECT max(name), max(iif(count = 0 AND last <= ?2, last, 0)) FROM "
                     "(SELECT name, last, count FROM topic WHERE name > ?1 ORDER BY name LIMIT ?3)",
    [Q_TOPIC_DEL] = "DELETE FROM topic WHERE name > ?1 AND name <= ?3 AND count = 0 AND last <= ?2",
    [Q_TOPIC_GET] = "SELECT " TOPIC_COLUMNS "FROM topic WHERE name = ?1",
    [Q_TOPIC_LIST] = "SELECT " TOPIC_COLUMNS "FROM topic WHERE name >= ?1 ORDER BY name",
    [Q_NESTED_ADD] =
        "INSERT INTO nested(txn, seq, parent_seq, graft, version, function, outcome, error, begun_us, ended_us, "
        "cpu_us, first, effects) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    [Q_NESTED_DEL_SOME] =
        "DELETE FROM nested WHERE txn = ?1 AND seq < ?2 + (SELECT min(seq) FROM nested WHERE txn = ?1)",
    [Q_NESTED_COUNT] = "SELECT count(*) FROM nested WHERE txn = ?1",
    [Q_NESTED_LIST] =
        "SELECT seq, parent_seq, graft, version, function, outcome, error, begun_us, ended_us, cpu_us, first, effects "
        "FROM nested WHERE txn = ?1 ORDER BY seq",
    [Q_IDEM_ADD] = "INSERT INTO idem(uid, token, txn, at_us, reply) VALUES(?1, ?2, ?3, ?4, ?5)",
    [Q_IDEM_GET] = "SELECT txn, reply FROM idem WHERE uid = ?1 AND token = ?2",
    [Q_IDEM_OLDEST] = "SELECT min(at_us) FROM idem",
    [Q_IDEM_DEL_SOME] = "DELETE FROM idem WHERE (uid, token) IN "
                        "(SELECT uid, token FROM idem WHERE at_us <= ?1 ORDER BY at_us LIMIT ?2)",
    [Q_META_GET] = "SELECT value FROM meta WHERE name = ?1",
    [Q_META_PUT] = "REPLACE INTO meta(name, value) VALUES(?1, ?2)",
    [Q_REDO_LIST] = "SELECT serial, id, bytes FROM txn WHERE id >= ?1 AND serial > ?2 AND outcome IS NOT NULL",
    [Q_REDO_UNDO] = "SELECT key, after, seq FROM undo WHERE txn = ?1 AND resource = 'k' ORDER BY seq",
    /* Nothing when no root was ever remembered. */
    [Q_ROOT_TOUCHED] =
        "SELECT touched.txn, touched.name, root.path FROM (SELECT DISTINCT txn, "
        "CAST(iif(instr(key, x'2f') = 0, key, substr(key, 1, instr(key, x'2f') - 1)) AS TEXT) AS name FROM undo "
        "WHERE resource = 'f' AND txn IN (SELECT id FROM txn WHERE outcome IS NULL AND resources & 2)) AS touched "
        "LEFT JOIN root ON root.name = touched.name WHERE EXISTS (SELECT 1 FROM root) ORDER BY touched.txn DESC",
    [Q_ROOT_LIST] = "SELECT name, path FROM root",
    [Q_ROOT_CLEAR] = "DELETE FROM root",
    [Q_ROOT_ADD] = "INSERT INTO root(name, path) VALUES(?1, ?2)",
    [Q_GRAFT_PUT] =
        "REPLACE INTO graft(name, version, sha256, size, loaded_by, loaded_us) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [Q_GRAFT_DEL] = "DELETE FROM graft WHERE name = ?1",
    [Q_GRAFT_COUNT] = "SELECT count(*) FROM graft",
    [Q_GRAFT_LIST] = "SELECT name, version, sha256, size, loaded_by, loaded_us FROM graft ORDER BY name",
};

/* --- errors --- */

enum err db_poison(struct db *db, enum err err, struct failure *why, const char *sentence)
{
    fail(&db->poison, ERR_STORAGE, "the store has stopped: %s; restart graftd, which recovers", sentence);
    return fail(why, err, "%s", sentence);
}

static const char *io_what(int code)
{
    switch (code) {
    case SQLITE_IOERR_READ:
    case SQLITE_IOERR_SHORT_READ: return "reading";
    case SQLITE_IOERR_WRITE: return "writing";
    case SQLITE_IOERR_FSYNC:
    case SQLITE_IOERR_DIR_FSYNC: return "syncing";
    case SQLITE_IOERR_TRUNCATE: return "truncating";
    default: return "at the file";
    }
}

enum err db_fail(struct db *db, int code, const char *doing, struct failure *why)
{
    char text[FAILURE_TEXT_MAX];

    switch (code & 0xff) {
    case SQLITE_FULL:
        db->full = true;
        return fail(why, ERR_STORAGE, "the disk is full; %s was not done; free space for %s", doing, db->path);
    case SQLITE_IOERR:
        return fail(why, ERR_STORAGE, "an I/O error (%s) stopped %s; look after the disk of %s", io_what(code), doing,
                    db->path);
    case SQLITE_NOMEM:
        return fail(why, ERR_NOMEM, "out of memory at %s; it was not done", doing);
    case SQLITE_BUSY:
        return fail(why, ERR_STORAGE, "%s is in use by another process; end that one first", db->path);
    case SQLITE_READONLY:
        return fail(why, ERR_STORAGE,
                    "%s cannot be written, so %s was not done; is its file system read-only, or is it another's?",
                    db->path, doing);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        snprintf(text, sizeof text, "%.250s is damaged, found at %s; restore a backup", db->path, doing);
        return db_poison(db, ERR_STORAGE, why, text);
    default:
        return fail(why, ERR_STORAGE, "%s failed in %s: %s", doing, db->path,
                    db->handle != NULL ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code));
    }
}

/* --- statements --- */

int db_prepare(struct db *db)
{
    int code = SQLITE_OK;

    for (int i = 0; i < Q_COUNT && code == SQLITE_OK; i++)
        code = sqlite3_prepare_v3(db->handle, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &db->query[i], NULL);
    return code;
}

void db_finalize(struct db *db)
{
    for (int i = 0; i < Q_COUNT; i++) {
        sqlite3_finalize(db->query[i]);
        db->query[i] = NULL;
    }
}

void bind_u64(sqlite3_stmt *q, int at, uint64_t v)
{
    CHECK(v <= INT64_MAX);
    CHECK(sqlite3_bind_int64(q, at, (int64_t)v) == SQLITE_OK);
}

void bind_id(sqlite3_stmt *q, int at, uint64_t txn) { bind_u64(q, at, txn < INT64_MAX ? txn : INT64_MAX); }

void bind_text(sqlite3_stmt *q, int at, const char *text)
{
    CHECK(sqlite3_bind_text(q, at, text, -1, SQLITE_STATIC) == SQLITE_OK);
}

void bind_name(sqlite3_stmt *q, int at, struct bytes b)
{
    CHECK(b.len <= DB_KEY_MAX);
    CHECK(sqlite3_bind_text(q, at, b.len == 0 ? "" : b.data, (int)b.len, SQLITE_STATIC) == SQLITE_OK);
}

void bind_resource(sqlite3_stmt *q, int at, char resource)
{
    static const char letters[] = { RESOURCE_KV, RESOURCE_FILE, RESOURCE_EVENT, RESOURCE_TIMER };
    const char *letter = memchr(letters, resource, sizeof letters);

    CHECK(letter != NULL);
    CHECK(sqlite3_bind_text(q, at, letter, 1, SQLITE_STATIC) == SQLITE_OK);
}

void bind_bytes(sqlite3_stmt *q, int at, struct bytes b)
{
    CHECK(b.len <= DB_VALUE_MAX);
    /* A null pointer would be NULL, and an empty value is not that. */
    CHECK(sqlite3_bind_blob(q, at, b.len == 0 ? "" : b.data, (int)b.len, SQLITE_STATIC) == SQLITE_OK);
}

int db_run(struct db *db, enum query id)
{
    while (sqlite3_step(db->query[id]) == SQLITE_ROW)
        ;
    return sqlite3_reset(db->query[id]);
}

int db_meta_get(struct db *db, const char *name, uint64_t *value)
{
    sqlite3_stmt *q = db->query[Q_META_GET];

    bind_text(q, 1, name);
    *value = sqlite3_step(q) == SQLITE_ROW ? column_u64(q, 0) : 0;
    return sqlite3_reset(q);
}

int db_meta_put(struct db *db, const char *name, uint64_t value)
{
    bind_text(db->query[Q_META_PUT], 1, name);
    bind_u64(db->query[Q_META_PUT], 2, value);
    return db_run(db, Q_META_PUT);
}

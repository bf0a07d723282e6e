/*
 * A database of format 2, for the tests that it is brought up to date; and a way to look into a database.
 */
#ifndef GRAFTD_TESTS_STORE_FORMAT_2_H
#define GRAFTD_TESTS_STORE_FORMAT_2_H

#include "tests/store_kit.h"

#include <sqlite3.h>

static const char schema_2[] =
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
    "    depth        INTEGER NOT NULL DEFAULT 0\n"
    ");\n"
    "CREATE INDEX txn_open ON txn(id) WHERE outcome IS NULL;\n"
    "CREATE TABLE undo (\n"
    "    txn      INTEGER,\n"
    "    seq      INTEGER, -- undone from the highest down\n"
    "    resource TEXT,    -- k: kv\n"
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
    "CREATE VIEW changes AS SELECT txn, seq, datetime(begun_us / 1000000, 'unixepoch') AS begun,\n"
    "    coalesce(graft || '.', '') || function AS what, uid, resource, CAST(key AS TEXT) AS key,\n"
    "    CAST(before AS TEXT) AS before, CAST(after AS TEXT) AS after\n"
    "    FROM undo JOIN txn ON txn.id = undo.txn ORDER BY txn, seq;\n"
    "CREATE TABLE gone (\n"
    "    key BLOB PRIMARY KEY, -- not there, but its past is\n"
    "    txn INTEGER,          -- the undo record of its newest change\n"
    "    seq INTEGER\n"
    ") WITHOUT ROWID;\n"
    "CREATE TABLE nested (\n"
    "    txn        INTEGER,\n"
    "    seq        INTEGER, -- from 1, in the order in which they began\n"
    "    parent_seq INTEGER, -- 0: called by the transaction's own function\n"
    "    graft      TEXT,\n"
    "    version    TEXT,\n"
    "    function   TEXT,\n"
    "    outcome    TEXT,\n"
    "    error      TEXT,\n"
    "    begun_us   INTEGER,\n"
    "    ended_us   INTEGER,\n"
    "    cpu_us     INTEGER,\n"
    "    first      INTEGER, -- its first effect is the undo record with this seq\n"
    "    effects    INTEGER,\n"
    "    PRIMARY KEY (txn, seq)\n"
    ") WITHOUT ROWID;\n"
    "CREATE TABLE idem (\n"
    "    uid   INTEGER,\n"
    "    token BLOB,\n"
    "    txn   INTEGER, -- the transaction that it named\n"
    "    at_us INTEGER, -- when that ended\n"
    "    reply BLOB,    -- what a repeat is answered\n"
    "    PRIMARY KEY (uid, token)\n"
    ") WITHOUT ROWID;\n"
    "CREATE INDEX idem_at ON idem(at_us);\n"
    "CREATE VIEW history AS SELECT id, datetime(begun_us / 1000000, 'unixepoch') AS begun,\n"
    "    coalesce(graft || '.', '') || function AS what, version, uid, gid, pid,\n"
    "    coalesce(outcome, 'not ended') AS outcome, error, effects,\n"
    "    (ended_us - begun_us) / 1000.0 AS ms, cpu_us / 1000.0 AS cpu_ms,\n"
    "    lock_wait_us / 1000.0 AS lock_ms, nullif(undoes, 0) AS undoes,\n"
    "    nullif(undone_by, 0) AS undone_by FROM txn;\n";

/* Transaction 1 made a, 2 changed it, 3 made b and deleted it; 4 began, changed a, and did not end. */
static const char rows_2[] =
    "INSERT INTO kv(key, txn, seq, value) VALUES(x'61', 4, 0, x'6f70656e');\n"
    "INSERT INTO gone(key, txn, seq) VALUES(x'62', 3, 1);\n"
    "INSERT INTO txn(id, function, uid, gid, pid, begun_us, ended_us, outcome, cpu_us, effects, bytes, serial)\n"
    "    VALUES(1, 'SET', 1, 2, 3, 4, 5, 'committed', 6, 1, 99, 1),\n"
    "    (2, 'SET', 1, 2, 3, 4, 5, 'committed', 6, 1, 99, 2), (3, 'MSET', 1, 2, 3, 4, 5, 'committed', 6, 2, 99, 3), (4, 'MSET', 1, 2, 3, 4, NULL, NULL, 6, 1, 99, 4);\n"
    "INSERT INTO undo(txn, seq, resource, key, before, after, prev_txn, prev_seq)\n"
    "    VALUES(1, 0, 'k', x'61', NULL, x'6f6e65', 0, 0), (2, 0, 'k', x'61', x'6f6e65', x'74776f', 1, 0),\n"
    "    (3, 0, 'k', x'62', NULL, x'6d616465', 0, 0), (3, 1, 'k', x'62', x'6d616465', NULL, 3, 0),\n"
    "    (4, 0, 'k', x'61', x'74776f', x'6f70656e', 2, 0);\n"
    "INSERT INTO idem VALUES(1000, x'746f6b656e', 2, 5, x'7265706c79');\n"
    "INSERT INTO meta VALUES('txn_reserve', 100), ('history_bytes', 396), ('serial_reserve', 1000);\n"
    "PRAGMA application_id = 1735550580; PRAGMA user_version = 2";

static inline void make_format_2(struct kit *k)
{
    sqlite3 *db;

    unlink(kit_path(k, "graftd.db"));
    CHECK(sqlite3_open(kit_path(k, "graftd.db"), &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, schema_2, NULL, NULL, NULL) == SQLITE_OK);
    CHECK(sqlite3_exec(db, rows_2, NULL, NULL, NULL) == SQLITE_OK);
    CHECK(sqlite3_close(db) == SQLITE_OK);
}

/* One number, asked after these statements. */
static inline int64_t select_with(const char *first, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *q;
    int64_t n;

    CHECK(sqlite3_open(":memory:", &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, first, NULL, NULL, NULL) == SQLITE_OK);
    CHECK(sqlite3_prepare_v2(db, sql, -1, &q, NULL) == SQLITE_OK);
    CHECK(sqlite3_step(q) == SQLITE_ROW);
    n = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    sqlite3_close(db);
    return n;
}

/* One number that a database which nobody has open holds. */
static inline int64_t select_number(const char *path, const char *sql)
{
    char attach[600];

    snprintf(attach, sizeof attach, "ATTACH '%s' AS old", path);
    return select_with(attach, sql);
}

/* Changes a database that nobody has open. */
static inline void change_database(const char *path, const char *sql)
{
    sqlite3 *db;

    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
    CHECK(sqlite3_close(db) == SQLITE_OK);
}

#endif

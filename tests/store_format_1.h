/*
 * A database as the first release made it, format 1, for the tests that it is brought up to date.
 */
#ifndef GRAFTD_TESTS_STORE_FORMAT_1_H
#define GRAFTD_TESTS_STORE_FORMAT_1_H

#include "tests/store_kit.h"

#include <sqlite3.h>

static const char schema_1[] =
    "CREATE TABLE kv (\n"
    "    key   BLOB PRIMARY KEY,\n"
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
    "    bytes    INTEGER  -- estimate of this row and its undo rows\n"
    ");\n"
    "CREATE INDEX txn_open ON txn(id) WHERE outcome IS NULL;\n"
    "CREATE TABLE undo (\n"
    "    txn      INTEGER,\n"
    "    seq      INTEGER, -- undone from the highest down\n"
    "    resource TEXT,    -- k: kv\n"
    "    key      BLOB,\n"
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
    "CREATE VIEW history AS SELECT id, datetime(begun_us / 1000000, 'unixepoch') AS begun,\n"
    "    coalesce(graft || '.', '') || function AS what, version, uid, gid, pid,\n"
    "    coalesce(outcome, 'not ended') AS outcome, error, effects,\n"
    "    (ended_us - begun_us) / 1000.0 AS ms, cpu_us / 1000.0 AS cpu_ms FROM txn;\n"
    "CREATE VIEW changes AS SELECT txn, seq, datetime(begun_us / 1000000, 'unixepoch') AS begun,\n"
    "    coalesce(graft || '.', '') || function AS what, uid, resource, CAST(key AS TEXT) AS key,\n"
    "    CAST(before AS TEXT) AS before, CAST(after AS TEXT) AS after\n"
    "    FROM undo JOIN txn ON txn.id = undo.txn ORDER BY txn, seq;\n";

/* Transaction 1 made a; 2 began, changed a and made b, and did not end. */
static const char rows_1[] =
    "INSERT INTO kv VALUES(x'61', x'74776f'), (x'62', x'68616c66');\n"
    "INSERT INTO txn(id, function, uid, gid, pid, begun_us, ended_us, outcome, cpu_us, effects, bytes)\n"
    "    VALUES(1, 'SET', 1, 2, 3, 4, 5, 'committed', 6, 1, 99), (2, 'MSET', 1, 2, 3, 4, NULL, NULL, 6, 2, 99);\n"
    "INSERT INTO undo VALUES(1, 0, 'k', x'61', NULL, x'6f6e65'), (2, 0, 'k', x'61', x'6f6e65', x'74776f'),\n"
    "    (2, 1, 'k', x'62', NULL, x'68616c66');\n"
    "INSERT INTO meta VALUES('txn_reserve', 100), ('history_bytes', 198);\n"
    "PRAGMA application_id = 1735550580; PRAGMA user_version = 1";

static inline void make_format_1(struct kit *k)
{
    sqlite3 *db;

    unlink(kit_path(k, "graftd.db"));
    CHECK(sqlite3_open(kit_path(k, "graftd.db"), &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, schema_1, NULL, NULL, NULL) == SQLITE_OK);
    CHECK(sqlite3_exec(db, rows_1, NULL, NULL, NULL) == SQLITE_OK);
    CHECK(sqlite3_close(db) == SQLITE_OK);
}

#endif

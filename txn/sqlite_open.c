/*
 * Opening the database: one process per directory, only files that are ours, never a half-made one.
 *
 * A new database is made under another name and renamed when it is whole and synced, so graftd.db is
 * absent or complete, and its header says whose it is before SQLite is let near it. What is foreign,
 * damaged or newer is refused with a sentence and stays as it was.
 */
#include "txn/sqlite.h"

#include "lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HEADER_FORMAT = 60, HEADER_APPLICATION = 68,
    QUICK_CHECK_MAX = 64 * 1024 * 1024,  /* bytes; larger databases are not read through at each start */
    WAL_SIZE_LIMIT = 64 * 1024 * 1024,   /* bytes that the log keeps on disk after a checkpoint */
    WAL_RESET_FIXED = 3051003,           /* SQLite's number of the release */
    FRESH_BYTES = 32 * 1024 * 1024, REDO_BYTES = 32 * 1024 * 1024,
    REDO_BYTES_MIN = 64 * 1024, /* however little of the past is kept */
    FOLD_KEYS = 64,
    LOCK_TRY_US = 2000,
    LOCK_TRIES_MAX = 500, /* one second */
};

static enum err fail_system(struct failure *why, const char *doing, const char *path)
{
    return fail(why, ERR_STORAGE, "cannot %s %s: %s", doing, path, strerror(errno));
}

/* The first column of the first row, as a number; 0 when there is none. */
static int ask_u64(struct db *db, const char *sql, uint64_t *value)
{
    sqlite3_stmt *q;
    int code = sqlite3_prepare_v2(db->handle, sql, -1, &q, NULL);

    if (code != SQLITE_OK)
        return code;
    *value = sqlite3_step(q) == SQLITE_ROW ? column_u64(q, 0) : 0;
    return sqlite3_finalize(q);
}

/* Whether the first column of the first row is this word. */
static int ask_is(struct db *db, const char *sql, const char *word, bool *is)
{
    sqlite3_stmt *q;
    int code = sqlite3_prepare_v2(db->handle, sql, -1, &q, NULL);

    if (code != SQLITE_OK)
        return code;
    *is = sqlite3_step(q) == SQLITE_ROW && bytes_equal(column_bytes(q, 0), bytes_str(word));
    return sqlite3_finalize(q);
}

/* --- the directory and its files --- */

/* One that was killed a moment ago has its lock until the kernel has freed its memory. */
static bool lock_comes(int fd)
{
    int tries = LOCK_TRIES_MAX;

    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK || --tries == 0)
            return false;
        usleep(LOCK_TRY_US);
    }
    return true;
}

static enum err lock_take(struct db *db, const char *directory, struct failure *why)
{
    char path[PATH_MAX], pid[32];
    ssize_t n;

    snprintf(path, sizeof path, "%s/lock", directory);
    db->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (db->lock_fd < 0)
        return fail_system(why, "open", path);
    if (!lock_comes(db->lock_fd)) {
        if (errno != EWOULDBLOCK)
            return fail_system(why, "lock", path);
        n = pread(db->lock_fd, pid, sizeof pid - 1, 0);
        pid[n < 0 ? 0 : n] = '\0';
        pid[strspn(pid, "0123456789")] = '\0';
        return fail(why, ERR_STORAGE,
                    "%s is in use by another graftd (pid %s); end that one or choose another directory", directory,
                    pid[0] == '\0' ? "unknown" : pid);
    }
    n = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(db->lock_fd, 0) != 0 || pwrite(db->lock_fd, pid, (size_t)n, 0) != n)
        return fail_system(why, "write", path);
    return OK;
}

/* The path beside the database with this ending. */
static const char *beside(const struct db *db, const char *ending, char out[PATH_MAX])
{
    CHECK(snprintf(out, PATH_MAX, "%s%s", db->path, ending) < PATH_MAX);
    return out;
}

static enum err sync_path(const char *path, int flags, struct failure *why)
{
    int fd = open(path, flags | O_RDONLY | O_CLOEXEC);
    enum err err = OK;

    if (fd < 0 || fsync(fd) != 0)
        err = fail_system(why, "sync", path);
    if (fd >= 0)
        close(fd);
    return err;
}

static int exec(struct db *db, const char *sql) { return sqlite3_exec(db->handle, sql, NULL, NULL, NULL); }

static int connect_file(struct db *db, const char *path)
{
    int code = sqlite3_open_v2(path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                               db->vfs);

    if (code != SQLITE_OK)
        return code;
    if (sqlite3_db_readonly(db->handle, "main") == 1)
        return SQLITE_READONLY; /* SQLite is content with that where it may not write; we are not */
    /* Closing never writes: what a checkpoint may do to a file that we refuse, or after an I/O error, is ours to
     * decide. */
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return exec(db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
                    "PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; PRAGMA secure_delete = OFF");
}

static void disconnect(struct db *db)
{
    db_finalize(db);
    CHECK(sqlite3_close(db->handle) == SQLITE_OK);
    db->handle = NULL;
}

static int fill_new(struct db *db)
{
    char sql[256];
    int code;

    snprintf(sql, sizeof sql, "PRAGMA page_size = %d; PRAGMA journal_mode = MEMORY; BEGIN; PRAGMA application_id = %d; "
             "PRAGMA user_version = %d", DB_PAGE_SIZE, DB_APPLICATION_ID, DB_FORMAT);
    code = exec(db, sql);
    if (code == SQLITE_OK)
        code = exec(db, db_schema);
    return code == SQLITE_OK ? exec(db, "COMMIT") : code;
}

static enum err create(struct db *db, const char *directory, struct failure *why)
{
    char fresh[PATH_MAX], log[PATH_MAX];
    enum err err = OK;
    int fd, code;

    if (access(beside(db, "-wal", log), F_OK) == 0 || access(beside(db, "-journal", log), F_OK) == 0)
        return fail(why, ERR_STORAGE,
                    "%s is missing but its log %s is there; put the database back beside it, or remove the log",
                    db->path, log);
    unlink(beside(db, ".new", fresh));
    fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail_system(why, "create", fresh);
    close(fd);
    code = connect_file(db, fresh);
    if (code == SQLITE_OK)
        code = fill_new(db);
    if (code != SQLITE_OK)
        err = db_fail(db, code, "making the database", why);
    disconnect(db);
    if (err == OK)
        err = sync_path(fresh, 0, why);
    if (err == OK && rename(fresh, db->path) != 0)
        err = fail_system(why, "create", db->path);
    if (err == OK)
        err = sync_path(directory, O_DIRECTORY, why);
    else
        unlink(fresh);
    return err;
}

static uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

bool db_header_ours(const uint8_t header[DB_HEADER_SIZE])
{
    return memcmp(header, "SQLite format 3", 16) == 0 && big_endian(header + HEADER_APPLICATION) == DB_APPLICATION_ID;
}

static bool format_known(uint64_t format) { return format >= DB_FORMAT_OLDEST && format <= DB_FORMAT; }

static enum err refuse_format(const struct db *db, uint64_t format, struct failure *why)
{
    return fail(why, ERR_STORAGE,
                "%s was written by another release of graftd (format %llu, this one knows %d); start that release",
                db->path, (unsigned long long)format, DB_FORMAT);
}

/* By its header alone: SQLite may change a file as soon as it opens it. */
static enum err inspect(const struct db *db, int fd, uint64_t *size, struct failure *why)
{
    uint8_t header[DB_HEADER_SIZE];
    struct stat st;
    ssize_t n = pread(fd, header, sizeof header, 0);

    if (n < 0 || fstat(fd, &st) != 0)
        return fail_system(why, "read", db->path);
    if (n < DB_HEADER_SIZE || memcmp(header, "SQLite format 3", 16) != 0)
        return fail(why, ERR_STORAGE,
                    "%s is no database, or a damaged one; restore a backup or choose another directory", db->path);
    if (big_endian(header + HEADER_APPLICATION) != DB_APPLICATION_ID)
        return fail(why, ERR_STORAGE, "%s is the database of another program; choose another directory", db->path);
    if (!format_known(big_endian(header + HEADER_FORMAT)))
        return refuse_format(db, big_endian(header + HEADER_FORMAT), why);
    *size = (uint64_t)st.st_size;
    return OK;
}

static enum err find_or_create(struct db *db, const char *directory, uint64_t *size, struct failure *why)
{
    int fd = open(db->path, O_RDONLY | O_CLOEXEC);
    enum err err;

    if (fd < 0 && errno == ENOENT)
        return create(db, directory, why);
    if (fd < 0)
        return fail_system(why, "open", db->path);
    err = inspect(db, fd, size, why);
    close(fd); /* SQLite has no lock on it yet that this would drop */
    return err;
}

/* --- the connection --- */

/* Reads, and changes nothing: the log may hold a newer header than the file, and damage further in. */
static enum err examine(struct db *db, uint64_t size, struct failure *why)
{
    uint64_t format = 0;
    bool sound = true;
    int code = ask_u64(db, "PRAGMA user_version", &format);

    if (code == SQLITE_OK && !format_known(format))
        return refuse_format(db, format, why);
    if (code == SQLITE_OK && size <= QUICK_CHECK_MAX)
        code = ask_is(db, "PRAGMA quick_check(1)", "ok", &sound);
    if (code == SQLITE_OK && !sound)
        code = SQLITE_CORRUPT;
    return code == SQLITE_OK ? OK : db_fail(db, code, "the check at start", why);
}

static int wal_grew(void *arg, sqlite3 *handle, const char *name, int pages)
{
    struct db *db = arg;

    (void)handle;
    (void)name;
    db->wal_pages = pages;
    return SQLITE_OK;
}

/* From the format of an earlier release to ours, at once or not at all. */
static int bring_up_to_date(struct db *db)
{
    uint64_t format = 0;
    char sql[64];
    int code = ask_u64(db, "PRAGMA user_version", &format);

    if (code != SQLITE_OK || format == DB_FORMAT)
        return code;
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d; COMMIT", DB_FORMAT);
    code = exec(db, "BEGIN IMMEDIATE");
    for (; code == SQLITE_OK && format < DB_FORMAT; format++)
        code = exec(db, db_schema_from[format]);
    return code == SQLITE_OK ? exec(db, sql) : code;
}

static enum err configure(struct db *db, int synchronous, struct failure *why)
{
    char sql[256];
    bool wal = false;
    int code;

    CHECK(synchronous >= 0 && synchronous <= 2);
    snprintf(sql, sizeof sql, "PRAGMA cache_size = -%d; PRAGMA synchronous = %d; PRAGMA journal_size_limit = %d",
             DB_CACHE_KIB, synchronous == 0 ? 0 : 1, WAL_SIZE_LIMIT); /* a commit does not sync: see db_sync() */
    code = exec(db, sql);
    if (code == SQLITE_OK)
        code = ask_is(db, "PRAGMA journal_mode = WAL", "wal", &wal);
    if (code == SQLITE_OK && !wal)
        return fail(why, ERR_STORAGE, "%s cannot have a write-ahead log where it is; choose a local disk", db->path);
    if (code == SQLITE_OK)
        code = bring_up_to_date(db);
    if (code == SQLITE_OK)
        code = db_prepare(db);
    if (code != SQLITE_OK)
        return db_fail(db, code, "opening", why);
    sqlite3_wal_hook(db->handle, wal_grew, db);
    code = sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &db->log);
    return code == SQLITE_OK && db->log->pMethods != NULL ? OK : db_fail(db, code, "opening the log", why);
}

static const char wal_reset_warning[] =
    "below 3.51.3 two connections that write and checkpoint at once can damage the log; graftd has one connection, and it "
    "locks others out, so this does not happen here";

static enum err load_facts(struct db *db, struct failure *why)
{
    uint64_t id_max = 0, *next = &db->facts.txn_next;
    struct ledger *l = &db->ledger;
    int code = ask_u64(db, "SELECT max(id) FROM txn", &id_max);

    if (code == SQLITE_OK)
        code = db_meta_get(db, "txn_reserve", &l->reserve);
    if (code == SQLITE_OK)
        code = db_meta_get(db, "history_bytes", &l->history_bytes);
    if (code == SQLITE_OK)
        code = db_meta_get(db, "forgetting", &l->forgetting);
    if (code == SQLITE_OK)
        code = db_meta_get(db, "serial_reserve", &l->serial_reserve);
    if (code == SQLITE_OK)
        code = db_meta_get(db, "reach", &l->reach);
    if (code == SQLITE_OK)
        code = db_meta_get(db, "event_last", &l->event_last);
    if (code == SQLITE_OK)
        code = db_meta_get(db, "event_bytes", &l->event_bytes);
    if (code == SQLITE_OK)
        code = db_meta_get(db, "topic_mark", &l->topic_mark);
    if (code == SQLITE_OK)
        code = db_meta_get(db, "topic_mark_us", &l->topic_mark_us);
    if (code == SQLITE_OK)
        code = db_meta_get(db, "topic_reach", &l->topic_reach);
    if (code == SQLITE_OK)
        code = db_meta_get(db, "large_values", &l->large);
    if (code != SQLITE_OK)
        return db_fail(db, code, "opening", why);
    l->history_stored = l->history_bytes;
    l->forgetting_touches = TOUCHES_ALL; /* not known any more */
    l->serial = l->serial_reserve;
    l->txn_seen = l->reserve > id_max ? l->reserve : id_max;
    *next = l->txn_seen + 1;
    snprintf(db->engine, sizeof db->engine, "sqlite %s", sqlite3_libversion());
    db->facts.engine = db->engine;
    db->facts.engine_warning = sqlite3_libversion_number() < WAL_RESET_FIXED ? wal_reset_warning : NULL;
    db->facts.key_max = DB_KEY_MAX;
    db->facts.value_max = DB_VALUE_MAX;
    return OK;
}

static enum err open_steps(struct db *db, const struct store_options *options, struct failure *why)
{
    uint64_t size = 0;
    enum err err = lock_take(db, options->directory, why);
    int code;

    if (err == OK)
        err = find_or_create(db, options->directory, &size, why);
    if (err != OK)
        return err;
    code = connect_file(db, db->path);
    if (code != SQLITE_OK)
        return db_fail(db, code, "opening", why);
    err = examine(db, size, why);
    if (err == OK)
        err = configure(db, options->synchronous, why);
    if (err == OK)
        err = load_facts(db, why);
    if (err == OK)
        err = db_files_open(db, options, why);
    if (err == OK)
        err = db_roots_check(db, options, why);
    if (err == OK)
        err = db_recover(db, &db->facts.undone, why);
    if (err == OK)
        err = db_roots_remember(db, options, why);
    if (err == OK)
        db_files_sweep(db);
    if (err == OK && !db_checkpoint(db, SQLITE_CHECKPOINT_TRUNCATE) && db->poison.err != OK)
        err = fail(why, ERR_STORAGE, "%s", db->poison.text);
    return err;
}

/* What recovery may need cannot be forgotten: so that the history's bound holds, that is half of it. */
static uint64_t redo_bytes(uint64_t history_bytes)
{
    uint64_t half = history_bytes / 2;

    return half > REDO_BYTES ? REDO_BYTES : half < REDO_BYTES_MIN ? REDO_BYTES_MIN : half;
}

enum err db_open(struct db *db, const struct store_options *options, struct failure *why)
{
    enum err err;

    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* it would count under a lock, and nobody asks; too late: as it was */
    *db = (struct db){
        .lock_fd = -1, .vfs = options->vfs, .history_ms = options->history_ms, .history_bytes = options->history_bytes,
        .events_ms = options->events_ms, .events_bytes = options->events_bytes, .lazy = options->synchronous > 0,
        .fresh_bytes = options->fresh_bytes == 0 ? FRESH_BYTES : options->fresh_bytes,
        .redo_bytes = options->redo_bytes == 0 ? redo_bytes(options->history_bytes) : options->redo_bytes,
        .fold_keys = options->fold_keys == 0 ? FOLD_KEYS : options->fold_keys
    };
    if (fresh_init(&db->fresh) != OK)
        return fail(why, ERR_NOMEM, "no memory for the store");
    if (snprintf(db->path, sizeof db->path, "%s/graftd.db", options->directory) >= PATH_MAX - 16)
        err = fail(why, ERR_STORAGE, "the path of the data directory passes %d bytes", PATH_MAX - 32);
    else
        err = open_steps(db, options, why);
    if (err != OK) {
        db->poison.err = err; /* a refused file stays as it is */
        db_close(db);
    }
    return err;
}

void db_close(struct db *db)
{
    struct failure why = { 0 };

    CHECK(db->backup == NULL);
    if (db->poison.err == OK)
        db_fold_all(db, &why); /* if it fails the next open does it */
    if (db->poison.err == OK)
        db_ledger_flush(db);
    if (db->poison.err == OK)
        db_checkpoint(db, SQLITE_CHECKPOINT_TRUNCATE);
    disconnect(db);
    file_disk_close(&db->files);
    free(db->ended.id);
    free(db->forgotten.id);
    fresh_fini(&db->fresh);
    free(db->places);
    free(db->prev);
    if (db->lock_fd >= 0)
        close(db->lock_fd);
    *db = (struct db){ .lock_fd = -1 };
}

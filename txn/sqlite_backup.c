/*
 * A copy taken while everything runs: some pages at a time, between batches. SQLite brings pages that
 * were copied and then change up to date in the copy, because it is our own connection that changes
 * them; the copy is of the moment at which its last page was done.
 *
 * The copy appears under its name whole and synced, or not at all. Nothing that existed is replaced.
 */
#include "txn/sqlite.h"

#include "lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum {
    STEP_PAGES = 256,      /* copied and synced between two batches */
    COPY_CACHE_KIB = 1024, /* small: pages go to the file as they come, not all at the end */
};

struct backup {
    struct store_request *request; /* borrowed */
    char partial[PATH_MAX];        /* the copy until it is whole */
    int fd;                        /* of the copy, to sync it */
    struct db copy;
    sqlite3_backup *steps;
};

static enum err fail_path(struct failure *why, const char *doing, const char *path)
{
    return fail(why, errno == EEXIST ? ERR_BADARG : ERR_STORAGE, "cannot %s %s: %s", doing, path, strerror(errno));
}

/* As db_fail, for the other disk; a copy that failed says nothing about the store. */
static enum err fail_copy(struct backup *b, int code, const char *doing, struct failure *why)
{
    return db_fail(&b->copy, code, doing, why);
}

/* True when path was a copy whose daemon died over it: nobody has its lock, and it holds our pages or not even the first.
 * Then it is gone. */
static bool remove_abandoned(const char *path)
{
    static const uint8_t nothing[DB_HEADER_SIZE];
    uint8_t header[DB_HEADER_SIZE] = { 0 };
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : pread(fd, header, sizeof header, 0);
    bool ours = n == 0 || (n == DB_HEADER_SIZE && (memcmp(header, nothing, sizeof header) == 0 || db_header_ours(header)));

    ours = ours && flock(fd, LOCK_EX | LOCK_NB) == 0 && unlink(path) == 0;
    if (fd >= 0)
        close(fd);
    return ours;
}

static enum err make_partial(struct backup *b, const char *path, struct failure *why)
{
    int n = snprintf(b->partial, sizeof b->partial, "%s.partial", path);

    if (path[0] != '/' || n < 0 || (size_t)n >= sizeof b->partial)
        return fail(why, ERR_BADARG, "the backup's path must begin with / and be below %d bytes", PATH_MAX);
    if (access(path, F_OK) == 0)
        return fail(why, ERR_BADARG, "%s exists; choose another name for the backup", path);
    for (int tries = 2; tries > 0 && b->fd < 0; tries--) {
        b->fd = open(b->partial, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (b->fd < 0 && (errno != EEXIST || !remove_abandoned(b->partial)))
            break;
    }
    if (b->fd < 0 && errno == EEXIST)
        return fail(why, ERR_BADARG, "%s exists, and is no backup that was cut short; remove it", b->partial);
    if (b->fd < 0 || flock(b->fd, LOCK_EX | LOCK_NB) != 0)
        return fail_path(why, "create", b->partial);
    return OK;
}

static enum err connect_copy(struct db *db, struct backup *b, struct failure *why)
{
    char sql[128];
    int code;

    b->copy.vfs = db->vfs;
    b->copy.fresh_bytes = db->fresh_bytes;
    snprintf(b->copy.path, sizeof b->copy.path, "%s", b->partial);
    code = sqlite3_open_v2(b->partial, &b->copy.handle,
                           SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, db->vfs);
    snprintf(sql, sizeof sql, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; "
             "PRAGMA cache_size = -%d", COPY_CACHE_KIB);
    if (code == SQLITE_OK)
        code = sqlite3_exec(b->copy.handle, sql, NULL, NULL, NULL);
    if (code != SQLITE_OK)
        return fail_copy(b, code, "opening the backup", why);
    b->steps = sqlite3_backup_init(b->copy.handle, "main", db->handle, "main");
    return b->steps == NULL ? fail_copy(b, sqlite3_extended_errcode(b->copy.handle), "starting the backup", why) : OK;
}

/* Takes the copy apart; what is only partial goes. */
static struct store_request *backup_end(struct db *db)
{
    struct backup *b = db->backup;
    struct store_request *r = b->request;

    sqlite3_backup_finish(b->steps);
    db_finalize(&b->copy);
    CHECK(sqlite3_close(b->copy.handle) == SQLITE_OK);
    fresh_fini(&b->copy.fresh);
    free(b->copy.places);
    free(b->copy.prev);
    if (b->fd >= 0) {
        close(b->fd);
        if (r->why.err != OK)
            unlink(b->partial);
    }
    free(b);
    db->backup = NULL;
    return r;
}

void db_backup_start(struct db *db, struct store_request *r)
{
    enum err err;

    CHECK(db->backup == NULL);
    if (db->poison.err != OK) {
        fail(&r->why, ERR_STORAGE, "%s", db->poison.text);
        return;
    }
    db->backup = calloc(1, sizeof *db->backup);
    if (db->backup == NULL) {
        fail(&r->why, ERR_NOMEM, "no memory for a backup");
        return;
    }
    db->backup->request = r;
    db->backup->fd = -1;
    err = fresh_init(&db->backup->copy.fresh);
    if (err != OK)
        fail(&r->why, err, "no memory for a backup");
    else
        err = make_partial(db->backup, r->path, &r->why);
    if (err == OK)
        err = connect_copy(db, db->backup, &r->why);
    if (err != OK)
        backup_end(db);
}

/* The copy of what is on its way must be whole transactions too, in one file without a log, and its keys up to date. It
 * has no files: those stay as they are, and their records alone are taken back. */
static enum err settle(struct backup *b, struct failure *why)
{
    struct failure local = { 0 };
    uint64_t undone;
    enum err err;
    int code;

    code = sqlite3_exec(b->copy.handle, "SELECT count(*) FROM sqlite_schema; PRAGMA journal_mode = MEMORY", NULL, NULL,
                        NULL);
    if (code == SQLITE_OK)
        code = db_prepare(&b->copy);
    if (code != SQLITE_OK)
        return fail_copy(b, code, "reading the backup", why);
    err = db_recover(&b->copy, &undone, why);
    if (err == OK && db_fold_all(&b->copy, &local) != OK)
        err = fail(why, ERR_STORAGE, "the backup failed: %s", local.text); /* a commit to it that may hold is none */
    return err;
}

static enum err publish(struct backup *b, const char *path, struct failure *why)
{
    char directory[PATH_MAX];
    enum err err = OK;
    int fd;

    if (fsync(b->fd) != 0)
        return fail_path(why, "sync", b->partial);
    if (renameat2(AT_FDCWD, b->partial, AT_FDCWD, path, RENAME_NOREPLACE) != 0)
        return fail_path(why, "create", path);
    snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(path, '/') - path + 1), path);
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        err = fail_path(why, "sync", directory);
    if (fd >= 0)
        close(fd);
    if (err != OK)
        unlink(path);
    return err;
}

static enum err backup_finish(struct backup *b, struct failure *why)
{
    int code = sqlite3_backup_finish(b->steps);
    enum err err;

    b->steps = NULL;
    if (code != SQLITE_OK)
        return fail_copy(b, code, "the backup", why);
    err = settle(b, why);
    return err == OK ? publish(b, b->request->path, why) : err;
}

struct store_request *db_backup_step(struct db *db)
{
    struct backup *b = db->backup;
    struct failure *why = &b->request->why;
    int code;

    if (db->poison.err != OK) {
        fail(why, ERR_STORAGE, "%s", db->poison.text);
        return backup_end(db);
    }
    code = sqlite3_backup_step(b->steps, STEP_PAGES);
    if (code == SQLITE_OK && fdatasync(b->fd) == 0)
        return NULL;
    if (code == SQLITE_OK)
        fail_path(why, "sync", b->partial);
    else if (code == SQLITE_DONE)
        backup_finish(b, why);
    else
        fail_copy(b, code, "the backup", why);
    return backup_end(db);
}

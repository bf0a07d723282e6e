/*
 * Which directories the paths of files meant when they were recorded: the named roots are remembered at each open, when
 * recovery is through.
 *
 * T10: an undo record has a path and no more. If the root that its first component names is another one by now, or none,
 * an undo would look into the wrong directory, find nothing to do there and say that all is well. So what began, changed
 * files and did not end keeps the store closed until its roots are what they were. A database of a release that
 * remembered none is not asked.
 */
#include "txn/sqlite.h"

#include <stdio.h>
#include <string.h>

/* NULL: there is no root of this name. */
static const char *path_given(const struct store_options *options, struct bytes name)
{
    for (size_t i = 0; i < options->root_count; i++)
        if (bytes_equal(bytes_str(options->roots[i].name), name))
            return options->roots[i].path;
    return NULL;
}

static bool same_path(const char *a, const char *b) { return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0; }

/* --- before recovery --- */

static enum err refuse(uint64_t txn, const char *name, const char *was, const char *is, struct failure *why)
{
    unsigned long long id = txn;

    if (was == NULL)
        return fail(why, ERR_STORAGE,
                    "transaction %llu had not ended and changed %.64s/ below the standard root, but the policy now has "
                    "a root \"%.64s\" (%.100s); take that root out of the policy and start graftd, which takes the "
                    "changes back; then it can be added again",
                    id, name, name, is);
    if (is == NULL)
        return fail(why, ERR_STORAGE,
                    "transaction %llu had not ended and changed files in the root \"%.64s\" (%.120s), which the policy "
                    "no longer has; put root %.64s \"%.120s\" back into the policy and start graftd, which takes the "
                    "changes back; then it can go",
                    id, name, was, name, was);
    return fail(
        why, ERR_STORAGE,
        "transaction %llu had not ended and changed files in the root \"%.64s\" when that was %.120s, but the "
        "policy now says %.100s; let it be %.120s again and start graftd, which takes the changes back; then it "
        "can be moved",
        id, name, was, is, was);
}

/* The columns of Q_ROOT_TOUCHED. */
static enum err touched_check(const struct store_options *options, sqlite3_stmt *q, struct failure *why)
{
    struct bytes name = column_bytes(q, 1);
    const char *was = (const char *)sqlite3_column_text(q, 2), *is = path_given(options, name);

    return same_path(was, is) ? OK : refuse(column_u64(q, 0), (const char *)sqlite3_column_text(q, 1), was, is, why);
}

enum err db_roots_check(struct db *db, const struct store_options *options, struct failure *why)
{
    sqlite3_stmt *q = db->query[Q_ROOT_TOUCHED];
    enum err err = OK;
    int code;

    while (err == OK && sqlite3_step(q) == SQLITE_ROW)
        err = touched_check(options, q, why);
    code = sqlite3_reset(q);
    return err == OK && code != SQLITE_OK ? db_fail(db, code, "looking at the roots of files", why) : err;
}

/* --- after it --- */

/* Whether those that are remembered are the given ones, no more and no fewer. */
static int remembered(struct db *db, const struct store_options *options, bool *same)
{
    sqlite3_stmt *q = db->query[Q_ROOT_LIST];
    bool standard = false;
    size_t count = 0;

    *same = true;
    while (sqlite3_step(q) == SQLITE_ROW) {
        struct bytes name = column_bytes(q, 0);
        if (name.len == 0) {
            standard = true;
            continue;
        }
        *same = *same && same_path((const char *)sqlite3_column_text(q, 1), path_given(options, name));
        count++;
    }
    *same = *same && standard && count == options->root_count;
    return sqlite3_reset(q);
}

static int root_add(struct db *db, const char *name, const char *path)
{
    bind_text(db->query[Q_ROOT_ADD], 1, name);
    bind_text(db->query[Q_ROOT_ADD], 2, path);
    return db_run(db, Q_ROOT_ADD);
}

static int roots_write(struct db *db, const struct store_options *options)
{
    int code = db_run(db, Q_ROOT_CLEAR);

    if (code == SQLITE_OK)
        code = root_add(db, "", "files"); /* it moves with the data directory, and tells that the others are known */
    for (size_t i = 0; i < options->root_count && code == SQLITE_OK; i++)
        code = root_add(db, options->roots[i].name, options->roots[i].path);
    return code;
}

enum err db_roots_remember(struct db *db, const struct store_options *options, struct failure *why)
{
    bool same;
    int code = remembered(db, options, &same);

    if (code != SQLITE_OK)
        return db_fail(db, code, "looking at the roots of files", why);
    if (same)
        return OK;
    code = db_begin(db);
    if (code == SQLITE_OK)
        code = roots_write(db, options);
    return db_end(db, code, "remembering the roots of files", why) == OK ? OK : (why->err = ERR_STORAGE);
}

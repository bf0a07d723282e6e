/*
 * files_apply(): the net changes of a transaction, all or nothing. The recipe; a crash or a cut of power may come
 * between any two steps, and within step 4 the disk may have any part of what was done since step 3:
 *
 *  1. Plan. Every path must hold what its change says was there. Nothing is written.
 *  2. Prepare, below .graftd/<txn>: put.<seq> is what a path is to hold, whole, with owner, mode and time, and synced;
 *     old.<seq> is a link to a file that will be replaced. The tree is as it was.
 *  3. Note: was tells each deed, what was there, which file is put.<seq>, and the times of the directories that will be
 *     touched. Synced, then renamed to its name, then .graftd/<txn> and .graftd are synced. Without was an undo touches
 *     nothing in the tree; with it, it knows all.
 *  4. Do, each by one rename: files that go (path → old.<seq>), directories that come (put.<seq> → path, outer first,
 *     each synced before anything comes into it), directories that go (inner first), files that come or replace; then
 *     what is appended in place. Each looks again at what it is about to change. No other deed leans on another's being
 *     on disk: what an undo needs is there since step 3.
 *  5. Sync: each appended file, every touched directory, .graftd/<txn>. Only then OK.
 *
 * Evidence: old.<seq> is there, or it was removed; put.<seq> is there, or it went to its path. A rename is taken as
 * atomic over a cut of power, as file systems with a journal have it.
 */
#include "txn/file_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHOWN_MAX = 200, APPEND_MAX = 64 * 1024, SPARES = 4 };

static enum err conflict(struct failure *why, const struct deed *d, const char *what)
{
    char shown[SHOWN_MAX];

    return fail(why, ERR_CONFLICT, "%s %s: somebody else than graftd changed it meanwhile; try again",
                bytes_show(d->change->path, shown, sizeof shown), what);
}

/* What the file system says to a name that is taken, or to a directory that went. */
static enum err rename_fail(struct failure *why, const struct deed *d, const char *doing)
{
    if (errno == EEXIST || errno == ENOTEMPTY || errno == EISDIR)
        return conflict(why, d, "is there already");
    if (is_gone(errno))
        return conflict(why, d, "is gone, or lies in no directory of the root any more");
    return file_fail(why, errno, d->change->path, doing);
}

/* to is free, or -1 with EEXIST. File systems that cannot promise it are asked twice. */
static int rename_free(int from_dir, const char *from, int to_dir, const char *to)
{
    struct seen s;

    if (renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL)
        return -1;
    if (seen_at(to_dir, to, &s) != 0)
        return -1;
    if (s.kind != SEEN_NOTHING) {
        errno = EEXIST;
        return -1;
    }
    return renameat(from_dir, from, to_dir, to);
}

static bool directory_empty(int parent, const char *name, bool *empty)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool ok = fd >= 0 && directory_is_empty(fd, empty) == 0;

    if (fd >= 0)
        close(fd);
    return ok;
}

/* ---- one deed each; parent is the directory of name ---- */

/* What comes into a directory is never on disk before the directory is in its place. */
static enum err sync_place(const struct work *w, const struct deed *d, struct failure *why)
{
    int fd = root_open(w->root, parent_of(d->rel), O_RDONLY | O_DIRECTORY);
    enum err err = OK;

    if (fd < 0 || fsync(fd) != 0)
        err = file_fail(why, errno, d->change->path, "sync the directory of");
    if (fd >= 0)
        close(fd);
    return err;
}

static enum err place(const struct work *w, const struct deed *d, int parent, const char *name, struct failure *why)
{
    char put[KEEP_NAME_MAX];

    if (rename_free(w->dir, keep_name(put, "put", d->seq), parent, name) != 0)
        return rename_fail(why, d, "put in place");
    return d->directory && w->d->sync ? sync_place(w, d, why) : OK;
}

static enum err replace(const struct work *w, const struct deed *d, int parent, const char *name, struct failure *why)
{
    char put[KEEP_NAME_MAX];
    struct seen s;

    if (seen_at(parent, name, &s) != 0)
        return file_fail(why, errno, d->change->path, "look at");
    if (s.kind != SEEN_FILE || !file_id_equal(&s.id, &d->before))
        return conflict(why, d, "is not what it was");
    if (renameat(w->dir, keep_name(put, "put", d->seq), parent, name) != 0)
        return rename_fail(why, d, "replace");
    return OK;
}

/* What is in it may be on no list: a symbolic link, a device. */
static enum err conflict_inside(struct failure *why, const struct deed *d)
{
    char shown[SHOWN_MAX];

    return fail(
        why, ERR_CONFLICT,
        "directory %s is not empty: somebody else than graftd has put something into it; move that away and try "
        "again",
        bytes_show(d->change->path, shown, sizeof shown));
}

/* Out of the tree, and looked at again there. A directory goes when it is empty: nothing of others is carried away. */
static enum err take_away(const struct work *w, const struct deed *d, int parent, const char *name, struct failure *why)
{
    char old[KEEP_NAME_MAX];
    struct seen s;
    bool empty = true;

    if (seen_at(parent, name, &s) != 0 ||
        (d->directory && s.kind == SEEN_DIRECTORY && !directory_empty(parent, name, &empty)))
        return file_fail(why, errno, d->change->path, "look at");
    if (s.kind != (d->directory ? SEEN_DIRECTORY : SEEN_FILE) || s.id.inode != d->before.inode)
        return conflict(why, d, "is not what it was");
    if (!empty)
        return conflict_inside(why, d);
    if (rename_free(parent, name, w->dir, keep_name(old, "old", d->seq)) != 0)
        return rename_fail(why, d, "remove");
    if (seen_at(w->dir, old, &s) != 0 || (d->directory && !directory_empty(w->dir, old, &empty)))
        return file_fail(why, errno, d->change->path, "look at what was removed as");
    if (d->directory ? empty : file_id_equal(&s.id, &d->before))
        return OK;
    if (rename_free(w->dir, old, parent, name) != 0)
        return file_fail(why, errno, d->change->path, "put back");
    return d->directory ? conflict_inside(why, d) : conflict(why, d, "is not what it was");
}

static enum err copy_behind(int from, int to, const struct deed *d, struct failure *why)
{
    char block[APPEND_MAX];
    uint64_t len = d->change->after->stage_len;

    for (uint64_t done = 0; done < len;) {
        size_t want = len - done < sizeof block ? (size_t)(len - done) : sizeof block;
        ssize_t n = pread(from, block, want, (off_t)done);
        if (n > 0)
            n = pwrite(to, block, (size_t)n, (off_t)(d->before.size + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return file_fail(why, n == 0 ? ENOSPC : errno, d->change->path, "append to");
        done += (uint64_t)n;
    }
    return OK;
}

static enum err append(const struct work *w, struct deed *d, struct failure *why)
{
    struct spot s = spot_of(w->d, d->change->path);
    struct seen seen;
    int to, from = -1;
    enum err err = spot_open(&s, O_WRONLY, &to, &seen, why);

    if (err != OK)
        return err;
    if (!file_id_equal(&seen.id, &d->before) || seen.links != 1)
        err = conflict(why, d, "is not what it was");
    if (err == OK)
        err = stage_open(w->dir, d->change->after, d->change->path, O_RDONLY, &from, why);
    if (err == OK) {
        d->unbegun = false;
        err = copy_behind(from, to, d, why);
    }
    if (err == OK && w->d->sync && fsync(to) != 0)
        err = file_fail(why, errno, d->change->path, "sync");
    if (from >= 0)
        close(from);
    close(to);
    return err;
}

static enum err deed_do(const struct work *w, struct deed *d, struct failure *why)
{
    char name[FILE_NAME_MAX + 1];
    int parent;
    enum err err;

    if (d->kind == DEED_APPEND)
        return append(w, d, why);
    parent = root_open_parent(w->root, d->rel, name);
    if (parent < 0)
        return rename_fail(why, d, "change");
    err = d->kind == DEED_PLACE     ? place(w, d, parent, name, why)
          : d->kind == DEED_REPLACE ? replace(w, d, parent, name, why)
                                    : take_away(w, d, parent, name, why);
    close(parent);
    return err;
}

/* ---- all ---- */

enum turn { FILES_GO, DIRECTORIES_COME, DIRECTORIES_GO, FILES_COME, FILES_GROW, TURN_COUNT };

static enum turn turn_of(const struct deed *d)
{
    if (d->kind == DEED_REMOVE)
        return d->directory ? DIRECTORIES_GO : FILES_GO;
    if (d->kind == DEED_APPEND)
        return FILES_GROW;
    return d->directory ? DIRECTORIES_COME : FILES_COME;
}

/* Deeds are sorted, so an outer directory stands before an inner one. */
static enum err work_do(struct work *w, struct failure *why)
{
    enum err err = OK;

    for (enum turn turn = 0; turn < TURN_COUNT; turn++)
        for (size_t i = 0; i < w->deed_count && err == OK; i++) {
            struct deed *d = &w->deeds[turn == DIRECTORIES_GO ? w->deed_count - 1 - i : i];
            if (turn_of(d) == turn)
                err = deed_do(w, d, why);
        }
    return err != OK ? err : work_sync(w, why);
}

/* The roots in which something changes. */
static enum err works_plan(struct file_disk *d, uint64_t txn, const struct file_change *changes, size_t count,
                           struct work *works, struct failure *why)
{
    enum err err = OK;

    for (size_t i = 0; i < d->count; i++)
        works[i] = (struct work){ .d = d, .root = &d->roots[i], .txn = txn, .dir = -1 };
    for (size_t i = 0; i < d->count && err == OK; i++)
        err = work_plan(&works[i], changes, count, why);
    for (size_t i = 0; i < d->count && err == OK; i++) {
        if (works[i].deed_count == 0)
            continue;
        works[i].dir = keep_open(works[i].root, txn, true);
        if (works[i].dir < 0)
            err = file_fail(why, errno, bytes_str(works[i].root->path), "make a directory in .graftd of");
    }
    return err;
}

typedef enum err work_step(struct work *w, struct failure *why);

static enum err works_each(struct file_disk *d, struct work *works, work_step *step, struct failure *why)
{
    enum err err = OK;

    for (size_t i = 0; i < d->count && err == OK; i++)
        if (works[i].deed_count > 0)
            err = step(&works[i], why);
    return err;
}

/* Where was is not written the tree is as it was, and what cannot be cleared away there goes with the transaction's end. */
static void work_undo_one(struct work *w, const struct file_change *changes, size_t count, struct failure *trouble)
{
    struct failure ignored = { 0 };

    if (w->dir < 0)
        w->dir = keep_open(w->root, w->txn, false);
    if (w->dir >= 0)
        work_undo(w, changes, count, w->noted ? trouble : &ignored);
}

/* What failed has told why; the undo's own trouble, if it has any, is what counts then. */
static enum err works_undo(struct file_disk *d, struct work *works, const struct file_change *changes, size_t count,
                           struct failure *why)
{
    struct failure trouble = { 0 };

    for (size_t i = d->count; i-- > 0;)
        work_undo_one(&works[i], changes, count, &trouble);
    if (trouble.err == OK)
        return OK;
    fail_prefix(&trouble, "a change failed (%.200s) and could not be taken back", why->text);
    *why = trouble;
    return why->err = ERR_UNKNOWN;
}

/* Descriptors that are given back before an undo, so that it does not fail for want of them. */
static bool spares_take(int spares[SPARES])
{
    for (size_t i = 0; i < SPARES; i++)
        spares[i] = -1;
    for (size_t i = 0; i < SPARES; i++) {
        spares[i] = open("/", O_PATH | O_CLOEXEC);
        if (spares[i] < 0)
            return false;
    }
    return true;
}

static void spares_give(int spares[SPARES])
{
    for (size_t i = 0; i < SPARES; i++) {
        if (spares[i] >= 0)
            close(spares[i]);
        spares[i] = -1;
    }
}

static enum err works_do(struct file_disk *d, struct work *works, struct failure *why)
{
    enum err err = works_each(d, works, work_prepare, why);

    if (err == OK)
        err = works_each(d, works, work_note, why);
    return err != OK ? err : works_each(d, works, work_do, why);
}

enum err files_apply(struct file_disk *d, uint64_t txn, const struct file_change *changes, size_t count,
                     struct failure *why)
{
    struct work *works = calloc(d->count, sizeof works[0]);
    struct failure first = { 0 };
    int spares[SPARES];
    enum err err;

    d->changes++;
    if (works == NULL)
        return fail(why, ERR_STORAGE, "memory is short");
    err = works_plan(d, txn, changes, count, works, &first);
    if (!spares_take(spares) && err == OK)
        err = file_fail(&first, errno, bytes_str("files"), "change");
    if (err == OK)
        err = works_do(d, works, &first);
    spares_give(spares);
    if (err != OK && works_undo(d, works, changes, count, &first) == OK)
        first.err = err == ERR_CONFLICT || err == ERR_BADARG || err == ERR_ABSENT ? ERR_CONFLICT : ERR_STORAGE;
    for (size_t i = 0; i < d->count; i++)
        work_fini(&works[i]);
    free(works);
    return err == OK ? OK : fail(why, first.err, "%s", first.text);
}
